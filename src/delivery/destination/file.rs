//! The file system as a target: a staged copy, compared, synced and renamed.
//!
//! The bytes are read once; a thread of its own hashes and writes them. Below the root lie payloads,
//! `.part-*` while they are written, and `*.meta.json` where sidecars are on; nothing else.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use crate::digest::{Digest, Sha256};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::directory::{self, Directory, Staged, Synced};
use super::name::{PART, sidecar_of, split, with_suffix};
use super::{Delivered, DeliveryRequest, Destination};
use crate::delivery::{ClashPolicy, DeliveryError};
use crate::id::UploadId;
use crate::upload::{Source, SourceError};

/// Payloads up to this many bytes are read whole before they are written.
const SHORT: u64 = 256 * 1024;
/// Blocks on their way to the writing thread: enough to read and write at once, at most a few MiB a copy.
const BLOCKS_AHEAD: usize = 2;

/// A file target as configured.
#[derive(Debug, Clone)]
pub(crate) struct FileSettings {
    /// The folder below which everything is written; absolute.
    pub(crate) root: PathBuf,
    /// What happens if other content is at the path already.
    pub(crate) clash_policy: ClashPolicy,
    /// Whether the manifest is written beside each payload, as `{name}.meta.json`.
    pub(crate) metadata_sidecar: bool,
    /// Whether "delivered" includes that it survives a loss of power.
    pub(crate) durable: bool,
}

/// Delivers into a folder.
#[derive(Debug, Clone)]
pub(crate) struct FileDestination {
    settings: Arc<FileSettings>,
    /// Present where "delivered" includes that it survives a loss of power.
    synced: Option<Arc<Synced>>,
}

impl FileDestination {
    /// A target that is this folder.
    pub(crate) fn new(settings: FileSettings) -> Self {
        let synced = settings.durable.then(Arc::default);
        Self { settings: Arc::new(settings), synced }
    }

    /// Removes what crashed attempts left behind, and returns how many files that were. Only at start, and
    /// only where no other gateway delivers into the same folder.
    pub(crate) async fn sweep(&self) -> Result<u64, DeliveryError> {
        let settings = self.settings.clone();
        in_thread(move || Ok(directory::sweep(&settings.root)?)).await
    }
}

#[async_trait]
impl Destination for FileDestination {
    async fn deliver(&self, request: DeliveryRequest<'_>) -> Result<Delivered, DeliveryError> {
        let (parents, name) = split(request.path)?;
        let copy = Copy {
            settings: self.settings.clone(),
            synced: self.synced.clone(),
            parents: parents.iter().map(|&parent| parent.to_owned()).collect(),
            name: name.to_owned(),
            staged_name: format!("{PART}{}", request.delivery_id),
            lease_epoch: request.lease_epoch,
            upload_id: request.upload_id,
            length: request.source.length(),
            manifest: self.settings.metadata_sidecar.then(|| request.manifest.to_vec()),
        };
        if copy.length <= SHORT {
            // All of it is at hand before a thread is asked for, which then waits for nothing. Dropping this future
            // does not end a copy that has begun: as after a crash, the next attempt finds what it left.
            let arrived = gather(request.source).await?;
            return in_thread(move || copy.run(arrived.into_iter())).await;
        }
        let (blocks, mut arriving) = mpsc::channel(BLOCKS_AHEAD);
        let arriving = std::iter::from_fn(move || arriving.blocking_recv());
        // Both at once: the thread waits for blocks, and dropping this future ends it.
        let (fed, written) =
            tokio::join!(feed(request.source, blocks), in_thread(move || copy.run(arriving)));
        // If reading failed the thread has only seen the end of its blocks: the reason is the reader's.
        fed?;
        written
    }

    async fn check(&self) -> Result<(), DeliveryError> {
        let (settings, synced) = (self.settings.clone(), self.synced.clone());
        in_thread(move || Directory::open(&settings.root, &[], synced.as_deref()).map(drop)).await
    }
}

/// What the writing thread is told.
enum Arriving {
    Block(Bytes),
    /// The source has ended, and says that its bytes have this SHA-256.
    End(Option<[u8; 32]>),
}

/// All that a source has.
async fn gather(mut source: Box<dyn Source>) -> Result<Vec<Arriving>, SourceError> {
    let mut arrived = Vec::new();
    while let Some(block) = source.next().await? {
        arrived.push(Arriving::Block(block));
    }
    arrived.push(Arriving::End(source.sha256()));
    Ok(arrived)
}

