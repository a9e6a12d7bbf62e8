//! The short way in: small uploads become durable in the [`Journal`], where there is one, and are redeemed later.

use std::collections::HashSet;

use crate::digest::{Digest, Sha256};
use bytes::Bytes;

use super::journal::{Journal, JournalError};
use super::{AppendRequest, Upload, UploadError, Uploads, store};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::id::UploadId;

/// The most bytes of an upload that is gathered in memory, so that one write makes all of it durable.
pub(crate) const SMALL: u64 = 64 * 1024;

impl Uploads {
    /// The same uploads, the small ones of which go through `journal`.
    #[must_use]
    pub(crate) fn with_journal(mut self, journal: Journal) -> Self {
        self.journal = Some(journal);
        self
    }

    /// The journal, if there is one.
    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// Enters an upload that has no bytes yet; `false` if it has to go the way without the journal.
    ///
    /// # Errors
    /// The disk failed; its id is not to be used again.
    pub(crate) async fn enter(&self, upload: &Upload) -> Result<bool, DbError> {
        let is_small = upload.length.is_some_and(|length| (1..=SMALL).contains(&length));
        match &self.journal {
            Some(journal) if is_small && !upload.is_partial() => {
                entered(journal.enter(upload.clone(), Bytes::new()).await)
            }
            _ => Ok(false),
        }
    }

    /// Enters a small upload with all its bytes, as complete at `now`; `false` and errors as of [`Self::enter`].
    pub(crate) async fn enter_whole(
        &self,
        upload: &Upload,
        bytes: &Bytes,
        now: Timestamp,
    ) -> Result<bool, DbError> {
        let Some(journal) = &self.journal else { return Ok(false) };
        entered(journal.enter(completed(upload.clone(), bytes, now), bytes.clone()).await)
    }

    /// The upload that a body is to be appended to, if that was entered a moment ago and the body is all it waits for.
    pub(crate) fn awaits_all_of(&self, request: &AppendRequest) -> Option<Upload> {
        let length = request.declared.filter(|_| request.offset == 0 && request.checksum.is_none())?;
        let upload = self.journal.as_ref()?.without_bytes(&request.access, request.id)?;
        let agrees = request.length.is_none_or(|told| told == length);
        (upload.length == Some(length) && agrees).then_some(upload)
    }

    /// Enters all bytes of an upload that was entered without; `false` and errors as of [`Self::enter`].
    pub(crate) async fn enter_bytes(
        &self,
        access: &Access,
        upload: Upload,
        bytes: &Bytes,
    ) -> Result<bool, DbError> {
        let Some(journal) = &self.journal else { return Ok(false) };
        let upload = completed(upload, bytes, self.clock.now());
        entered(journal.complete(access, upload, bytes.clone()).await)
    }

    /// Returns when an upload that was entered has its row.
    pub(crate) async fn row_of(&self, access: &Access, id: UploadId) -> Result<(), DbError> {
        match &self.journal {
            Some(journal) => {
                journal.wait_for(access, id).await.map_err(|e| DbError::disk(std::io::Error::other(e)))
            }
            None => Ok(()),
        }
    }

    /// Returns when all uploads of this caller that were entered have their rows, or cannot have them now.
    pub(crate) async fn rows_of_all(&self, access: &Access) {
        if let Some(journal) = &self.journal {
            let _ = journal.wait_for_all(access).await;
        }
    }

    /// Writes blobs that are whole.
    pub(crate) async fn store_all(&self, uploads: &[(Upload, Bytes)]) -> Result<(), UploadError> {
        let whole = uploads.iter().filter(|(_, bytes)| !bytes.is_empty());
        Ok(self
            .blobs
            .store(whole.map(|(upload, bytes)| (upload.key.clone(), bytes.clone())).collect())
            .await?)
    }

    /// The journals that the database knows, each with the number up to which its entries are redeemed.
    pub(crate) async fn journals(tx: &mut Tx<'_>) -> Result<Vec<(String, u64)>, DbError> {
        store::journals(tx).await
    }

    /// Makes a journal known, before it is there.
    pub(crate) async fn insert_journal(tx: &mut Tx<'_>, id: &str) -> Result<(), DbError> {
        store::insert_journal(tx, id).await
    }

    /// Notes in the transaction that redeems them that entries of a journal are redeemed; `false` if they are already.
    pub(crate) async fn redeem(tx: &mut Tx<'_>, id: &str, entries: (u64, u64)) -> Result<bool, DbError> {
        store::redeem(tx, id, entries).await
    }

    /// Those of some uploads that have a row, whatever it says.
    pub(crate) async fn known(&self, uploads: &[(Upload, Bytes)]) -> Result<HashSet<UploadId>, DbError> {
        let mut known = HashSet::new();
        let mut reader = self.db.reader().await?;
        let mut tx = reader.tx();
        for (upload, _) in uploads {
            if store::is_known(&mut tx, upload.id).await? {
                known.insert(upload.id);
            }
        }
        Ok(known)
    }
}

fn completed(upload: Upload, bytes: &Bytes, now: Timestamp) -> Upload {
    upload.completed(bytes.len() as u64, Sha256::digest(bytes).into(), now)
}

fn entered(outcome: Result<(), JournalError>) -> Result<bool, DbError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(JournalError::NotTaken) => Ok(false),
        Err(JournalError::Disk(error)) => Err(DbError::disk(error)),
    }
}
