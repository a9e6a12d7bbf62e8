//! What is remembered between runs: for each file and server, where its unfinished uploads are. A small JSON file each,
//! in a folder of the user's; it is gone when the upload is complete.

use std::io::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
    /// The upload that was made of several parts, once it was asked for.
    pub(super) whole: Option<String>,
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
            whole: None,
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
}
