//! Blobs as local files. Bytes are gathered into blocks of 1 MiB; a block is hashed and written on a
//! blocking thread while the next one fills, and a thread is taken only while there is something to write,
//! so that ten thousand slow senders do not hold ten thousand threads.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{Advice, fadvise};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{BlobError, BlobReader, BlobStore, BlobWriter, Segment, StorageKey, WantedHash};
use crate::digest::Hasher;

/// What the check of the store writes: a block, so that a full disk cannot hide it in a folder's entry.
const PROBE: &[u8] = &[0; 4096];
/// Bytes written after which a long write is synced, so that the last sync of a large payload is short.
const SYNC_EVERY: u64 = 64 * 1024 * 1024;
/// Bytes that are read when a blob is opened.
const AHEAD: usize = 64 * 1024;
/// Bytes gathered before a blocking thread is asked to write them.
const BLOCK: usize = 1024 * 1024;

/// Blobs below one folder.
#[derive(Debug, Clone)]
pub(crate) struct FileBlobs {
    root: PathBuf,
    durable: bool,
    opened_at: SystemTime,
    /// Folders known to be durable in their parents: that one exists says nothing, another request may have
    /// made it a moment ago.
    durable_folders: Arc<Mutex<HashSet<PathBuf>>>,
}

impl FileBlobs {
    /// Opens the store, making its folder if need be.
    ///
    /// With `durable` off nothing is fsynced: a crash of the process loses nothing, one of the machine may.
    pub(crate) fn open(root: PathBuf, durable: bool) -> Result<Self, BlobError> {
        make_folders(&root, durable)?;
        let opened_at = next_tick(&root.join(".opened"))?;
        Ok(Self { root, durable, opened_at, durable_folders: Arc::default() })
    }

    /// `root/tenant/owner/ab/upload`: a level by the id's first two digits keeps folders small.
    fn path(&self, key: &StorageKey) -> PathBuf {
        let (folder, name) = key.as_str().rsplit_once('/').unwrap_or(("", key.as_str()));
        self.root.join(folder).join(name.get(..2).unwrap_or(name)).join(name)
    }

    /// The file that says whose store this is: beside the folder, in which only payloads lie.
    fn mark_file(&self) -> PathBuf {
        let name = self.root.file_name().unwrap_or_default().to_string_lossy();
        self.root.with_file_name(format!(".{name}.store-id"))
    }

    /// Runs `work` on a blocking thread.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let store = self.clone();
        spawn_blocking(move || work(store)).await.unwrap_or_else(|_| Err(interrupted()))
    }

    /// Makes a folder below the root and its ancestors, each durable in its parent.
    fn make_folders(&self, folder: &Path) -> std::io::Result<()> {
        if folder == self.root || self.durable_folders.lock().is_ok_and(|known| known.contains(folder)) {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            self.make_folders(parent)?;
            make_folder(folder, parent, self.durable)?;
        }
        if let Ok(mut known) = self.durable_folders.lock() {
            known.insert(folder.to_owned());
        }
        Ok(())
    }

    fn open_to_append(&self, path: &Path, offset: u64, hash: WantedHash) -> Result<Core, BlobError> {
        let mut options = OpenOptions::new();
        options.write(true).mode(0o600);
        let fresh = offset == 0;
        if fresh {
            options.create(true);
            if let Some(folder) = path.parent() {
                self.make_folders(folder)?;
            }
        }
        let mut file = match options.open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BlobError::Short { expected: offset, found: 0 });
            }
            opened => opened?,
        };
        let found = file.metadata()?.len();
        if found < offset {
            return Err(BlobError::Short { expected: offset, found });
        }
        if found > offset {
            file.set_len(offset)?;
        }
        file.seek(SeekFrom::Start(offset))?;
        Ok(Core {
            file,
            position: offset,
            folder_to_sync: fresh.then(|| path.parent().map(Path::to_owned)).flatten(),
            durable: self.durable,
            segment_hash: match hash {
                WantedHash::Any => Hasher::blake3(),
                WantedHash::Sha256 => Hasher::sha256(),
            },
        })
    }
}

#[async_trait]
impl BlobStore for FileBlobs {
    async fn append(
        &self,
        key: &StorageKey,
        offset: u64,
        hash: WantedHash,
    ) -> Result<Box<dyn BlobWriter>, BlobError> {
        let path = self.path(key);
        let core = self.run(move |store| store.open_to_append(&path, offset, hash)).await?;
        Ok(Box::new(FileWriter {
            core: Some(core),
            busy: None,
            gathered: Vec::new(),
            gathered_bytes: 0,
            first_byte: offset,
            length: 0,
            unsynced: 0,
        }))
    }

