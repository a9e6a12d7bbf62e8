//! How uploads end that are not, or no longer, wanted: they expire, or their sender removes them (tus 1.0.0, Expiration
//! and Termination), or they have been kept for their time. The row stays and says so; the bytes go, unless a stored
//! resource has them too. Whether a delivery needs them still is asked in `exchange`, in the same transaction.

use super::append::PATIENCE;
use super::lock::Lock;
use super::{Upload, UploadError, UploadState, Uploads, content, store};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::id::UploadId;

/// Uploads that expire in one go.
const AT_ONCE: u32 = 100;

impl Uploads {
    /// Looks an upload up that is to be removed, with the right to do so: whoever is writing it is stopped first.
    pub(crate) async fn hold(&self, access: &Access, id: UploadId) -> Result<(Upload, Lock), UploadError> {
        self.find(access, id).await?.ok_or(UploadError::NotFound)?;
        let lock = self.locks.seize(id, PATIENCE).await.ok_or(UploadError::Locked)?;
        let upload = self.find(access, id).await?.ok_or(UploadError::NotFound)?;
        if upload.is_gone(self.clock.now()) { Err(UploadError::Gone) } else { Ok((upload, lock)) }
    }

    /// Some uploads of every tenant that have expired, each with the right to remove it, and where the next of them
    /// begin. One that is being written is not among them: its time begins anew with its next byte.
    pub(crate) async fn expired(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, UploadId)>,
    ) -> Result<(Vec<(Upload, Lock)>, Option<(Timestamp, UploadId)>), DbError> {
        let expired = {
            let mut reader = self.db.reader().await?;
            store::expired(&mut reader.tx(), now, after, AT_ONCE).await?
        };
        let last = expired.last().and_then(|upload| Some((upload.expires_at?, upload.id)));
        let free = expired.into_iter().filter_map(|upload| {
            let lock = self.locks.take_free(upload.id)?;
            Some((upload, lock))
        });
        Ok((free.collect(), last))
    }

    /// Leaves the row of an upload alone; `false` if it is not what it was when it was read.
    pub(crate) async fn end(
        tx: &mut Tx<'_>,
        upload: &Upload,
        state: UploadState,
        now: Timestamp,
    ) -> Result<bool, DbError> {
        store::end(tx, upload, state, now).await
    }

    /// Leaves the row of a complete upload alone; gives it as it was, or nothing if it is not complete.
    pub(crate) async fn retire(
        tx: &mut Tx<'_>,
        access: &Access,
        id: UploadId,
        now: Timestamp,
    ) -> Result<Option<Upload>, DbError> {
        let found = store::find(tx, access, id).await?;
        let Some(upload) = found.filter(|upload| upload.state == UploadState::Complete) else {
            return Ok(None);
        };
        Ok(store::end(tx, &upload, UploadState::Retired, now).await?.then_some(upload))
    }

    /// Removes the rows of uploads that have no bytes any more, with all that hangs on them; returns how many.
    pub(crate) async fn remove_gone(tx: &mut Tx<'_>, ids: &[String]) -> Result<u64, DbError> {
        store::remove_gone(tx, ids).await
    }

    /// Whether a final upload still has to take the bytes of this one.
    pub(crate) async fn is_wanted(tx: &mut Tx<'_>, id: UploadId) -> Result<bool, DbError> {
        store::is_wanted(tx, id).await
    }

    /// Removes the bytes of an upload that has ended or never was. Those of one that is there, and those that a stored
    /// resource shares, stay. What cannot be removed is noted for [`Uploads::remove_left`]; if the gateway ends before,
    /// the next start sweeps it.
    pub(crate) async fn remove_bytes(&self, upload: &Upload) -> Result<(), UploadError> {
        let removed = self.remove_now(upload).await;
        match &removed {
            Ok(()) => self.unremoved.forget(upload.id),
            Err(_) => self.unremoved.note(upload),
        }
        removed
    }

    /// Notes that the bytes of an upload that has ended are to be removed another time.
    pub(crate) fn remove_later(&self, upload: &Upload) {
        self.unremoved.note(upload);
    }

    /// Removes bytes that could not be removed when their uploads ended, as far as that is possible now; returns of how
    /// many uploads.
    pub(crate) async fn remove_left(&self) -> u64 {
        let mut removed = 0;
        for upload in self.unremoved.all() {
            // The store is away still: the others would wait for it, too.
            let Ok(()) = self.remove_bytes(&upload).await else { break };
            removed += 1;
        }
        removed
    }

    async fn remove_now(&self, upload: &Upload) -> Result<(), UploadError> {
        let is_needed = {
            let mut reader = self.db.reader().await?;
            let mut tx = reader.tx();
            // An upload that nobody was sure of may exist after all.
            content::exists(&mut tx, upload.id).await? || store::exists(&mut tx, upload.id).await?
        };
        if is_needed { Ok(()) } else { Ok(self.blobs.remove(&upload.key).await?) }
    }
}
