//! What is remembered between runs: for each file and server, where its unfinished uploads are. A small JSON file each,
//! in a folder of the user's; it is gone when the upload is complete.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::digest::{Digest, Sha256};
use serde::{Deserialize, Serialize};

use super::transfer::Fingerprint;
use crate::config::environment;

/// The folder of unfinished uploads cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum MemoryError {
    /// Nothing says where it could be.
    #[error("there is no folder to remember unfinished uploads in: set --state-dir or HOME")]
    NoFolder,
    /// It cannot be written.
    #[error("{}: {source}", path.display())]
    Folder {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("another run is uploading this file")]
    Busy,
}

/// A piece of a file, or all of it, and its upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    /// Where in the file it begins.
    pub(super) start: u64,
    /// How long it is.
    pub(super) length: u64,
    /// Its upload, once it was created.
    pub(super) url: Option<String>,
}

/// What is known of an unfinished upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The pieces in their order. One that is alone is the upload itself.
    pub(super) parts: Vec<Part>,
    /// Whether the server was asked to make one upload of the parts: it may have, even if nobody knows its URL.
    #[serde(default)]
    pub(super) is_joining: bool,
    /// The upload that was made of several parts, once the server has said so.
    pub(super) whole: Option<String>,
    /// What tells the file from another of its length and time; nothing if an older version remembered this.
    #[serde(default)]
    pub(super) ends: Option<String>,
}

/// Everything that is remembered.
#[derive(Debug)]
pub(super) struct Memories {
    folder: PathBuf,
}

impl Memories {
    /// In this folder, else where the system's convention says (XDG Base Directory, state).
    pub(super) fn at(folder: Option<PathBuf>) -> Result<Self, MemoryError> {
        let absolute = |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let own = || {
            let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
            Some(state?.join("cdex-gateway/uploads"))
        };
        Ok(Self { folder: folder.or_else(own).ok_or(MemoryError::NoFolder)? })
    }

    /// What is remembered of a file that goes to `to` with these metadata. Another file under the same name, or other
    /// metadata, is another upload.
    pub(super) fn of(&self, to: &str, metadata: &str, file: &Fingerprint) -> Memory {
        let mut hash = Sha256::new();
        let path = file.path.as_os_str().as_encoded_bytes();
        for field in [to.as_bytes(), metadata.as_bytes(), path] {
            hash.update((field.len() as u64).to_le_bytes());
            hash.update(field);
        }
        hash.update(file.length.to_le_bytes());
        hash.update(file.modified.to_le_bytes());
        Memory { path: self.folder.join(format!("{}.json", hex::encode(hash.finalize()))) }
    }
}

/// What is remembered of one upload.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
}

impl Memory {
    /// What an earlier run left; nothing if it cannot be read.
    pub(super) fn recall(&self) -> Option<Known> {
        let known: Known = serde_json::from_slice(&std::fs::read(&self.path).ok()?).ok()?;
        (!known.parts.is_empty()).then_some(known)
    }

    /// Keeps other runs from uploading the same file to the same place, until the lock is dropped or the process ends.
    ///
    /// # Errors
    /// [`MemoryError::Busy`] if one is at it.
    pub(super) fn lock(&self) -> Result<MemoryLock, MemoryError> {
        let path = self.path.with_extension("lock");
        let failed = |source| MemoryError::Folder { path: path.clone(), source };
        std::fs::create_dir_all(path.parent().ok_or(MemoryError::NoFolder)?).map_err(failed)?;
        loop {
            let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(MemoryError::Busy),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // Whoever had it before may have removed the file between our opening and our locking it.
            let ours = file.metadata().map_err(failed)?.ino();
            if std::fs::metadata(&path).is_ok_and(|there| there.ino() == ours) {
                return Ok(MemoryLock { path, _file: file });
            }
        }
    }

    /// Remembers: after a crash there is what was before, or this. Only the user can read it: who has the URL of an
    /// upload may be able to change it.
    pub(super) fn keep(&self, known: &Known) -> Result<(), MemoryError> {
        let failed = |source| MemoryError::Folder { path: self.path.clone(), source };
        let folder = self.path.parent().ok_or(MemoryError::NoFolder)?;
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        let text = serde_json::to_vec(known).map_err(|error| failed(error.into()))?;
        file.write_all(&text).map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Forgets it.
    pub(super) fn forget(&self) -> Result<(), MemoryError> {
        match std::fs::remove_file(&self.path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(MemoryError::Folder { path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }
}

/// The right to upload one file to one place; given back when dropped.
#[derive(Debug)]
pub(super) struct MemoryLock {
    path: PathBuf,
    /// The lock goes with it.
    _file: File,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        // Still locked: who waits for it finds that it is gone. One that stays is taken by the next run.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_server_and_manifest_has_a_memory_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let memories = Memories::at(Some(folder.path().join("a/b"))).expect("a folder");
        let file = Fingerprint { path: "/x/y".into(), length: 1, modified: 2 };
        let known = Known {
            parts: vec![Part { start: 0, length: 1, url: Some("http://h/1".to_owned()) }],
            is_joining: false,
            whole: None,
            ends: None,
        };
        let memory = memories.of("http://h", "a YQ==", &file);
        memory.forget().expect("nothing is there");
        assert_eq!(memory.recall(), None);
        memory.keep(&known).expect("it is kept");
        assert_eq!(memories.of("http://h", "a YQ==", &file).recall(), Some(known));
        for (to, metadata, file) in [
            ("http://i", "a YQ==", &file),
            ("http://h", "a Yg==", &file),
            ("http://ha", " YQ==", &file),
            ("http://h", "a YQ==", &Fingerprint { length: 2, ..file.clone() }),
            ("http://h", "a YQ==", &Fingerprint { modified: 3, ..file.clone() }),
            ("http://h", "a YQ==", &Fingerprint { path: "/x/z".into(), ..file.clone() }),
        ] {
            assert_eq!(memories.of(to, metadata, file).recall(), None, "{to} {metadata} {file:?}");
        }
        memory.forget().expect("it is forgotten");
        assert_eq!(memory.recall(), None);
        std::fs::write(&memory.path, r#"{"parts":[],"whole":null}"#).expect("a file");
        assert_eq!(memory.recall(), None);
    }

    #[test]
    fn one_run_at_a_time_uploads_a_file_to_a_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let memories = Memories::at(Some(folder.path().join("a"))).expect("a folder");
        let file = Fingerprint { path: "/x/y".into(), length: 1, modified: 2 };
        let lock = memories.of("http://h", "", &file).lock().expect("nobody has it");
        assert!(matches!(memories.of("http://h", "", &file).lock(), Err(MemoryError::Busy)));
        memories.of("http://i", "", &file).lock().expect("another place");
        drop(lock);
        memories.of("http://h", "", &file).lock().expect("nobody has it any more");
        assert_eq!(std::fs::read_dir(folder.path().join("a")).expect("a folder").count(), 0);
    }

    #[test]
    fn what_an_older_version_remembered_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory { path: folder.path().join("m.json") };
        std::fs::write(&memory.path, r#"{"parts":[{"start":0,"length":1,"url":null}],"whole":null}"#)
            .expect("a file");
        assert!(memory.recall().is_some_and(|known| !known.is_joining && known.ends.is_none()));
    }
}
