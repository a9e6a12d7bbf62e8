//! What can stop a delivery, and whether trying again can help. Texts go to reports and `/info`: they name
//! the rule, never a path or a file name.

use std::io;
use std::time::Duration;

use super::breaker::Verdict;
use crate::db::DbError;
use crate::outbound::bucket::BucketError;
use crate::outbound::tus::{Remedy, RemoteError};
use crate::partner::PartnerError;
use crate::upload::SourceError;

/// An attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// The upload's bytes cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What was written is not what the upload promised.
    #[error("the target holds {written} bytes of {expected}")]
    LengthMismatch {
        /// The upload's length.
        expected: u64,
        /// What arrived.
        written: u64,
    },
    /// What was written has another SHA-256 than the upload.
    #[error("the bytes at the target have another SHA-256 than the upload")]
    HashMismatch,
    /// Something else is at the path, and the target's policy is to leave it.
    #[error("the path at the target is taken by other content")]
    PathTaken,
    /// The path leads out of the target, or uses a name that the target keeps for itself.
    #[error("the path is not allowed at the target")]
    PathRefused,
    /// The configuration has no such target any more.
    #[error("the target is not configured")]
    NoSuchTarget,
    /// No space is left at the target.
    #[error("no space is left at the target")]
    Full,
    /// The target cannot be read or written.
    #[error("the target refused a file operation: {}", .0.kind())]
    Storage(#[source] io::Error),
    /// A bucket did not do what was asked.
    #[error("the target failed: {0}")]
    Bucket(#[from] BucketError),
    /// The target does not hold the parts any more that were sent to it.
    #[error("the target has lost the parts that were sent")]
    PartsLost,
    /// The partner gave no answer.
    #[error("the partner gave no answer: {0}")]
    Partner(#[source] PartnerError),
    /// The partner did not take it.
    #[error("the partner answered with status {status}{}{codes}", if codes.is_empty() { "" } else { ": " })]
    Refused {
        /// Its status.
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// The codes of the issues that it told.
        codes: String,
    },
    /// Nothing moved for longer than the gateway waits.
    #[error("the transfer made no progress and was cut off")]
    Stalled,
    /// A tus server, or the way to it.
    #[error(transparent)]
    Tus(#[from] RemoteError),
    /// The target has all bytes and has not done with them what is waited for.
    #[error("the target has every byte and has not said that it {wanted} the upload: status {status}")]
    NotYet {
        /// What is waited for.
        wanted: &'static str,
        /// The status of its answer.
        status: u16,
    },
    /// The target has lost bytes that it had acknowledged, and that this attempt has given up.
    #[error("the target has lost bytes that it had acknowledged")]
    Rewound,
    /// The target has lost the second upload, too.
    #[error("the target has lost the upload twice")]
    LostTwice,
    /// The manifest is not one that the target could keep.
    #[error("the manifest cannot be sent to the target: {0}")]
    Manifest(String),
    /// Another worker has the delivery now, or it was called off.
    #[error("the delivery is not this worker's any more")]
    LeaseLost,
    /// What the next attempt needs could not be written down.
    #[error("the progress of the delivery could not be kept")]
    Progress(#[from] DbError),
    /// The attempt panicked.
    #[error("the attempt ended unexpectedly")]
    Panicked,
}

/// Whether, and when, a failed attempt may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It would fail the same way until somebody changes something.
    Never,
    /// When the retry schedule says so.
    OnSchedule,
    /// When the schedule says so, but not earlier than the target asked for.
    NotBefore(Duration),
}

impl DeliveryError {
    /// The text for whoever sent the upload, in its report and at `/info`: what another DEX says of a manifest is told
    /// there (dex-upload F-07), and in no log.
    pub(super) fn issue(&self) -> String {
        match self {
            Self::Tus(RemoteError::Refused(refusal)) if !refusal.messages.is_empty() => {
                format!("{self}: {}", refusal.messages.join("; "))
            }
            _ => self.to_string(),
        }
    }

    /// Whether trying again can help.
    pub(crate) fn retry(&self) -> Retry {
        match self {
            Self::Source(SourceError::Missing | SourceError::Corrupt)
            | Self::PathTaken
            | Self::PathRefused
            | Self::NoSuchTarget
            | Self::LostTwice
            | Self::Manifest(_) => Retry::Never,
            Self::Tus(error) => match error.remedy() {
                Remedy::Nothing => Retry::Never,
                Remedy::Wait(Some(wait)) => Retry::NotBefore(wait),
                Remedy::Wait(None) | Remedy::Permission | Remedy::NewUpload => Retry::OnSchedule,
            },
            Self::Partner(error) if error.is_lasting() => Retry::Never,
            Self::Refused { status, retry_after, .. } => match (status, retry_after) {
                (401 | 403 | 408 | 409 | 425 | 429 | 500.., Some(wait)) => Retry::NotBefore(*wait),
                // Somebody may let us in while the schedule runs.
                (401 | 403 | 408 | 425 | 429 | 500.., None) => Retry::OnSchedule,
                _ => Retry::Never,
            },
            Self::Bucket(error) => match error {
                BucketError::Name
                | BucketError::Settings
                | BucketError::Refused { status: 405 | 413 | 414, .. } => Retry::Never,
                BucketError::Refused { retry_after: Some(wait), .. } => Retry::NotBefore(*wait),
                // S3 calls a connection that was slow a bad request, and so a token that has ended.
                BucketError::Refused { retry_after: None, .. }
                | BucketError::NotFound
                | BucketError::Exists
                | BucketError::Forbidden
                | BucketError::Outbound(_)
                | BucketError::Failed => Retry::OnSchedule,
            },
            // The rest may be the network's or the moment's fault, or an operator can put it right while
            // the schedule runs: a mount that is missing, a folder with the wrong owner.
            Self::Source(SourceError::Truncated | SourceError::Storage(_))
            | Self::LengthMismatch { .. }
            | Self::HashMismatch
            | Self::Full
            | Self::Storage(_)
            | Self::PartsLost
            | Self::Partner(_)
            | Self::Stalled
            | Self::NotYet { .. }
            | Self::Rewound
            | Self::LeaseLost
            | Self::Progress(_)
            | Self::Panicked => Retry::OnSchedule,
        }
    }
}

impl DeliveryError {
    /// What the failure says of the target: that it is in trouble, or nothing.
    pub(super) fn verdict(&self) -> Verdict {
        let is_ours = matches!(
            self,
            Self::Source(_)
                | Self::LengthMismatch { .. }
                | Self::HashMismatch
                | Self::NotYet { .. }
                | Self::Rewound
                | Self::PartsLost
                | Self::LeaseLost
                | Self::Progress(_)
                | Self::Panicked
        );
        match self.retry() {
            Retry::Never => Verdict::Nothing,
            _ if is_ours => Verdict::Nothing,
            Retry::OnSchedule => Verdict::Fails(None),
            Retry::NotBefore(wait) => Verdict::Fails(Some(wait)),
        }
    }
}

impl From<io::Error> for DeliveryError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            // The path runs through a file or a symbolic link, or is longer than the file system takes.
            io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => Self::PathRefused,
            _ => Self::Storage(error),
        }
    }
}
