//! The data folder and its lock. Holding the lock proves that no other gateway works on the same folder,
//! which is why the start may free leases and remove leftovers.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It is in use.
    #[error("the data folder {} is in use by another gateway", .0.display())]
    InUse(PathBuf),
    /// It cannot be made, or its lock cannot be written.
    #[error("the data folder {} cannot be used: {}", .folder.display(), .source.kind())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The data folder, held by this process until it is dropped. The system lets go of the lock however the
/// process ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the folder if need be, for its owner's eyes only, and locks it.
    pub(crate) fn hold(path: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Io { folder: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("gateway.lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_one_gateway_holds_a_folder_and_only_its_owner_sees_it() {
        let outside = tempfile::tempdir().expect("a temporary folder");
        let path = outside.path().join("a/b");
        let held = DataDir::hold(&path).expect("nobody holds it");
        assert_eq!(held.path(), path);
        let mode = std::fs::metadata(&path).expect("it exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(matches!(DataDir::hold(&path), Err(DataDirError::InUse(_))));
        drop(held);
        DataDir::hold(&path).expect("nobody holds it any more");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
        let outside = tempfile::tempdir().expect("a temporary folder");
        let file = outside.path().join("file");
        std::fs::write(&file, "").expect("the file is written");
        let error = DataDir::hold(&file.join("data")).expect_err("a file is in the way");
        assert!(error.to_string().contains("file/data"), "{error}");
    }
}
