//! The files of the journal. Each is made once, full of zeros, and overwritten from then on: that costs one write with
//! `O_DSYNC` that has no metadata to care for, where a file of its own costs a folder entry and several syncs. The
//! write goes past the page cache, which nobody would read it from, where the file system lets it.
//!
//! A volume begins with a salt, new each time that it is written anew, and its entries follow, those of each write from
//! the beginning of a [block](BLOCK) on. The first block that begins with no entry of this salt is the end. What is
//! redeemed is wiped as soon as there is time: bytes that were removed elsewhere do not live on here.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::OFlags;

use super::blocks::{BLOCK, Blocks};
use super::record::{self, Decoded, Salt};
use crate::upload::Upload;

/// The length of a volume, in bytes.
const LENGTH: usize = 4 * 1024 * 1024;
/// The most volumes; what does not fit goes the slower way until some of it is redeemed.
const MOST: usize = 16;
/// How long no volume is made after one could not be: a disk that is full is not filled again and again.
const PAUSE: Duration = Duration::from_mins(1);
const MAGIC: &[u8; 8] = b"CDEXJNL2";
/// Of volumes whose writes did not begin with a block; they are read alike.
const OLD_MAGIC: &[u8; 8] = b"CDEXJNL1";
/// Bytes before the first entry.
const HEADER: usize = MAGIC.len() + 16;
/// Past the page cache.
#[cfg(target_os = "linux")]
const DIRECT: OFlags = OFlags::DIRECT;
#[cfg(not(target_os = "linux"))]
const DIRECT: OFlags = OFlags::empty();

/// An entry as it lies in a volume: number, upload and bytes.
pub(super) type Written = (u64, Upload, Bytes);

struct Volume {
    path: PathBuf,
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
    /// What is written next.
    buffer: Blocks,
    /// Whether a write failed: nobody knows what is there, and nothing is written any more.
    is_failed: bool,
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
        let (all, buffer) = (Vec::new(), Blocks::default());
        let mut volumes =
            Self { folder, durable, all, active: 0, buffer, is_failed: false, full_since: None };
        let mut found = Vec::new();
        for index in 0..MOST {
            let content = match read(&volumes.path(index)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read.map_err(|error| volumes.failed(index, &error))?,
            };
            if index > volumes.all.len() {
                return Err(volumes.unreadable(index, "one before it is missing"));
            }
            let Some(last) = entries(&content, redeemed, &mut found) else {
                return Err(volumes.unreadable(index, "damaged, or of another version"));
            };
            let opened = Volume::new(volumes.path(index), durable, false);
            let mut volume = opened.map_err(|error| volumes.failed(index, &error))?;
            if content.len() < LENGTH {
                // A crash came while it was made. On a disk that is full it stays so until it is written.
                let _ = volume.fill(content.len(), durable);
            }
            // It is written anew from its beginning as soon as its entries are redeemed.
            let dirty = content.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            (volume.end, volume.dirty, volume.last) = (LENGTH, dirty, last);
            volumes.all.push(volume);
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
    /// The disk failed: nobody knows what of this is there. After that there is room for nothing.
    pub(super) fn write<'a>(
        &mut self,
        entries: impl Iterator<Item = (u64, &'a Upload, &'a [u8])>,
        redeemed: u64,
    ) -> io::Result<usize> {
        if self.is_failed {
            return Ok(0);
        }
        let (mut written, mut buffered) = (0, 0);
        for (number, upload, bytes) in entries {
            let most = record::most_bytes(upload, bytes);
            let wanted = self.buffer.len() + most;
            if !self.all.get(self.active).is_some_and(|volume| volume.has_room(wanted)) {
                self.flush()?;
                written += std::mem::take(&mut buffered);
                if !self.turn(redeemed) {
                    break;
                }
            }
            let volume = &mut self.all[self.active];
            let begins = volume.end == 0 && self.buffer.is_empty();
            let buffer = self.buffer.room_for(HEADER + most);
            if begins {
                buffer.extend_from_slice(MAGIC);
                buffer.extend_from_slice(&volume.salt.0);
            }
            record::encode(buffer, volume.salt, number, upload, bytes);
            volume.last = number;
            buffered += 1;
        }
        self.flush()?;
        Ok(written + buffered)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let (volume, whole) = (&mut self.all[self.active], self.buffer.whole());
        let end = volume.end + whole.len();
        volume.dirty = volume.dirty.max(end);
        let flushed = volume.write(whole, volume.end, self.durable);
        self.is_failed = flushed.is_err();
        flushed?;
        volume.end = end;
        self.buffer.clear();
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
        // It begins anew in any case: half wiped it has no beginning that something could follow.
        (volume.salt, volume.end, volume.last) = (Salt::new(), 0, 0);
        volume.write(Blocks::zeros(volume.dirty).whole(), 0, self.durable)?;
        volume.dirty = 0;
        Ok(true)
    }

