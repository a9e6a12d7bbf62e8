//! One directory below the root of a file target, held open, and the few operations that a delivery needs
//! in it. Everything goes through the open directory, so nobody can lead a path elsewhere half-way; every
//! symbolic link below the root is refused.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::digest::{Digest, Sha256};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::name::PART;
use crate::delivery::DeliveryError;

/// How much is read or written at once.
const BLOCK: usize = 1 << 20;

/// The directories whose names this process knows to survive a loss of power. Asking the disk again costs a wait for
/// every level of every path.
#[derive(Debug, Default)]
pub(super) struct Synced(Mutex<HashSet<(u64, u64, SystemTime)>>);

impl Synced {
    /// Paths may have a directory for each upload; what is forgotten is synced again.
    const MOST: usize = 4096;

    /// A number is used again once its directory is gone; with the time of its birth it is unmistakable.
    fn key(found: &Metadata) -> Option<(u64, u64, SystemTime)> {
        Some((found.dev(), found.ino(), found.created().ok()?))
    }

    fn knows(&self, found: &Metadata) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Self::key(found).is_some_and(|key| known.contains(&key))
    }

    fn remember(&self, found: &Metadata) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= Self::MOST {
            known.clear();
        }
        known.extend(Self::key(found));
    }
}

/// A directory below the root.
pub(super) struct Directory<'s> {
    fd: File,
    synced: Option<&'s Synced>,
}

impl<'s> Directory<'s> {
    /// Opens `root` and then `parents` one below the other, and makes what is missing. With `synced` each
    /// of them survives a loss of power when this returns.
    pub(super) fn open(
        root: &Path,
        parents: &[&str],
        synced: Option<&'s Synced>,
    ) -> Result<Self, DeliveryError> {
        let fd = open_root(root, synced.is_some()).map_err(root_fault)?;
        let mut here = Self { fd, synced };
        for name in parents {
            here = here.enter(name)?;
        }
        Ok(here)
    }

    fn enter(&self, name: &str) -> Result<Self, DeliveryError> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(refusal(error)),
        }
        let flags = directory_flags() | OFlags::NOFOLLOW;
        let fd = File::from(rustix::fs::openat(&self.fd, name, flags, Mode::empty()).map_err(refusal)?);
        if let Some(synced) = self.synced {
            let found = fd.metadata()?;
            // One that existed may have been made by an attempt that died before it got here.
            if !synced.knows(&found) {
                self.sync()?;
                synced.remember(&found);
            }
        }
        Ok(Self { fd, synced: self.synced })
    }

    /// Makes changes of names in this directory survive a loss of power.
    pub(super) fn sync(&self) -> Result<(), DeliveryError> {
        if self.synced.is_some() {
            self.fd.sync_all()?;
        }
        Ok(())
    }

    /// Begins a staged file, which is gone when dropped unless it was given its name.
    pub(super) fn stage(&self, name: String) -> Result<Staged<'_>, DeliveryError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, &*name, flags, Mode::from_raw_mode(0o644)).map_err(refusal)?;
        Ok(Staged { directory: self, name, file: File::from(fd), placed: false })
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<(), DeliveryError> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(refusal(error)),
        }
    }

    /// Whether `name` is a file with this length and SHA-256. If so it survives a loss of power.
    pub(super) fn holds(&self, name: &str, length: u64, sha256: &[u8; 32]) -> Result<bool, DeliveryError> {
        // NONBLOCK: opening a pipe that somebody put there must not wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::LOOP) => return Ok(false),
            Err(error) => return Err(refusal(error)),
        };
        let found = file.metadata()?;
        if !found.is_file() || found.len() != length {
            return Ok(false);
        }
        let mut hash = Sha256::new();
        let mut block = vec![0; BLOCK];
        loop {
            match file.read(&mut block)? {
                0 => break,
                read => hash.update(&block[..read]),
            }
        }
        let same = <[u8; 32]>::from(hash.finalize()) == *sha256;
        if same && self.synced.is_some() {
            file.sync_all()?;
        }
        Ok(same)
    }
}

/// A file that has no name of its own yet.
pub(super) struct Staged<'d> {
    directory: &'d Directory<'d>,
    name: String,
    file: File,
    placed: bool,
}

impl Staged<'_> {
    /// Where its bytes are written.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Makes its bytes survive a loss of power; comes before it is given a name.
    pub(super) fn sync(&self) -> Result<(), DeliveryError> {
        if self.directory.synced.is_some() {
            self.file.sync_all()?;
        }
        Ok(())
    }

    /// Gives it its name unless something has that name; `false` if so.
    pub(super) fn place_if_free(&mut self, name: &str) -> Result<bool, DeliveryError> {
        let directory = &self.directory.fd;
        let renamed =
            rustix::fs::renameat_with(directory, &*self.name, directory, name, RenameFlags::NOREPLACE);
        let placed = match renamed {
            // A file system without that flag: a hard link refuses to replace, too.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::linkat(directory, &*self.name, directory, name, AtFlags::empty())
            }
            Ok(()) => {
                self.placed = true;
                Ok(())
            }
            Err(error) => Err(error),
        };
        match placed {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(refusal(error)),
        }
    }

    /// Gives it its name, in the place of whatever file has it.
    pub(super) fn place_over(&mut self, name: &str) -> Result<(), DeliveryError> {
        let directory = &self.directory.fd;
        match rustix::fs::renameat(directory, &*self.name, directory, name) {
            Ok(()) => {
                self.placed = true;
                Ok(())
            }
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => Err(DeliveryError::PathTaken),
            Err(error) => Err(refusal(error)),
        }
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.placed {
            // What cannot be removed now is removed by the next attempt, or by the sweep at start.
            let _ = self.directory.remove(&self.name);
        }
    }
}

/// Removes everything unfinished below `root`, and returns how much that was. Only while nobody delivers
/// there.
pub(super) fn sweep(root: &Path) -> io::Result<u64> {
    let mut removed = 0;
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            // The type of the entry itself: a symbolic link is never followed.
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.file_name().as_encoded_bytes().starts_with(PART.as_bytes()) {
                std::fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

/// Opens the root, made if need be. It may be a symbolic link: it is the operator's word.
fn open_root(root: &Path, durable: bool) -> io::Result<File> {
    make_root(root, durable)?;
    Ok(File::from(rustix::fs::openat(CWD, root, directory_flags(), Mode::empty())?))
}

/// What is wrong with the root is wrong with the target, not with the path of one delivery: an operator can
/// put it right while the schedule runs.
fn root_fault(error: io::Error) -> DeliveryError {
    match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => DeliveryError::Storage(error),
        _ => error.into(),
    }
}

/// Makes the root and what leads to it.
fn make_root(root: &Path, durable: bool) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_root(parent, durable)?;
        match std::fs::create_dir(root) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if durable {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// An error about a name: a link or a file where a directory should be means that the path is refused.
fn refusal(error: Errno) -> DeliveryError {
    match error {
        Errno::LOOP | Errno::NOTDIR | Errno::NAMETOOLONG => DeliveryError::PathRefused,
        other => io::Error::from(other).into(),
    }
}
