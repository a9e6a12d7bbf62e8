//! A tus client: uploads a file in pieces and, when the line breaks, asks how much arrived and goes on.
//!
//! ```text
//! cargo run -- serve
//! cargo run --example tus_upload -- FILE [GATEWAY [UPLOAD]]
//! ```
//!
//! `GATEWAY` is `http://127.0.0.1:8080` unless given. With the path of an `UPLOAD` that was begun before,
//! that one is resumed. Nothing of the gateway's own code is used here: this is what any client does.

use std::error::Error;
use std::io::SeekFrom;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Response, StatusCode};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Bytes in one PATCH. The gateway takes any number; a piece is what a broken line can cost.
const PIECE: u64 = 8 * 1024 * 1024;

/// Failures in a row before giving up.
const TRIES: u32 = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("usage: tus_upload FILE [GATEWAY [UPLOAD]]")?;
    let gateway = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());

    let client = client()?;
    let mut file = File::open(&name).await?;
    let length = file.metadata().await?.len();
    let upload = match arguments.next() {
        Some(path) => format!("{gateway}{path}"),
        None => create(&client, &gateway, &name, length).await?,
    };
    println!("{upload}");

    let mut failures = 0;
    let mut offset = ask_offset(&client, &upload).await?;
    while offset < length {
        file.seek(SeekFrom::Start(offset)).await?;
        let mut piece = Vec::new();
        (&mut file).take(PIECE).read_to_end(&mut piece).await?;
        match append(&client, &upload, offset, piece).await {
            Ok(reached) => {
                offset = reached;
                failures = 0;
                println!("{offset} of {length} bytes");
            }
            // The gateway knows best what arrived.
            Err(error) if failures < TRIES => {
                eprintln!("{error}; asking how much arrived");
                failures += 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
                offset = ask_offset(&client, &upload).await.unwrap_or(offset);
            }
            Err(error) => return Err(error),
        }
    }
    println!("complete; its status is at {}", upload.replace("/upload/files/", "/upload/info/"));
    Ok(())
}

/// POST: gives the URL of the new upload.
async fn create(
    client: &reqwest::Client,
    gateway: &str,
    name: &str,
    length: u64,
) -> Result<String, Box<dyn Error>> {
    let file_name = Path::new(name).file_name().and_then(|name| name.to_str()).ok_or("no file name")?;
    // The sender manifest: a key and its value in base64, separated by commas.
    let manifest = [
        ("version", "2.0"),
        ("data_stream_id", "cdex"),
        ("data_stream_route", "attachment"),
        ("sender_id", "example-sender"),
        ("data_producer_id", "example-producer"),
        ("jurisdiction", "null"),
        ("received_filename", file_name),
    ];
    let metadata = manifest
        .map(|(key, value)| format!("{key} {}", base64_simd::STANDARD.encode_to_string(value)))
        .join(",");
    let answer = client
        .post(format!("{gateway}/upload/files"))
        .header("Tus-Resumable", "1.0.0")
        .header("Upload-Length", length)
        .header("Upload-Metadata", metadata)
        .send()
        .await?;
    let answer = expect(answer, StatusCode::CREATED).await?;
    let location = answer.headers().get(LOCATION).ok_or("no Location")?.to_str()?;
    Ok(if location.starts_with('/') { format!("{gateway}{location}") } else { location.to_owned() })
}

/// HEAD: how much arrived.
async fn ask_offset(client: &reqwest::Client, upload: &str) -> Result<u64, Box<dyn Error>> {
    let answer = client.head(upload).header("Tus-Resumable", "1.0.0").send().await?;
    offset_of(&expect(answer, StatusCode::OK).await?)
}

/// PATCH: gives the offset that was reached.
async fn append(
    client: &reqwest::Client,
    upload: &str,
    offset: u64,
    piece: Vec<u8>,
) -> Result<u64, Box<dyn Error>> {
    let answer = client
        .patch(upload)
        .header("Tus-Resumable", "1.0.0")
        .header("Upload-Offset", offset)
        .header(CONTENT_TYPE, "application/offset+octet-stream")
        .body(piece)
        .send()
        .await?;
    offset_of(&expect(answer, StatusCode::NO_CONTENT).await?)
}

fn offset_of(answer: &Response) -> Result<u64, Box<dyn Error>> {
    Ok(answer.headers().get("Upload-Offset").ok_or("no Upload-Offset")?.to_str()?.parse()?)
}

/// The answer if it has this status; else what the gateway says.
async fn expect(answer: Response, status: StatusCode) -> Result<Response, Box<dyn Error>> {
    if answer.status() == status {
        return Ok(answer);
    }
    Err(format!("{}: {}", answer.status(), answer.text().await?.trim_end()).into())
}

#[expect(clippy::disallowed_methods, reason = "the ban is for the gateway; this is a client of its own")]
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().build()
}
