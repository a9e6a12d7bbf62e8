//! How fast the doors are: the release binary over loopback with full durability, held against what the disk below
//! it can do: write and sync, and for documents a committed row each. Start-up and memory on the way.
//!
//! `cargo bench --bench doors`. The disk is that of the temporary folder (`TMPDIR`). Client and gateway share the
//! machine, and a delivery to a folder runs behind each upload, as it does in life. Two runs should be a minute apart:
//! where many files were just deleted, ext4 is slow to make new ones.

mod commit;
#[expect(dead_code, reason = "the benches need a part of what the tests share")]
#[path = "../it/support/mod.rs"]
mod support;
mod table;

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use self::commit::BareDatabase;
use self::support::content::base64;
use self::support::files;
use self::support::gateway::Gateway;
use self::support::http::Request;
use self::support::random::Random;
use self::support::submission::{self, SUBMIT, accepted, note};
use self::support::tus::{create, offset_of, patch};
use self::support::wait;
use self::table::{MIB, mib_per_second, speed, timed};

type Failure = Box<dyn Error + Send + Sync>;

const LARGE: usize = 1024 * MIB;
/// One PATCH.
const PART: usize = 8 * MIB;
const DOCUMENT: usize = 20 * 1024;
const SUBMISSIONS: usize = 2_000;
/// Documents that the limit writes one after the other.
const ALONE: usize = 300;

fn main() -> Result<(), Failure> {
    start();
    resumable()?;
    documents()?;
    large_attachment()
}

fn start() {
    table::heading("Start, with nothing in the folder", "-");
    let (time, gateway) = timed(Gateway::start);
    // The look for readiness comes every 15 ms.
    table::note("start to ready", &format!("{} ms", time.as_millis()));
    if let Some(memory) = gateway.memory() {
        table::note("resident when idle", &format!("{:.1} MiB", mib(memory.resident_kib)));
    }
}

/// 1 GiB by tus, and by nothing but the disk.
fn resumable() -> Result<(), Failure> {
    let gateway = Gateway::start();
    let folder = gateway.scratch().display().to_string();
    table::heading(&format!("tus, 1 GiB in PATCHes of 8 MiB, in {folder}"), "MiB");
    let part = Random::new(1).bytes(PART);
    let (time, written) = timed(|| write_and_sync(gateway.scratch(), &part, LARGE / PART));
    written?;
    let limit = table::limit("disk: write and fdatasync of 8 MiB each", mib_per_second(LARGE, time));

    let upload = create(&gateway, LARGE as u64);
    let mut connection = gateway.connect()?;
    let (time, sent) = timed(|| -> Result<(), Failure> {
        let mut offset = 0;
        while offset < LARGE as u64 {
            let answer = connection.exchange(&patch(&upload.path, offset).body(part.as_slice()))?.expect(204);
            offset = offset_of(&answer);
        }
        Ok(())
    });
    sent?;
    table::row("one connection, to the last 204", mib_per_second(LARGE, time), limit);
    let (more, _) = timed(|| gateway.wait_delivered(&upload.id, 1));
    table::row(
        "the same, until delivered (another copy, checked)",
        mib_per_second(LARGE, time + more),
        limit,
    );
    Ok(())
}

/// Documents by `$submit-attachment`, and by nothing but the disk and the database.
fn documents() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let title = format!("$submit-attachment, documents of 20 KiB, in {}", folder.path().display());
    table::heading(&title, "document");
    let document = Random::new(2).bytes(DOCUMENT);
    // The best of three, because what disturbs a disk only ever makes it slower.
    let mut times = Vec::new();
    for round in 0..3 {
        let folder = folder.path().join(round.to_string());
        std::fs::create_dir(&folder)?;
        let (time, kept) = timed(|| keep_documents(&folder, &document));
        kept?;
        times.push(time);
    }
    let time = times.into_iter().min().unwrap_or_default();
    let what = "disk: new file synced, folder synced, one row committed";
    let limit = table::limit(what, speed(ALONE, time));
    // Kept to the end: ext4 is slow to make files where many were deleted within the last minute.
    let mut gateways = Vec::new();
    for connections in [1, 8, 64] {
        let gateway = Gateway::start();
        let (time, ()) = timed(|| {
            std::thread::scope(|scope| {
                for connection in 0..connections {
                    let (gateway, document) = (&gateway, &document);
                    scope.spawn(move || submit(gateway, document, connection, SUBMISSIONS / connections));
                }
            });
        });
        let count = SUBMISSIONS / connections * connections;
        table::row(&format!("{connections} connections, to the last 200"), speed(count, time), limit);
        let (more, ()) = timed(|| wait_for_files(&gateway, count));
        table::row("the same, until delivered", speed(count, time + more), limit);
        gateways.push(gateway);
    }
    Ok(())
}