    async fn store(&self, blobs: Vec<(StorageKey, Bytes)>) -> Result<(), BlobError> {
        self.run(move |store| {
            // All are on their way to the disk before the first is waited for.
            let mut cores = Vec::with_capacity(blobs.len());
            for (key, bytes) in blobs {
                let mut core = store.open_to_append(&store.path(&key), 0, WantedHash::Any)?;
                core.write_out(&[bytes])?;
                cores.push(core);
            }
            let mut folders = HashSet::new();
            for mut core in cores {
                folders.extend(core.folder_to_sync.take());
                if store.durable {
                    core.file.sync_all()?;
                }
            }
            for folder in folders.iter().filter(|_| store.durable) {
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        })
        .await
    }

    async fn read(&self, key: &StorageKey, offset: u64) -> Result<Box<dyn BlobReader>, BlobError> {
        let path = self.path(key);
        let reader = self
            .run(move |_| {
                let mut file = match File::open(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        return Err(BlobError::Short { expected: offset, found: 0 });
                    }
                    opened => opened?,
                };
                file.seek(SeekFrom::Start(offset))?;
                // All of a small blob comes with this one call of a thread.
                let mut ahead = Vec::with_capacity(AHEAD);
                (&mut file).take(AHEAD as u64).read_to_end(&mut ahead)?;
                Ok(FileReader { file: Some(file), ahead: ahead.into() })
            })
            .await?;
        Ok(Box::new(reader))
    }

    async fn remove(&self, key: &StorageKey) -> Result<(), BlobError> {
        let path = self.path(key);
        self.run(move |_| match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        })
        .await
    }

    async fn left_over(&self) -> Result<Vec<StorageKey>, BlobError> {
        self.run(|store| {
            let mut found = Vec::new();
            collect(&store.root, &store.root, store.opened_at, &mut found)?;
            Ok(found)
        })
        .await
    }

    async fn marked(&self) -> Result<Option<String>, BlobError> {
        self.run(|store| match std::fs::read_to_string(store.mark_file()) {
            Ok(id) => Ok(Some(id)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        })
        .await
    }

    async fn mark(&self, id: &str) -> Result<(), BlobError> {
        let id = id.to_owned();
        self.run(move |store| {
            let mut options = OpenOptions::new();
            let mut file = match options.write(true).create_new(true).mode(0o600).open(store.mark_file()) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
                opened => opened?,
            };
            file.write_all(id.as_bytes())?;
            if store.durable {
                file.sync_all()?;
                File::open(store.root.parent().unwrap_or(Path::new(".")))?.sync_all()?;
            }
            Ok(())
        })
        .await
    }

    async fn check(&self) -> Result<(), BlobError> {
        self.run(|store| {
            // Writing is the only proof: a full or read-only disk shows nothing else.
            let probe = store.root.join(".probe");
            let written = std::fs::write(&probe, PROBE);
            let removed = std::fs::remove_file(&probe);
            written?;
            Ok(removed?)
        })
        .await
    }
}

/// Files below `folder` that are older than the store's opening, as keys (without the digit level).
fn collect(
    root: &Path,
    folder: &Path,
    opened_at: SystemTime,
    found: &mut Vec<StorageKey>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(root, &path, opened_at, found)?;
        } else if entry.metadata()?.modified()? < opened_at {
            let owner = path.parent().and_then(Path::parent).and_then(|p| p.strip_prefix(root).ok());
            if let (Some(owner), Some(name)) = (owner.and_then(Path::to_str), entry.file_name().to_str()) {
                found.push(StorageKey::from_stored(format!("{owner}/{name}")));
            }
        }
    }
    Ok(())
}

/// Makes a folder and its ancestors, each durable in its parent.
pub(in crate::upload) fn make_folders(folder: &Path, durable: bool) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folders(parent, durable)?;
    }
    make_folder(folder, parent.unwrap_or(Path::new(".")), durable)
}

