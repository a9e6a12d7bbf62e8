//! What can go wrong at a bucket, brought from the many errors of its client to the few that matter. No text carries a
//! name, a URL or what the service said in words.

use std::error::Error;
use std::time::Duration;

use super::super::OutboundError;

/// A call to a bucket did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BucketError {
    /// The object is not there, or neither is the bucket.
    #[error("the bucket has no such object, or is not there")]
    NotFound,
    /// An object has the name already, and it was to be a new one.
    #[error("the bucket holds an object of that name")]
    Exists,
    /// The name cannot be that of an object.
    #[error("the name cannot be that of an object")]
    Name,
    /// The settings make no bucket.
    #[error("the settings do not describe a bucket")]
    Settings,
    /// The service does not let us in, or not this far.
    #[error("the storage service refused the credentials")]
    Forbidden,
    /// The service answered with a status that says no.
    #[error("the storage service answered with status {status}")]
    Refused {
        /// The status.
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The call brought no answer.
    #[error("the storage service gave no answer: {0}")]
    Outbound(#[from] OutboundError),
    /// It answered, and still failed after it was asked again.
    #[error("the storage service failed")]
    Failed,
}

/// An answer that is not worth asking again for at once; travels through the client's own error.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("status {status}")]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
}

impl From<object_store::Error> for BucketError {
    fn from(error: object_store::Error) -> Self {
        let causes =
            || std::iter::successors(Some(&error as &(dyn Error + 'static)), |&cause| cause.source());
        if let Some(refusal) = causes().find_map(|cause| cause.downcast_ref::<Refusal>()) {
            return Self::Refused { status: refusal.status, retry_after: refusal.retry_after };
        }
        if let Some(&outbound) = causes().find_map(|cause| cause.downcast_ref::<OutboundError>()) {
            return Self::Outbound(outbound);
        }
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound,
            object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
                Self::Exists
            }
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                Self::Forbidden
            }
            object_store::Error::InvalidPath { .. } => Self::Name,
            _ => Self::Failed,
        }
    }
}

impl From<object_store::path::Error> for BucketError {
    fn from(_: object_store::path::Error) -> Self {
        Self::Name
    }
}
