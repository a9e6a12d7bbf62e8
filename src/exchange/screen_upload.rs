//! The safety gate in the flow: what is seen of an upload when it is finished, and what a scanner says of it later.
//! An upload whose deliveries wait for the verdict has them; they are held, and released in the commit that knows.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::Exchange;
use super::follow_agenda::FollowError;
use crate::agenda::{self, Errand, Item, NewItem};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::delivery;
use crate::id::UploadId;
use crate::manifest::{SenderManifest, media_type_for};
use crate::report::{self, Report, Stage, StreamFields};
use crate::screening::scanner::{Scanned, Scanner, ScannerError};
use crate::screening::{self, HEAD_BYTES, Screened, Verdict};
use crate::telemetry::metrics::count_scans;
use crate::upload::{Source, Sources, Upload, UploadState};

/// What is reported of an upload that is held because of what is seen of it.
const HELD: &str =
    "the deliveries are held: the bytes are not of an allowed type, or not of the one they are said to be";
/// What is reported of one that the scanner stops.
const HELD_INFECTED: &str = "the deliveries are held: the scanner calls the content malicious";
/// What is reported of one that the scanner cannot judge.
const HELD_UNKNOWN: &str = "the deliveries are held: the scanner says nothing of the content";
/// What is reported of content that is delivered all the same.
const INFECTED: &str = "the scanner calls the content malicious";
const UNKNOWN: &str = "the scanner says nothing of the content";
/// How often one upload is offered to a scanner that is there, before it counts as one that cannot be judged: with the
/// waits between errands that is about an hour.
const MOST_ATTEMPTS: u32 = 15;
/// How long a scanner may take for one upload.
const LONGEST_SCAN: Duration = Duration::from_mins(9);
/// Manifest keys by which senders tell a media type.
const TYPE_KEYS: [&str; 3] = ["filetype", "content_type", "mime_type"];

impl Exchange {
    /// What is to be remembered of bytes that begin like this.
    pub(super) fn screen(&self, declared: Option<&str>, head: &[u8]) -> Option<Screened> {
        self.screening.open(self.screening.look(declared, head))
    }

    /// The same of an upload all of whose bytes are at hand.
    pub(super) fn screen_whole(&self, upload: &Upload, bytes: &[u8]) -> Option<Screened> {
        if upload.is_partial() {
            return None;
        }
        self.screen(declared_type(upload).as_deref(), bytes.get(..HEAD_BYTES).unwrap_or(bytes))
    }

    /// The same of an upload whose last byte is in the store. Nobody looks at a part by itself. Bytes that cannot be
    /// read are not recognised: that they cannot is for the delivery to find out.
    pub(super) async fn screen_stored(&self, upload: &Upload) -> Option<Screened> {
        if upload.is_partial() {
            return None;
        }
        let head = self.uploads.head(upload, HEAD_BYTES).await.unwrap_or_else(|error| {
            tracing::warn!(upload.id = %upload.id, %error, "the beginning of an upload cannot be read");
            Bytes::new()
        });
        self.screen(declared_type(upload).as_deref(), &head)
    }

    /// Has an upload looked at by the scanner, and lets its deliveries go or not.
    pub(super) async fn scan_upload(self: &Arc<Self>, item: &Item) -> Result<(), FollowError> {
        let Some(scanner) = &self.screening.scanner else { return self.without_scanner(item).await };
        let Some((id, upload, before)) = self.to_be_scanned(item).await? else {
            return Ok(self.forget(item).await?);
        };
        let finding = match self.ask_scanner(scanner, item, id).await {
            Ok(finding) => Some(finding),
            Err(error) if is_final(scanner, item, &error).await => {
                tracing::warn!(upload.id = %id, %error, "the scanner will say nothing of an upload");
                None
            }
            Err(error) => return Err(FollowError::Unavailable(error.to_string())),
        };
        let now = self.clock.now();
        let after = self.screening.judged(&before, finding, now);
        count_scans(after.verdict.as_str());
        if after.verdict == Verdict::Infected {
            tracing::warn!(upload.id = %id, held = after.is_held, "the scanner found something");
        }
        let stream = upload.stream();
        self.judge(Judgement {
            item: item.clone(),
            id,
            is_released: before.is_held && !after.is_held,
            after,
            stream,
            now,
        })
        .await
    }

    /// The scanner was taken away: what waited for it is judged by what is seen of it.
    async fn without_scanner(self: &Arc<Self>, item: &Item) -> Result<(), FollowError> {
        let Some((id, upload, before)) = self.to_be_scanned(item).await? else {
            return Ok(self.forget(item).await?);
        };
        let open = self.screening.open(before.look.clone());
        let after = Screened {
            verdict: Verdict::Skipped,
            is_held: before.is_held && open.is_some_and(|open| open.is_held),
            ..before.clone()
        };
        let (stream, now) = (upload.stream(), self.clock.now());
        self.judge(Judgement {
            item: item.clone(),
            id,
            is_released: before.is_held && !after.is_held,
            after,
            stream,
            now,
        })
        .await
    }