fn make_folder(folder: &Path, parent: &Path, durable: bool) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if durable {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// A moment of the file system's own clock, whose ticks are coarse, with every earlier write before it.
fn next_tick(probe: &Path) -> std::io::Result<SystemTime> {
    let touch = || {
        std::fs::write(probe, b"")?;
        std::fs::metadata(probe)?.modified()
    };
    let first = touch()?;
    let next = loop {
        let now = touch()?;
        if now > first {
            break now;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    std::fs::remove_file(probe)?;
    Ok(next)
}

/// A blocking thread ended without an answer, as when the runtime stops.
fn interrupted() -> BlobError {
    BlobError::Io(std::io::Error::from(std::io::ErrorKind::Interrupted))
}

/// What the blocking thread works on.
struct Core {
    file: File,
    /// Offset of the byte after the last that was written.
    position: u64,
    /// Set until the file's entry in its folder is durable.
    folder_to_sync: Option<PathBuf>,
    durable: bool,
    segment_hash: Hasher,
}

impl Core {
    fn write(&mut self, blocks: &[Bytes]) -> std::io::Result<()> {
        self.write_out(blocks)?;
        for block in blocks {
            self.segment_hash.update(block);
        }
        Ok(())
    }

    fn write_out(&mut self, blocks: &[Bytes]) -> std::io::Result<()> {
        let first_byte = self.position;
        for block in blocks {
            self.file.write_all(block)?;
            self.position += block.len() as u64;
        }
        if self.durable
            && let Some(length) = NonZeroU64::new(self.position - first_byte)
        {
            // It will be synced in a moment: Linux begins to write what it is told is not needed, so that the disk
            // works while the next bytes arrive. Where it does not, the sync only takes longer.
            let _ = fadvise(&self.file, first_byte, Some(length), Advice::DontNeed);
        }
        Ok(())
    }

    fn sync(&mut self) -> std::io::Result<()> {
        if !self.durable {
            return Ok(());
        }
        // A new file needs its metadata too; later only the length matters, which fdatasync includes.
        match self.folder_to_sync.take() {
            Some(folder) => {
                self.file.sync_all()?;
                File::open(folder)?.sync_all()
            }
            None => self.file.sync_data(),
        }
    }
}

struct FileWriter {
    /// `None` while a blocking thread has it, or after a failure.
    core: Option<Core>,
    busy: Option<JoinHandle<std::io::Result<Core>>>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    first_byte: u64,
    length: u64,
    /// Bytes written since the last sync.
    unsynced: u64,
}

impl FileWriter {
    /// Waits for the block under way. After a failure every later call fails: what an fsync that failed
    /// left behind cannot be trusted (security-reliability-scale 3.4, rule 5).
    async fn idle(&mut self) -> Result<Core, BlobError> {
        if let Some(busy) = self.busy.take() {
            return Ok(busy.await.map_err(|_| interrupted())??);
        }
        self.core.take().ok_or_else(interrupted)
    }

    async fn start(&mut self, sync: bool) -> Result<(), BlobError> {
        let mut core = self.idle().await?;
        let blocks = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        self.busy = Some(spawn_blocking(move || {
            core.write(&blocks)?;
            if sync {
                core.sync()?;
            }
            Ok(core)
        }));
        Ok(())
    }
}

#[async_trait]
impl BlobWriter for FileWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.length += bytes.len() as u64;
        self.gathered_bytes += bytes.len();
        self.gathered.push(bytes);
        if self.gathered_bytes >= BLOCK {
            self.unsynced += self.gathered_bytes as u64;
            let sync = self.unsynced >= SYNC_EVERY;
            if sync {
                self.unsynced = 0;
            }
            self.start(sync).await?;
        }
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<Option<Segment>, BlobError> {
        if self.length == 0 {
            return Ok(None);
        }
        self.start(true).await?;
        let mut core = self.idle().await?;
        let segment =
            Segment { first_byte: self.first_byte, length: self.length, hash: core.segment_hash.finish() };
        self.core = Some(core);
        self.first_byte = segment.end();
        self.length = 0;
        Ok(Some(segment))
    }

    async fn abandon(&mut self) {
        self.gathered.clear();
        self.gathered_bytes = 0;
        // Whether it succeeded does not matter: the next append cuts the file back.
        let _ = self.idle().await;
        self.core = None;
    }
}

struct FileReader {
    file: Option<File>,
    /// Bytes that were read and not asked for yet.
    ahead: Bytes,
}

#[async_trait]
impl BlobReader for FileReader {
    async fn next(&mut self, max: usize) -> Result<Bytes, BlobError> {
        if !self.ahead.is_empty() {
            return Ok(self.ahead.split_to(max.min(self.ahead.len())));
        }
        let mut file = self.file.take().ok_or_else(interrupted)?;
        let (file, block) = spawn_blocking(move || {
            let mut block = Vec::with_capacity(max);
            (&mut file).take(max as u64).read_to_end(&mut block)?;
            Ok::<_, std::io::Error>((file, block))
        })
        .await
        .map_err(|_| interrupted())??;
        self.file = Some(file);
        Ok(block.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    #[tokio::test]
    async fn files_keep_the_contract_of_a_blob_store() {
        for durable in [true, false] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let open = || FileBlobs::open(folder.path().join("uploads"), durable).expect("it opens");
            contract::all(open).await;
        }
    }

    #[tokio::test]
    async fn a_segment_has_the_hash_that_costs_least_unless_another_is_wanted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = FileBlobs::open(folder.path().join("uploads"), false).expect("it opens");
        let key = StorageKey::new("tenant", "owner", crate::id::UploadId::new());
        let mut writer = store.append(&key, 0, WantedHash::Any).await.expect("it opens");
        writer.write(Bytes::from_static(b"bytes")).await.expect("it writes");
        let segment = writer.checkpoint().await.expect("it is kept").expect("something was written");
        assert!(matches!(segment.hash, crate::digest::ContentHash::Blake3(_)), "{segment:?}");
    }
}
