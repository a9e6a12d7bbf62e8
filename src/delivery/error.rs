//! What can stop a delivery, and whether trying again can help. Texts go to reports and `/info`: they name
//! the rule, never a path or a file name.

use std::io;
use std::time::Duration;

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
    #[expect(dead_code, reason = "targets over HTTP will ask for it")]
    NotBefore(Duration),
}

impl DeliveryError {
    /// Whether trying again can help.
    pub(crate) fn retry(&self) -> Retry {
        match self {
            Self::Source(SourceError::Missing | SourceError::Corrupt)
            | Self::PathTaken
            | Self::PathRefused
            | Self::NoSuchTarget => Retry::Never,
            // The rest may be the network's or the moment's fault, or an operator can put it right while
            // the schedule runs: a mount that is missing, a folder with the wrong owner.
            Self::Source(SourceError::Truncated | SourceError::Storage(_))
            | Self::LengthMismatch { .. }
            | Self::HashMismatch
            | Self::Full
            | Self::Storage(_)
            | Self::Panicked => Retry::OnSchedule,
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