    async fn to_be_scanned(&self, item: &Item) -> Result<Option<(UploadId, Upload, Screened)>, DbError> {
        let Ok(id) = item.subject.parse() else { return Ok(None) };
        let found = self.uploads.find(&item.access(), id).await?;
        // One that its sender has removed meanwhile has nothing left to look at.
        let Some(upload) = found.filter(|upload| upload.state == UploadState::Complete) else {
            return Ok(None);
        };
        let mut reader = self.db.reader().await?;
        let screened = screening::find(&mut reader.tx(), &item.access(), id).await?;
        let screened = screened.filter(|screened| screened.verdict == Verdict::Pending);
        Ok(screened.map(|screened| (id, upload, screened)))
    }

    async fn ask_scanner(
        &self,
        scanner: &Scanner,
        item: &Item,
        id: UploadId,
    ) -> Result<screening::scanner::Finding, ScannerError> {
        let source = self.uploads.open(&item.access(), id).await;
        let source = source.map_err(|error| ScannerError::Bytes(io::Error::other(error)))?;
        let length = source.length();
        // An errand that took longer would be taken for lost, and begun again beside this one.
        let scan = tokio::time::timeout(LONGEST_SCAN, scanner.scan(stream_of(source), length));
        scan.await.unwrap_or(Err(ScannerError::Unreachable))
    }

    async fn judge(self: &Arc<Self>, judgement: Judgement) -> Result<(), FollowError> {
        let judged: Result<(), DbError> =
            self.db.write(judgement, |judgement, tx| Box::pin(judgement.write(tx))).await;
        self.deliveries.wake();
        Ok(judged?)
    }
}

/// Whether asking again leads to nothing. A scanner that is away is waited for, however long it takes; what it fails at
/// again and again while it is there, or what cannot be read, is not.
async fn is_final(scanner: &Scanner, item: &Item, error: &ScannerError) -> bool {
    let is_worn_out = item.attempts >= MOST_ATTEMPTS;
    match error {
        ScannerError::Refused => true,
        ScannerError::Bytes(_) => is_worn_out,
        ScannerError::Unreachable => is_worn_out && scanner.check().await.is_ok(),
    }
}

/// A verdict, as a unit of writing.
struct Judgement {
    item: Item,
    id: UploadId,
    after: Screened,
    is_released: bool,
    stream: StreamFields,
    now: Timestamp,
}

impl Judgement {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        if !agenda::done(tx, &self.item).await? {
            return Ok(());
        }
        let access = self.item.access();
        screening::update(tx, &access, self.id, &self.after).await?;
        if self.is_released {
            delivery::release(tx, &access, self.id, self.now).await?;
        }
        let report = match (self.after.verdict, self.after.is_held) {
            (Verdict::Infected, true) => Some(held(HELD_INFECTED, self.now)),
            (Verdict::Failed, true) => Some(held(HELD_UNKNOWN, self.now)),
            (Verdict::Clean | Verdict::Skipped | Verdict::Pending, true) => Some(held(HELD, self.now)),
            (Verdict::Infected, false) => Some(noted(INFECTED, self.now)),
            (Verdict::Failed, false) => Some(noted(UNKNOWN, self.now)),
            (Verdict::Clean | Verdict::Skipped | Verdict::Pending, false) => None,
        };
        report::record(tx, &self.stream, report.as_slice()).await
    }
}

/// Writes what is remembered of an upload, in the unit that finishes it and after its deliveries; gives the reports
/// on it.
pub(super) async fn write_screened(
    tx: &mut Tx<'_>,
    upload: &Upload,
    screened: Option<&Screened>,
    now: Timestamp,
) -> Result<Vec<Report>, DbError> {
    let Some(screened) = screened else { return Ok(vec![Report::success(Stage::UploadCompleted, now, now)]) };
    let access = Access::of_owner(&upload.tenant, &upload.owner);
    screening::insert(tx, &access, upload.id, screened, now).await?;
    if screened.is_held {
        delivery::hold(tx, &access, upload.id, now).await?;
    }
    if screened.verdict == Verdict::Pending {
        let scan = NewItem {
            tenant: upload.tenant.clone(),
            owner: upload.owner.clone(),
            errand: Errand::ScanUpload,
            subject: upload.id.to_string(),
            version: 0,
            due_at: now,
        };
        agenda::add(tx, &[scan]).await?;
    }
    let completed = match screened.look.remark() {
        Some(remark) => noted(&remark, now),
        None => Report::success(Stage::UploadCompleted, now, now),
    };
    // While the scanner is asked nothing is said of what is held: it may be let go.
    let is_final = screened.is_held && screened.verdict != Verdict::Pending;
    Ok([Some(completed), is_final.then(|| held(HELD, now))].into_iter().flatten().collect())
}

/// The upload is complete, and somebody should know this.
fn noted(remark: &str, now: Timestamp) -> Report {
    Report::success(Stage::UploadCompleted, now, now).noting(remark)
}

