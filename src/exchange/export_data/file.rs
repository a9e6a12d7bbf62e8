//! The files of bulk exports: `exports/[export]/[file]`, for the gateway's own eyes. Names are identifiers of ours and
//! never what a client sent.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{DirBuilder, File, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use crate::id::{ExportFileId, ExportId};

/// A file that is being written.
pub(super) struct NdjsonFile {
    /// Its name.
    pub(super) id: ExportFileId,
    /// How many lines it has.
    pub(super) lines: u64,
    file: File,
    folder: PathBuf,
}

impl NdjsonFile {
    /// Makes a new one.
    pub(super) async fn create(folder: &Path, export: ExportId, durable: bool) -> io::Result<Self> {
        let own = folder.join(export.to_string());
        for made in [folder, &own] {
            match DirBuilder::new().mode(0o700).create(made).await {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(()) if durable => sync_folder(made.parent().unwrap_or(made)).await?,
                _ => {}
            }
        }
        let id = ExportFileId::new();
        let path = own.join(id.to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await?;
        Ok(Self { id, lines: 0, file, folder: own })
    }

    /// Adds a resource's JSON text as a line.
    pub(super) async fn write(&mut self, text: &[u8]) -> io::Result<()> {
        // Between JSON's tokens a line break is a space; within its strings there is none.
        let mut line: Vec<u8> =
            text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
        line.push(b'\n');
        self.lines += 1;
        self.file.write_all(&line).await
    }

    /// Returns when its bytes are durable.
    pub(super) async fn finish(&mut self, durable: bool) -> io::Result<()> {
        self.file.flush().await?;
        if durable {
            self.file.sync_all().await?;
            sync_folder(&self.folder).await?;
        }
        Ok(())
    }
}

async fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

/// Opens a file to read it; with its length.
pub(super) async fn open(folder: &Path, export: ExportId, file: ExportFileId) -> io::Result<(File, u64)> {
    let file = File::open(folder.join(export.to_string()).join(file.to_string())).await?;
    let length = file.metadata().await?.len();
    Ok((file, length))
}

/// The exports that have files.
pub(super) async fn jobs(folder: &Path) -> Vec<ExportId> {
    let mut found = Vec::new();
    // Without a folder there are none.
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else { return found };
    while let Ok(Some(entry)) = entries.next_entry().await {
        found.extend(entry.file_name().to_str().and_then(|name| name.parse::<ExportId>().ok()));
    }
    found
}

/// Removes the files of an export.
pub(super) async fn remove(folder: &Path, export: ExportId) -> io::Result<()> {
    match tokio::fs::remove_dir_all(folder.join(export.to_string())).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes what a worker left that was stopped in the middle of a file.
pub(super) async fn remove_unfinished(
    folder: &Path,
    export: ExportId,
    is_made: impl Fn(ExportFileId) -> bool,
) -> io::Result<()> {
    let Ok(mut entries) = tokio::fs::read_dir(folder.join(export.to_string())).await else { return Ok(()) };
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.parse::<ExportFileId>().ok());
        if !id.is_some_and(&is_made) {
            tokio::fs::remove_file(entry.path()).await?;
        }
    }
    Ok(())
}
