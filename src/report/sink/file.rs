//! Reports as lines of files, `{upload_id}_{stage}` in one folder (dex-upload 5.2). A file holds whole lines only: what
//! a crash left of one is cut off before the next is written, and a line that is there already is not written again.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memmem;
use tokio::task::spawn_blocking;

use super::{Outgoing, SinkError};

/// How far from its end a file is looked at. No line is nearly as long: a report holds a manifest and little else.
const TAIL: u64 = 1024 * 1024;

/// Files of lines below one folder.
#[derive(Debug)]
pub(crate) struct FileSink {
    folder: PathBuf,
    durable: bool,
    /// What has been written since the last flush, by name.
    written: Arc<Mutex<BTreeSet<String>>>,
}

impl FileSink {
    /// Lines below this folder, which is made when it is needed. With `durable` off nothing is fsynced.
    pub(crate) fn new(folder: PathBuf, durable: bool) -> Self {
        Self { folder, durable, written: Arc::default() }
    }

    pub(super) async fn send(&self, report: &Outgoing) -> Result<(), SinkError> {
        let name = format!("{}_{}", report.upload_id, report.stage);
        let mut line = report.body.clone();
        line.push(b'\n');
        let path = self.folder.join(&name);
        blocking(move || append(&path, &line)).await?;
        self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        Ok(())
    }

    pub(super) async fn flush(&self) -> Result<(), SinkError> {
        let written = std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner));
        if !self.durable || written.is_empty() {
            return Ok(());
        }
        let folder = self.folder.clone();
        blocking(move || {
            for name in written {
                File::open(folder.join(name))?.sync_data()?;
            }
            // Some of them may be new.
            File::open(&folder)?.sync_all()?;
            folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
        })
        .await
    }
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), SinkError> {
    let done = spawn_blocking(work).await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()));
    Ok(done?)
}

/// Adds a line, which ends with its line break, unless it is there.
fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut file = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new("."));
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            open(path)?
        }
        opened => opened?,
    };
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.read_to_end(&mut tail)?;
    let whole = memchr::memrchr(b'\n', &tail).map_or(0, |at| at + 1);
    if whole < tail.len() {
        if whole == 0 && from > 0 {
            // Whatever this is, we have not written it.
            return Err(io::ErrorKind::InvalidData.into());
        }
        file.set_len(from + whole as u64)?;
    }
    let is_line = |at: usize| at == 0 || tail[at - 1] == b'\n';
    if memmem::find_iter(&tail[..whole], line).any(is_line) {
        return Ok(());
    }
    file.write_all(line)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}
