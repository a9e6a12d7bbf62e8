//! The files of the journal. Each is made once, full of zeros, and overwritten from then on: that costs one write with
//! `O_DSYNC` that has no metadata to care for, where a file of its own costs a folder entry and several syncs.
//!
//! A volume begins with a salt, new each time that it is written anew, and its entries follow. The first thing that is
//! no entry of this salt is the end. What is redeemed is wiped as soon as there is time: bytes that were removed
//! elsewhere do not live on here.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::OFlags;

use super::record::{self, Decoded, Salt};
use crate::upload::Upload;

/// The length of a volume, in bytes.
const LENGTH: usize = 4 * 1024 * 1024;
/// The most volumes; what does not fit goes the slower way until some of it is redeemed.
const MOST: usize = 16;
/// How long no volume is made after one could not be: a disk that is full is not filled again and again.
const PAUSE: Duration = Duration::from_mins(1);
const MAGIC: &[u8; 8] = b"CDEXJNL1";
/// Bytes before the first entry.
const HEADER: usize = MAGIC.len() + 16;

/// An entry as it lies in a volume: number, upload and bytes.
pub(super) type Written = (u64, Upload, Bytes);

struct Volume {
    file: File,
    salt: Salt,
    /// Bytes that are in use; all of it, where an earlier process wrote: nothing is appended to that.
    end: usize,
    /// Bytes that have been in use since it was last wiped.
    dirty: usize,
    /// The number of its last entry; 0 if it has none.
    last: u64,
}

/// All volumes, and the one that is written.
pub(super) struct Volumes {
    folder: PathBuf,
    durable: bool,
    all: Vec<Volume>,
    active: usize,
    /// Since when none can be made.
    full_since: Option<Instant>,
}

impl Volumes {
    /// Opens what is below a folder, and reads what lies there, by number. Entries up to `redeemed` need not be known.
    ///
    /// # Errors
    /// A file cannot be read, is missing, or holds what this version does not know.
    pub(super) fn open(folder: PathBuf, durable: bool, redeemed: u64) -> io::Result<(Self, Vec<Written>)> {
        super::super::blob::make_folders(&folder, durable)?;
        let mut volumes = Self { folder, durable, all: Vec::new(), active: 0, full_since: None };
        let mut found = Vec::new();
        for index in 0..MOST {
            match options(durable).open(volumes.path(index)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(_) if index > volumes.all.len() => {
                    return Err(volumes.unreadable(index, "one before it is missing"));
                }
                opened => {
                    let volume = Volume::read(opened?, redeemed, &mut found)?;
                    volumes.all.push(volume.ok_or_else(|| volumes.unreadable(index, "of another version"))?);
                }
            }
        }
        if !volumes.all.is_empty() {
            // That a file is there does not say that a crash would leave it there.
            volumes.sync_folder()?;
        }
        found.sort_by_key(|(number, ..)| *number);
        Ok((volumes, found))
    }