    /// Makes one more volume.
    fn make(&mut self) -> io::Result<()> {
        let path = self.path(self.all.len());
        let made = Volume::new(path.clone(), self.durable, true).and_then(|mut volume| {
            volume.fill(0, self.durable)?;
            self.sync_folder()?;
            Ok(volume)
        });
        if made.is_err() {
            // Half of one would be in the way, on a disk that is full.
            let _ = std::fs::remove_file(&path);
        }
        self.all.push(made?);
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

    fn failed(&self, index: usize, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path(index).display()))
    }

    fn unreadable(&self, index: usize, reason: &str) -> io::Error {
        self.failed(index, &io::Error::new(io::ErrorKind::InvalidData, reason))
    }

    fn path(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{index}.journal"))
    }
}

impl Volume {
    /// Opens a file, or makes it.
    fn new(path: PathBuf, durable: bool, is_new: bool) -> io::Result<Self> {
        let file = match options(durable, true).create_new(is_new).open(&path) {
            // The file system has no writes past the page cache.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                options(durable, false).create(is_new).open(&path)
            }
            opened => opened,
        };
        Ok(Self { path, file: file?, salt: Salt::new(), end: 0, dirty: 0, last: 0 })
    }

    /// Whether so many bytes fit behind what is there.
    fn has_room(&self, bytes: usize) -> bool {
        self.end.max(HEADER) + bytes <= LENGTH
    }

    /// Writes whole blocks.
    fn write(&mut self, blocks: &[u8], at: usize, durable: bool) -> io::Result<()> {
        match self.file.write_all_at(blocks, at as u64) {
            // It has them, but not for blocks as small as these.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.file = options(durable, false).open(&self.path)?;
                self.file.write_all_at(blocks, at as u64)
            }
            written => written,
        }
    }

    /// Fills a file with zeros behind its first `length` bytes.
    fn fill(&mut self, length: usize, durable: bool) -> io::Result<()> {
        // What is missing of the block that they end in is zeros by itself.
        let from = length.next_multiple_of(BLOCK);
        self.write(Blocks::zeros(LENGTH - from).whole(), from, durable)
    }
}

/// How volumes are opened: what is durable is so when a write returns.
fn options(durable: bool, is_direct: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if durable {
        let direct = if is_direct { DIRECT } else { OFlags::empty() };
        options.custom_flags((OFlags::DSYNC | direct).bits().cast_signed());
    }
    options
}

/// What a file holds, as far as a volume is long.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(LENGTH);
    let mut content = vec![0; length];
    file.read_exact_at(&mut content, 0)?;
    Ok(content)
}

