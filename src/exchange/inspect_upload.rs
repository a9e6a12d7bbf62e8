//! What is known about one upload: the answer to "where is my file?", from the database alone.

use super::Exchange;
use crate::auth::Access;
use crate::db::DbError;
use crate::delivery::{self, Attempt, Delivery};
use crate::id::UploadId;
use crate::report::{self, StoredReport};
use crate::screening::{self, Screened};
use crate::upload::Upload;

/// An upload and every delivery attempt of it that has ended, oldest first.
#[derive(Debug)]
pub(crate) struct Inspection {
    /// The upload.
    pub(crate) upload: Upload,
    /// Its attempts.
    pub(crate) attempts: Vec<Attempt>,
    /// What is known of its bytes, where there is something to tell.
    pub(crate) screened: Option<Screened>,
}

impl Exchange {
    /// Looks at an upload; `None` if this caller has none of that id.
    pub(crate) async fn inspect_upload(
        &self,
        access: &Access,
        id: UploadId,
    ) -> Result<Option<Inspection>, DbError> {
        let Some(upload) = self.uploads.find(access, id).await? else { return Ok(None) };
        let mut reader = self.db.reader().await?;
        let attempts = delivery::attempts(&mut reader.tx(), access, id).await?;
        let screened = screening::find(&mut reader.tx(), access, id).await?;
        Ok(Some(Inspection { upload, attempts, screened }))
    }

    /// The deliveries of an upload, in the order in which they were first asked for.
    pub(crate) async fn deliveries_to(
        &self,
        access: &Access,
        id: UploadId,
    ) -> Result<Vec<Delivery>, DbError> {
        self.uploads.row_of(access, id).await?;
        let mut reader = self.db.reader().await?;
        delivery::list(&mut reader.tx(), access, id).await
    }

    /// The reports about an upload, or about a creation that was refused, oldest first.
    pub(crate) async fn reports_of(
        &self,
        access: &Access,
        id: UploadId,
    ) -> Result<Vec<StoredReport>, DbError> {
        self.uploads.row_of(access, id).await?;
        let mut reader = self.db.reader().await?;
        report::list(&mut reader.tx(), access, id).await
    }
}
