//! Uploads that have ended and whose bytes could not be removed, because the store was away. A list in memory, bounded:
//! what is not on it is swept by the next start.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Upload;
use crate::id::UploadId;

/// The most uploads that are noted.
const MOST: usize = 10_000;

/// The list.
#[derive(Debug, Default)]
pub(super) struct Unremoved {
    uploads: Mutex<HashMap<UploadId, Upload>>,
}

impl Unremoved {
    /// Notes that the bytes of an upload are there still.
    pub(super) fn note(&self, upload: &Upload) {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        if uploads.len() < MOST {
            uploads.insert(upload.id, upload.clone());
        }
    }

    /// Notes that they are gone.
    pub(super) fn forget(&self, id: UploadId) {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Everything that is noted.
    pub(super) fn all(&self) -> Vec<Upload> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