/// One `$submit-attachment` with an attachment of 1 GiB.
fn large_attachment() -> Result<(), Failure> {
    let gateway = Gateway::start();
    let idle = gateway.memory();
    table::heading("$submit-attachment, one attachment of 1 GiB", "MiB of JSON");
    let text = base64(Random::new(3).bytes(PART / 3 * 3));
    let parts = LARGE / (PART / 3 * 3);
    let (time, written) = timed(|| write_and_sync(gateway.scratch(), text.as_bytes(), parts));
    written?;
    let sent = text.len() * parts;
    let limit =
        table::limit("disk: the same text written, fdatasync each 11 MiB", mib_per_second(sent, time));

    let whole = note("large", b"HERE");
    let (before, after) = whole.split_once(&base64(b"HERE")).ok_or("the data are in it")?;
    let length = before.len() + sent + after.len();
    let head = Request::new("POST", SUBMIT)
        .header("Content-Type", "application/fhir+json")
        .header("Content-Length", &length.to_string());
    let mut connection = gateway.connect()?;
    let (time, answer) = timed(|| {
        connection.begin(&head)?;
        connection.send(before.as_bytes())?;
        for _ in 0..parts {
            connection.send(text.as_bytes())?;
        }
        connection.send(after.as_bytes())?;
        connection.answer(false)
    });
    let ids = accepted(&answer?);
    table::row("one connection, to the 200", mib_per_second(length, time), limit);
    table::note("seconds to the 200", &format!("{:.2} s", time.as_secs_f64()));
    gateway.wait_delivered(&ids[0], 1);
    if let (Some(idle), Some(now)) = (idle, gateway.memory()) {
        let more = mib(now.peak_kib.saturating_sub(idle.resident_kib));
        table::note("most memory above idle, delivery included", &format!("{more:.1} MiB"));
    }
    Ok(())
}

/// Submits a document again and again over one connection, each time as another one.
fn submit(gateway: &Gateway, document: &[u8], connection: usize, count: usize) {
    let mut line = gateway.connect().expect("it listens");
    for number in 0..count {
        let body = note(&format!("{connection}-{number}"), document);
        let answer = line.exchange(&submission::request(body)).expect("it answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

fn wait_for_files(gateway: &Gateway, count: usize) {
    wait::until("the documents to be delivered", || {
        let files = gateway.delivered();
        (files.iter().filter(|path| !files::is_part(path)).count() >= count).then_some(())
    });
}

/// One file, written in parts that are each on stable storage before the next.
fn write_and_sync(folder: &Path, part: &[u8], parts: usize) -> std::io::Result<()> {
    let path = folder.join("limit");
    let mut file = File::create(&path)?;
    for _ in 0..parts {
        file.write_all(part)?;
        file.sync_data()?;
    }
    std::fs::remove_file(path)
}

/// What an acknowledged document costs at least: its bytes, their name, a row that says so.
fn keep_documents(folder: &Path, document: &[u8]) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut database = runtime.block_on(BareDatabase::sqlite(&folder.join("bare.db")))?;
    let entries = File::open(folder)?;
    for number in 0..ALONE {
        let mut file = File::create(folder.join(number.to_string()))?;
        file.write_all(document)?;
        file.sync_all()?;
        entries.sync_all()?;
        runtime.block_on(database.commit_row())?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "memory is read to three digits")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
