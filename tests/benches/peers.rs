//! How fast uploads are taken, held against another tus server: `@tus/server` with its file store, by the same client
//! on the same disk in the same run. Ours answers when what it took is on stable storage, and delivers each file behind
//! that; theirs does neither.
//!
//! `cargo bench --bench peers` (Node.js installs the server; `-- large` or `-- small` runs one of the two). Wanted
//! are, for 1 GiB in 8 MiB chunks, 1 × the other server and 0.75 × `dd bs=8M oflag=dsync`, and for 1,000 files of 20 KB
//! over one connection 4 × the other server (README, "How fast").

#[expect(dead_code, reason = "the benches need a part of what the tests share")]
#[path = "../it/support/mod.rs"]
mod support;
mod table;

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use self::support::gateway::Gateway;
use self::support::http::Connection;
use self::support::random::Random;
use self::support::tus::{self, Created, MANIFEST, created, offset_of, patch};
use self::support::tus_server::TusServer;
use self::support::{files, wait};
use self::table::{MIB, mib_per_second, speed, timed};

type Failure = Box<dyn Error + Send + Sync>;

const LARGE: usize = 1024 * MIB;
/// One PATCH of the large file.
const PART: usize = 8 * MIB;
/// Files over one connection, and their length.
const FILES: usize = 1_000;
const FILE: usize = 20_000;
/// Each is measured so often, in turns, and the best counts: what disturbs a disk only ever makes it slower.
const ROUNDS: usize = 3;

fn main() -> Result<(), Failure> {
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_asked = |word: &str| asked.is_empty() || asked.iter().any(|asked| asked == word);
    if is_asked("large") {
        large()?;
    }
    if is_asked("small") {
        small("each created with its bytes, one request", with_bytes)?;
        small("each created, then sent, two requests", then_bytes)?;
    }
    Ok(())
}

/// 1 GiB in one upload.
fn large() -> Result<(), Failure> {
    let gateway = Gateway::start();
    let part = Random::new(1).bytes(PART);
    let [mut disk, mut theirs, mut ours] = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        disk = disk.min(dd(gateway.scratch())?);
        let Some(server) = TusServer::start() else { return Ok(()) };
        theirs = theirs.min(send_large(server.address(), &part)?.0);
        drop(server);
        let (time, upload) = send_large(gateway.address(), &part)?;
        ours = ours.min(time);
        // The next turn has the disk for itself.
        gateway.wait_delivered(&upload.id, 1);
    }
    let [disk, theirs, ours] = [disk, theirs, ours].map(|time| mib_per_second(LARGE, time));
    table::heading("1 GiB in PATCHes of 8 MiB, against @tus/server", "MiB");
    table::limit("@tus/server", theirs);
    table::row("this gateway, to the last 204", ours, theirs);
    table::heading("the same against the disk", "MiB");
    table::limit("dd bs=8M oflag=dsync", disk);
    table::row("this gateway, to the last 204", ours, disk);
    Ok(())
}

/// How one file is sent over a connection.
type Sending = fn(&mut Connection, &[u8]) -> Result<(), Failure>;

/// Many small files over one connection.
fn small(how: &str, send: Sending) -> Result<(), Failure> {
    let content = Random::new(2).bytes(FILE);
    let [mut theirs, mut ours, mut unsynced] = [Duration::MAX; 3];
    // Kept to the end: ext4 is slow to make files where many were deleted within the last minute.
    let (mut gateways, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let Some(server) = TusServer::start() else { return Ok(()) };
        theirs = theirs.min(send_small(server.address(), &content, send)?);
        for (durability, best) in [("full", &mut ours), ("process", &mut unsynced)] {
            let gateway = Gateway::with(&[("CDEX_DURABILITY", durability)]);
            *best = (*best).min(send_small(gateway.address(), &content, send)?);
            wait::until("the files to be delivered", || {
                let whole = gateway.delivered().into_iter().filter(|path| !files::is_part(path)).count();
                (whole >= FILES).then_some(())
            });
            gateways.push(gateway);
        }
        servers.push(server);
    }
    let [theirs, ours, unsynced] = [theirs, ours, unsynced].map(|time| speed(FILES, time));
    table::heading(&format!("1,000 files of 20 KB over one connection: {how}"), "file");
    table::limit("@tus/server", theirs);
    table::row("this gateway", ours, theirs);
    table::row("this gateway, durability `process`", unsynced, theirs);
    Ok(())
}

/// What a disk takes that has to have each 8 MiB before the next.
fn dd(folder: &Path) -> Result<Duration, Failure> {
    let file = folder.join("dd");
    let mut command = Command::new("dd");
    command.args(["if=/dev/zero", "bs=8M", "count=128", "oflag=dsync"]);
    command.arg(format!("of={}", file.display()));
    let (time, output) = timed(|| command.output());
    if !output?.status.success() {
        return Err("dd failed".into());
    }
    std::fs::remove_file(file)?;
    Ok(time)
}

/// One upload of 1 GiB over one connection, and how long it takes from the creation to the last answer.
fn send_large(server: SocketAddr, part: &[u8]) -> Result<(Duration, Created), Failure> {
    let mut connection = Connection::open(server)?;
    let (time, upload) = timed(|| -> Result<Created, Failure> {
        let creation = tus::creation("/files", LARGE as u64, &tus::metadata(MANIFEST));
        let upload = created(&connection.exchange(&creation)?);
        let mut offset = 0;
        while offset < LARGE as u64 {
            let head = patch(&upload.path, offset).header("Content-Length", &part.len().to_string());
            connection.begin(&head)?;
            connection.send(part)?;
            offset = offset_of(&connection.answer(false)?.expect(204));
        }
        Ok(upload)
    });
    Ok((time, upload?))
}

/// All the small files, one after the other.
fn send_small(server: SocketAddr, content: &[u8], send: Sending) -> Result<Duration, Failure> {
    let mut connection = Connection::open(server)?;
    let (time, sent) = timed(|| (0..FILES).try_for_each(|_| send(&mut connection, content)));
    sent?;
    Ok(time)
}

fn with_bytes(connection: &mut Connection, content: &[u8]) -> Result<(), Failure> {
    let creation = tus::request("POST", "/files")
        .header("Upload-Length", &content.len().to_string())
        .header("Upload-Metadata", &tus::metadata(MANIFEST))
        .header("Content-Type", "application/offset+octet-stream");
    let answer = connection.exchange(&creation.body(content))?.expect(201);
    assert_eq!(offset_of(&answer), content.len() as u64);
    Ok(())
}

fn then_bytes(connection: &mut Connection, content: &[u8]) -> Result<(), Failure> {
    let creation = tus::creation("/files", content.len() as u64, &tus::metadata(MANIFEST));
    let upload = created(&connection.exchange(&creation)?);
    let answer = connection.exchange(&patch(&upload.path, 0).body(content))?.expect(204);
    assert_eq!(offset_of(&answer), content.len() as u64);
    Ok(())
}