/// Adds the entries in a volume to `found`, and returns the number of the last one, 0 if there is none; `None` if there
/// is what this version does not know.
fn entries(content: &[u8], redeemed: u64, found: &mut Vec<Written>) -> Option<u64> {
    let known = content.strip_prefix(MAGIC).or_else(|| content.strip_prefix(OLD_MAGIC));
    let Some(salt) = known.and_then(<[u8]>::first_chunk) else {
        return content.iter().take(MAGIC.len()).all(|byte| *byte == 0).then_some(0);
    };
    let (mut at, mut last) = (HEADER, 0);
    loop {
        match record::decode(Salt(*salt), content.get(at..).unwrap_or_default()) {
            Decoded::Entry { number, upload, bytes, length } => {
                found.push((number, *upload, bytes));
                last = last.max(number);
                at += length;
            }
            Decoded::Unknown { number, length } if number <= redeemed => at += length,
            // It is whole, and was acknowledged: whoever wrote it can read it.
            Decoded::Unknown { .. } => return None,
            // What was written next begins with a block.
            Decoded::End if !at.is_multiple_of(BLOCK) => at = at.next_multiple_of(BLOCK),
            Decoded::End => return Some(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_getfl, memfd_create};

    use super::super::record::tests::whole;
    use super::*;

    fn fresh() -> (tempfile::TempDir, Volumes) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let volumes = Volumes::open(folder.path().to_path_buf(), true, 0).expect("it opens").0;
        (folder, volumes)
    }

    /// What a start after this finds, by number.
    fn left(folder: &tempfile::TempDir, redeemed: u64) -> Vec<u64> {
        let found = Volumes::open(folder.path().to_path_buf(), true, redeemed).expect("it opens").1;
        found.into_iter().map(|(number, ..)| number).collect()
    }

    fn write(volumes: &mut Volumes, number: u64, redeemed: u64) -> io::Result<usize> {
        let bytes = [b'x'; 5_000];
        volumes.write([(number, &whole("owner", &bytes), &bytes[..])].into_iter(), redeemed)
    }

    /// A file that cannot be written.
    fn sealed() -> File {
        let sealed = memfd_create("sealed", MemfdFlags::ALLOW_SEALING).expect("memory");
        fcntl_add_seals(&sealed, SealFlags::WRITE | SealFlags::GROW).expect("it is sealed");
        sealed.into()
    }

    #[test]
    fn what_follows_a_wipe_that_failed_half_way_is_found() {
        let (folder, mut volumes) = fresh();
        for number in 1..=3 {
            assert_eq!(write(&mut volumes, number, 0).expect("it is written"), 1);
        }
        let file = std::mem::replace(&mut volumes.all[0].file, sealed());
        volumes.wipe(3).expect_err("the disk fails");
        volumes.all[0].file = file;
        // So far it came.
        volumes.all[0].write(Blocks::zeros(1).whole(), 0, true).expect("it writes");
        assert_eq!(write(&mut volumes, 4, 3).expect("it is written"), 1);
        assert_eq!(left(&folder, 3).last(), Some(&4));
        assert!(volumes.all[0].dirty > 2 * BLOCK, "it is to be wiped still");
    }

    #[test]
    fn after_a_write_that_failed_there_is_room_for_nothing() {
        let (folder, mut volumes) = fresh();
        assert_eq!(write(&mut volumes, 1, 0).expect("it is written"), 1);
        let file = std::mem::replace(&mut volumes.all[0].file, sealed());
        write(&mut volumes, 2, 0).expect_err("the disk fails");
        volumes.all[0].file = file;
        assert!(volumes.wipe(2).expect("it is wiped"));
        assert_eq!(write(&mut volumes, 3, 2).expect("nothing fails"), 0);
        assert_eq!(left(&folder, 2), Vec::<u64>::new());
    }

    #[test]
    fn a_batch_goes_on_in_the_next_volume() {
        let (folder, mut volumes) = fresh();
        let bytes = vec![b'x'; 64 * 1024];
        let uploads: Vec<_> = (1..=200).map(|number| (number, whole("owner", &bytes))).collect();
        let batch = uploads.iter().map(|(number, upload)| (*number, upload, &*bytes));
        assert_eq!(volumes.write(batch, 0).expect("it is written"), 200);
        assert_eq!(volumes.all.len(), 4);
        assert_eq!(left(&folder, 0), (1..=200).collect::<Vec<_>>());
    }

    /// Its writes followed each other without a gap.
    #[test]
    fn volumes_of_the_first_version_are_read() {
        let (folder, volumes) = fresh();
        let salt = Salt::new();
        let mut content = [&OLD_MAGIC[..], &salt.0].concat();
        for number in 1..=3 {
            let bytes = [b'x'; 5_000];
            record::encode(&mut content, salt, number, &whole("owner", &bytes), &bytes);
        }
        content.resize(LENGTH, 0);
        std::fs::write(volumes.path(0), content).expect("it is written");
        assert_eq!(left(&folder, 0), [1, 2, 3]);
    }

    /// Not every file system has writes past the page cache, or for blocks as small as ours.
    #[cfg(target_os = "linux")]
    #[test]
    fn writes_go_past_the_page_cache_where_they_can() {
        let (_folder, mut volumes) = fresh();
        assert_eq!(write(&mut volumes, 1, 0).expect("it is written"), 1);
        let volume = &mut volumes.all[0];
        let is_direct = |file: &File| fcntl_getfl(file).expect("flags").contains(DIRECT);
        let direct = options(true, true).open(&volume.path);
        assert_eq!(is_direct(&volume.file), direct.is_ok());
        // Some that have them take any length.
        let takes_any = direct.and_then(|direct| direct.write_all_at(b"no block", 0)).is_ok();
        volume.write(b"no block", 0, true).expect("it is written all the same");
        assert_eq!(is_direct(&volume.file), takes_any);
        let without = Volume::new("/proc/self/comm".into(), true, false).expect("it opens all the same");
        assert!(!is_direct(&without.file));
    }
}
