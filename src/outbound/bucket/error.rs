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

/// An answer that says no; travels through the client's own error, which would forget most of it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("status {status}")]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
}

impl From<Refusal> for BucketError {
    fn from(Refusal { status, retry_after }: Refusal) -> Self {
        match status {
            401 | 403 => Self::Forbidden,
            404 => Self::NotFound,
            409 | 412 => Self::Exists,
            _ => Self::Refused { status, retry_after },
        }
    }
}

impl BucketError {
    /// Whether the same call may succeed a little later.
    pub(crate) fn is_of_a_moment(&self) -> bool {
        match self {
            Self::Outbound(OutboundError::Connect | OutboundError::Timeout | OutboundError::Broken)
            | Self::Failed => true,
            Self::Refused { status, retry_after } => retry_after.is_some() || is_of_a_moment(*status),
            _ => false,
        }
    }

    /// Whether it may succeed at once: the service did not say that it wants to be left alone.
    pub(super) fn is_of_a_blink(&self) -> bool {
        let wants_a_pause = matches!(self, Self::Refused { retry_after: Some(_), .. });
        self.is_of_a_moment() && !wants_a_pause
    }

    /// What is known of an error by its causes, the first of which is the error itself.
    pub(super) fn caused_by(error: &(dyn Error + 'static)) -> Self {
        let mut causes = std::iter::successors(Some(error), |&cause| cause.source());
        let known = causes.find_map(|cause| {
            let refusal = cause.downcast_ref::<Refusal>().map(|&refusal| refusal.into());
            refusal.or_else(|| cause.downcast_ref::<OutboundError>().map(|&outbound| outbound.into()))
        });
        known.unwrap_or(Self::Failed)
    }
}

/// Whether a status is about the moment, and not about the call (RFC 9110, 15.5 and 15.6).
pub(super) fn is_of_a_moment(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502..=504)
}

impl From<object_store::Error> for BucketError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::InvalidPath { .. } => Self::Name,
            error => Self::caused_by(&error),
        }
    }
}

impl From<object_store::path::Error> for BucketError {
    fn from(_: object_store::path::Error) -> Self {
        Self::Name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_a_moment_is_repeated_unless_the_service_wants_a_pause() {
        let refused = |status, wait: Option<u64>| BucketError::Refused {
            status,
            retry_after: wait.map(Duration::from_secs),
        };
        let cases = [
            (refused(503, None), true, true),
            (refused(429, None), true, true),
            (refused(503, Some(3)), true, false),
            (refused(400, None), false, false),
            (refused(501, None), false, false),
            (BucketError::Outbound(OutboundError::Broken), true, true),
            (BucketError::Outbound(OutboundError::Header), false, false),
            (BucketError::Failed, true, true),
            (BucketError::Forbidden, false, false),
            (BucketError::NotFound, false, false),
            (BucketError::Exists, false, false),
        ];
        for (error, is_of_a_moment, is_of_a_blink) in cases {
            assert_eq!(
                (error.is_of_a_moment(), error.is_of_a_blink()),
                (is_of_a_moment, is_of_a_blink),
                "{error:?}"
            );
        }
    }
}
