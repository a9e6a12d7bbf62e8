//! The step that speaks tus: a large file whose connection is reset half way, and that goes on from what
//! the gateway kept.

use std::io;
use std::time::{Duration, Instant};

use futures_util::stream;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::DemoError;
use super::console::{Console, bytes, grouped, millis};
use super::documents::large_file;
use super::gateway::{Comparison, Gateway};
use crate::outbound::OutboundError;

/// Bytes that are written to the line before it is cut.
const HALF: usize = large_file::LENGTH / 2;

/// Attempts to go on, and the time between two of them: the gateway may still be putting away what arrived.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// A large file arrives over a bad line. Gives the id of its upload.
pub(super) async fn resume(console: &mut Console, gateway: &Gateway) -> Result<String, DemoError> {
    console.step("A sender uploads a large file over tus and loses the line half way")?;
    let begun = Instant::now();
    let path = create(console, gateway).await?;
    let id = path.rsplit('/').next().unwrap_or_default().to_owned();

    break_off(console, gateway, &path).await?;
    finish(console, gateway, &id, &path).await?;
    let sent = begun.elapsed();
    let waiting = Instant::now();
    let file = gateway.delivered(&id).await?;
    let delivered = waiting.elapsed();
    let Comparison { compared, original_sha256, file_sha256 } =
        file.compare(large_file::blocks(0, large_file::LENGTH)).await?;
    console.row("bytes", &format!("{}/", file.folder()))?;
    console.row("", &format!("  {}", file.name()))?;
    console.row("", &format!("sent       SHA-256 {original_sha256}"))?;
    console.row("", &format!("delivered  SHA-256 {file_sha256}"))?;
    console.row("took", &format!("{} to send, {} more to deliver", millis(sent), millis(delivered)))?;

    console.check(
        "the file sent and the file delivered have the same SHA-256",
        original_sha256.as_str(),
        file_sha256.as_str(),
    )?;
    console.check_file(large_file::NAME, large_file::LENGTH as u64, compared)?;
    Ok(id)
}

/// Creates the upload. Gives its path.
async fn create(console: &mut Console, gateway: &Gateway) -> Result<String, DemoError> {
    let length = grouped(large_file::LENGTH as u64);
    console
        .row("asked", &format!("POST /upload/files, data stream cdex/attachment, Upload-Length {length}"))?;
    let answer = gateway
        .tus("POST", "/upload/files", |call| {
            call.header("upload-length", &large_file::LENGTH.to_string())
                .header("upload-metadata", &upload_metadata())
        })
        .await?;
    let location = answer.header("location").unwrap_or_default();
    console.row("answered", &format!("{} {location}", answer.status))?;
    console.check("the upload was created", 201, answer.status)?;
    Ok(location.strip_prefix(gateway.base()).unwrap_or(location).to_owned())
}

/// What the built-in data stream asks of a sender manifest.
fn upload_metadata() -> String {
    let fields = [
        ("version", "2.0"),
        ("data_stream_id", "cdex"),
        ("data_stream_route", "attachment"),
        ("sender_id", "demo-imaging-center"),
        ("data_producer_id", "demo-imaging-center"),
        ("jurisdiction", "null"),
        ("received_filename", large_file::NAME),
    ];
    fields.map(|(key, value)| format!("{key} {}", base64_simd::STANDARD.encode_to_string(value))).join(",")
}

/// Announces the whole file, writes half of it to the line, and resets the connection.
async fn break_off(console: &mut Console, gateway: &Gateway, path: &str) -> Result<(), DemoError> {
    console.row("asked", "PATCH, Upload-Offset 0, with everything")?;
    let mut line = TcpStream::connect(gateway.address()).await?;
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: {}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
         Content-Type: application/offset+octet-stream\r\nContent-Length: {}\r\n\r\n",
        gateway.address(),
        large_file::LENGTH,
    );
    line.write_all(head.as_bytes()).await?;
    for block in large_file::blocks(0, HALF) {
        line.write_all(&block).await?;
    }
    // A reset instead of an orderly end, as when a machine loses its network: what is still under way is
    // lost with the line.
    line.set_zero_linger()?;
    drop(line);
    console.row("answered", &format!("nothing: the line broke after {}", bytes(HALF as u64)))?;
    Ok(())
}

/// Asks how much was kept and sends the rest, as every tus client does.
async fn finish(console: &mut Console, gateway: &Gateway, id: &str, path: &str) -> Result<(), DemoError> {
    for _ in 0..TRIES {
        tokio::time::sleep(PAUSE).await;
        let (head, kept) = offset(gateway, path).await?;
        let info = gateway.info(id).await?;
        let sent = gateway
            .tus("PATCH", path, |call| {
                let rest = large_file::blocks(kept, large_file::LENGTH).map(io::Result::Ok);
                call.header("upload-offset", &kept.to_string())
                    .header("content-type", "application/offset+octet-stream")
                    .stream(stream::iter(rest), (large_file::LENGTH - kept) as u64)
            })
            .await;
        let appended = match sent {
            // More was put away after the question; an early 409 may also cut the line.
            Ok(answer) if answer.status == 409 => continue,
            Err(DemoError::Call { source: OutboundError::Broken, .. }) => continue,
            sent => sent?,
        };
        let status = info["upload_status"]["status"].as_str().unwrap_or_default();
        console.row("asked", "HEAD: how much is there?")?;
        console.row("answered", &format!("{head} Upload-Offset {}", grouped(kept as u64)))?;
        console.row("", &format!("/upload/info/{id} says {status}"))?;
        console.check("what arrived before the line broke was kept", true, kept > 0 && kept <= HALF)?;
        console.check("its status tells the truth", "In Progress", status)?;
        let end = appended.header("upload-offset").and_then(|end| end.parse().ok()).unwrap_or(0);
        console.row("asked", &format!("PATCH, Upload-Offset {}, with the rest", grouped(kept as u64)))?;
        console.row("answered", &format!("{} Upload-Offset {}", appended.status, grouped(end)))?;
        console.check("the second part completed the upload", large_file::LENGTH as u64, end)?;
        return Ok(());
    }
    Err(DemoError::Late("the gateway to take the rest of the upload"))
}

async fn offset(gateway: &Gateway, path: &str) -> Result<(u16, usize), DemoError> {
    let answer = gateway.tus("HEAD", path, |call| call).await?;
    let offset = answer.header("upload-offset").and_then(|offset| offset.parse().ok());
    let offset = offset.filter(|offset| *offset <= large_file::LENGTH);
    let expected = "one with the Upload-Offset of an upload that is not complete";
    Ok((answer.status, offset.ok_or_else(|| DemoError::Answer { call: format!("HEAD {path}"), expected })?))
}