    /// Writes entries one behind the other, each durable when this returns, into volumes whose entries are all redeemed
    /// up to `redeemed`. Returns how many there was room for.
    ///
    /// # Errors
    /// The disk failed: nobody knows what of this is there, and nothing may be written any more.
    pub(super) fn write<'a>(
        &mut self,
        entries: impl Iterator<Item = (u64, &'a Upload, &'a [u8])>,
        redeemed: u64,
    ) -> io::Result<usize> {
        let (mut buffer, mut written, mut buffered) = (Vec::new(), 0, 0);
        for (number, upload, bytes) in entries {
            let wanted = buffer.len() + record::most_bytes(upload, bytes);
            if !self.all.get(self.active).is_some_and(|volume| volume.has_room(wanted)) {
                self.flush(&mut buffer)?;
                written += std::mem::take(&mut buffered);
                if !self.turn(redeemed) {
                    break;
                }
            }
            let volume = &mut self.all[self.active];
            if volume.end == 0 && buffer.is_empty() {
                buffer.extend_from_slice(MAGIC);
                buffer.extend_from_slice(&volume.salt.0);
            }
            record::encode(&mut buffer, volume.salt, number, upload, bytes);
            volume.last = number;
            buffered += 1;
        }
        self.flush(&mut buffer)?;
        Ok(written + buffered)
    }

    fn flush(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        let volume = &mut self.all[self.active];
        volume.dirty = volume.dirty.max(volume.end + buffer.len());
        volume.file.write_all_at(buffer, volume.end as u64)?;
        volume.end += buffer.len();
        buffer.clear();
        Ok(())
    }

    /// Goes on in a volume that nobody needs any more, or in a new one; `false` if there is neither.
    fn turn(&mut self, redeemed: u64) -> bool {
        let free = self.all.iter().position(|volume| volume.last <= redeemed);
        self.active = match free {
            Some(free) => free,
            None if self.all.len() < MOST && self.full_since.is_none_or(|since| since.elapsed() >= PAUSE) => {
                if let Err(error) = self.make() {
                    tracing::warn!(%error, "the journal of uploads cannot grow");
                    self.full_since = Some(Instant::now());
                    return false;
                }
                self.all.len() - 1
            }
            None => return false,
        };
        let volume = &mut self.all[self.active];
        (volume.salt, volume.end, volume.last) = (Salt::new(), 0, 0);
        true
    }

    /// Overwrites a volume whose entries are all redeemed up to `redeemed`; `false` if there is none.
    ///
    /// # Errors
    /// The disk failed; the entries may be there still.
    pub(super) fn wipe(&mut self, redeemed: u64) -> io::Result<bool> {
        let Some(volume) = self.all.iter_mut().find(|one| one.dirty > 0 && one.last <= redeemed) else {
            return Ok(false);
        };
        volume.file.write_all_at(&vec![0; volume.dirty], 0)?;
        (volume.salt, volume.end, volume.dirty, volume.last) = (Salt::new(), 0, 0, 0);
        Ok(true)
    }

    /// Makes one more volume.
    fn make(&mut self) -> io::Result<()> {
        let path = self.path(self.all.len());
        let file = options(self.durable).create_new(true).open(&path)?;
        let made = fill(&file, 0).and_then(|()| self.sync_folder());
        if made.is_err() {
            // Half of one would be in the way, on a disk that is full.
            let _ = std::fs::remove_file(&path);
        }
        made?;
        self.all.push(Volume { file, salt: Salt::new(), end: 0, dirty: 0, last: 0 });
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        if self.durable {
            for folder in self.folder.ancestors().take(3) {
                File::open(folder)?.sync_all()?;
            }
        }
        Ok(())
    }

    fn unreadable(&self, index: usize, reason: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {reason}", self.path(index).display()))
    }

    fn path(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{index}.journal"))
    }
}

impl Volume {
    /// Whether so many bytes fit behind what is there.
    fn has_room(&self, bytes: usize) -> bool {
        self.end.max(HEADER) + bytes <= LENGTH
    }

    /// A file as it was left, its entries added to `found`; `None` if it holds what this version does not know. It is
    /// written anew from its beginning as soon as its entries are redeemed.
    fn read(file: File, redeemed: u64, found: &mut Vec<Written>) -> io::Result<Option<Self>> {
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(LENGTH);
        let mut content = vec![0; length];
        file.read_exact_at(&mut content, 0)?;
        if length < LENGTH {
            // A crash came while it was made. On a disk that is full it stays so until it is written.
            let _ = fill(&file, length);
        }
        let dirty = content.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        let mut last = 0;
        match content.strip_prefix(MAGIC).and_then(<[u8]>::split_first_chunk) {
            Some((salt, mut rest)) => loop {
                match record::decode(Salt(*salt), rest) {
                    Decoded::Entry { number, upload, bytes, length } => {
                        found.push((number, *upload, bytes));
                        last = last.max(number);
                        rest = &rest[length..];
                    }
                    Decoded::End => break,
                    Decoded::Unknown { number, length } if number <= redeemed => rest = &rest[length..],
                    // It is whole, and was acknowledged: whoever wrote it can read it.
                    Decoded::Unknown { .. } => return Ok(None),
                }
            },
            None if content.iter().take(MAGIC.len()).all(|byte| *byte == 0) => {}
            None => return Ok(None),
        }
        Ok(Some(Self { file, salt: Salt::new(), end: LENGTH, dirty, last }))
    }
}

/// How volumes are opened: what is durable is so when a write returns.
fn options(durable: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    if durable {
        options.custom_flags(OFlags::DSYNC.bits().cast_signed());
    }
    options
}

/// Fills a file with zeros from an offset on.
fn fill(file: &File, from: usize) -> io::Result<()> {
    file.write_all_at(&vec![0; LENGTH - from], from as u64)
}