/// Hands the source's blocks to the writing thread until either has had enough.
async fn feed(mut source: Box<dyn Source>, blocks: mpsc::Sender<Arriving>) -> Result<(), SourceError> {
    while let Some(block) = source.next().await? {
        if blocks.send(Arriving::Block(block)).await.is_err() {
            return Ok(());
        }
    }
    // A thread that is gone has its own reason to tell.
    let _ = blocks.send(Arriving::End(source.sha256())).await;
    Ok(())
}

/// One copy, as the writing thread sees it.
struct Copy {
    settings: Arc<FileSettings>,
    synced: Option<Arc<Synced>>,
    parents: Vec<String>,
    name: String,
    staged_name: String,
    lease_epoch: i64,
    upload_id: UploadId,
    length: u64,
    manifest: Option<Vec<u8>>,
}

impl Copy {
    fn run(self, arriving: impl Iterator<Item = Arriving>) -> Result<Delivered, DeliveryError> {
        let parents: Vec<&str> = self.parents.iter().map(String::as_str).collect();
        let directory = Directory::open(&self.settings.root, &parents, self.synced.as_deref())?;
        for earlier in 1..self.lease_epoch {
            directory.remove(&self.staged(earlier))?;
            directory.remove(&sidecar_of(&self.staged(earlier)))?;
        }
        let mut staged = directory.stage(self.staged(self.lease_epoch))?;
        let sha256 = self.fill(&mut staged, arriving)?;
        staged.sync()?;
        let name = self.place(&directory, &mut staged, &sha256)?;
        if let Some(manifest) = &self.manifest {
            let mut sidecar = directory.stage(sidecar_of(&self.staged(self.lease_epoch)))?;
            sidecar.file().write_all(manifest)?;
            sidecar.sync()?;
            sidecar.place_over(&sidecar_of(&name))?;
        }
        directory.sync()?;
        Ok(Delivered { location: self.location(&name), length: self.length, sha256, remark: None })
    }

    /// Writes what arrives, and compares it with what the source promised.
    fn fill(
        &self,
        staged: &mut Staged<'_>,
        mut arriving: impl Iterator<Item = Arriving>,
    ) -> Result<[u8; 32], DeliveryError> {
        let (mut written, mut hash) = (0_u64, Sha256::new());
        let promised = loop {
            match arriving.next() {
                Some(Arriving::Block(block)) => {
                    hash.update(&block);
                    staged.file().write_all(&block)?;
                    written += block.len() as u64;
                    if written > self.length {
                        return Err(DeliveryError::LengthMismatch { expected: self.length, written });
                    }
                }
                Some(Arriving::End(promised)) => break promised,
                // The reader failed, or the attempt was given up: nobody reads this answer.
                None => return Err(SourceError::Truncated.into()),
            }
        };
        if written != self.length {
            return Err(DeliveryError::LengthMismatch { expected: self.length, written });
        }
        let sha256 = <[u8; 32]>::from(hash.finalize());
        if promised.is_some_and(|promised| promised != sha256) {
            return Err(DeliveryError::HashMismatch);
        }
        Ok(sha256)
    }

    /// Gives the staged file its name, by the rules of the target, and says which one it got. A name that
    /// holds the same bytes already is as good if there was an earlier attempt, which may have got that far;
    /// on a first one it is another upload's.
    fn place(
        &self,
        directory: &Directory<'_>,
        staged: &mut Staged<'_>,
        sha256: &[u8; 32],
    ) -> Result<String, DeliveryError> {
        let is_first = self.lease_epoch <= 1;
        let mut taken_or_held = |name: &str| -> Result<bool, DeliveryError> {
            Ok(staged.place_if_free(name)? || (!is_first && directory.holds(name, self.length, sha256)?))
        };
        if taken_or_held(&self.name)? {
            return Ok(self.name.clone());
        }
        match self.settings.clash_policy {
            ClashPolicy::Fail => Err(DeliveryError::PathTaken),
            ClashPolicy::SuffixUploadId => {
                let beside = with_suffix(&self.name, self.upload_id);
                if taken_or_held(&beside)? { Ok(beside) } else { Err(DeliveryError::PathTaken) }
            }
            ClashPolicy::Overwrite => {
                staged.place_over(&self.name)?;
                Ok(self.name.clone())
            }
        }
    }

    fn staged(&self, lease_epoch: i64) -> String {
        format!("{}-{lease_epoch}", self.staged_name)
    }

    fn location(&self, name: &str) -> String {
        let mut path = self.settings.root.clone();
        path.extend(&self.parents);
        path.push(name);
        path.to_string_lossy().into_owned()
    }
}

/// Runs what blocks in a thread that may. A panic there is the attempt's.
async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeliveryError> + Send + 'static,
) -> Result<T, DeliveryError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(DeliveryError::Panicked))
}