/// Nothing of the upload goes anywhere.
fn held(reason: &str, now: Timestamp) -> Report {
    let nowhere =
        Stage::BlobFileCopy { file_destination_blob_url: String::new(), destination_name: String::new() };
    Report::failure(nowhere, reason, now, now)
}

/// What the sender of an upload says that its bytes are: in so many words, or by the name of the file.
fn declared_type(upload: &Upload) -> Option<String> {
    let told = |manifest: &SenderManifest| {
        let mut keys = TYPE_KEYS.iter().filter_map(|key| manifest.fields().get(key));
        keys.find(|told| told.contains('/')).map(str::to_owned)
    };
    let by_name = || media_type_for(upload.manifest.filename()).map(str::to_owned);
    upload.media_type.clone().or_else(|| told(&upload.manifest)).or_else(by_name)
}

fn stream_of(source: Box<dyn Source>) -> Scanned {
    let blocks = stream::try_unfold(source, |mut source| async move {
        let block = source.next().await.map_err(io::Error::other)?;
        Ok(block.map(|block| (block, source)))
    });
    blocks.boxed()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::clock::Clock;
    use crate::config::Reaction;
    use crate::db::testing::for_each_database;
    use crate::exchange::testing::Gateway;
    use crate::screening::Screening;
    use crate::screening::scanner::Clamd;

    /// How the scanner is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Clam {
        /// It is not there.
        Away,
        /// It is there, and breaks off whatever it is given.
        Failing,
        /// It is there, and waits for what it is given.
        Well,
    }

    /// A clamd at a socket in this folder.
    fn clamd(folder: &std::path::Path, is: Clam) -> Scanner {
        let path = folder.join(format!("{is:?}.sock"));
        if is != Clam::Away && !path.exists() {
            let listener = UnixListener::bind(&path).expect("the socket can be bound");
            TaskTracker::new().spawn(async move {
                while let Ok((mut socket, _)) = listener.accept().await {
                    let mut command = [0; 6];
                    let _ = socket.read_exact(&mut command).await;
                    if &command == b"zPING\0" {
                        let _ = socket.write_all(b"PONG\0").await;
                    } else if is == Clam::Well {
                        let _ = socket.read_to_end(&mut Vec::new()).await;
                    }
                }
            });
        }
        Scanner::Clamd(Clamd::new(&path.to_string_lossy(), Duration::from_secs(5)))
    }

    async fn due(gateway: &Gateway) -> Vec<Item> {
        let now = gateway.clock.now();
        let taken: Result<Vec<Item>, DbError> = gateway
            .exchange
            .db
            .write((), move |(), tx| Box::pin(agenda::take(tx, now, LONGEST_SCAN, 10)))
            .await;
        taken.expect("it is read")
    }

    #[tokio::test]
    async fn what_leads_to_nothing_is_given_up_after_a_while_and_a_scanner_that_is_away_is_waited_for() {
        for_each_database(|db| async move {
            for (is, is_readable, attempts, expected) in [
                (Clam::Away, true, MOST_ATTEMPTS, Verdict::Pending),
                (Clam::Failing, true, MOST_ATTEMPTS - 1, Verdict::Pending),
                (Clam::Failing, true, MOST_ATTEMPTS, Verdict::Failed),
                (Clam::Well, false, MOST_ATTEMPTS - 1, Verdict::Pending),
                (Clam::Well, false, MOST_ATTEMPTS, Verdict::Failed),
            ] {
                let sockets = tempfile::tempdir().expect("a temporary folder");
                let scanner = Some(clamd(sockets.path(), is));
                let gateway = Gateway::with(&db, |exchange| {
                    exchange.screening =
                        Screening { on_infected: Reaction::Quarantine, scanner, ..Screening::noting() };
                });
                let id = gateway.create(5).await;
                gateway.append(id, 0, b"bytes").await;
                if !is_readable {
                    std::fs::remove_dir_all(gateway.folder.path().join("uploads")).expect("it is removed");
                }
                for _ in 0..=attempts {
                    gateway.clock.advance(Duration::from_hours(1));
                    for item in due(&gateway).await {
                        gateway.exchange.follow(item).await;
                    }
                }
                let access = Access::of_worker("default");
                let mut reader = db.reader().await.expect("a reader");
                let found = screening::find(&mut reader.tx(), &access, id).await.expect("it is read");
                let found = found.expect("it is screened");
                assert_eq!((found.verdict, found.is_held), (expected, true), "{is:?} {attempts}");
                let left = agenda::count(&mut reader.tx(), Errand::ScanUpload).await.expect("it is read");
                assert_eq!(left > 0, expected == Verdict::Pending, "{is:?} {attempts}");
                drop(reader);
                assert_eq!(gateway.deliver().await, 0, "what is held goes nowhere");
                // The next case begins with nothing to do.
                gateway.clock.advance(Duration::from_hours(1));
                for item in due(&gateway).await {
                    gateway.exchange.forget(&item).await.expect("it is forgotten");
                }
            }
        })
        .await;
    }
}
