//! Where reports are sent: a folder, an HTTP endpoint, NATS JetStream. A sink takes one report at a time, in order, and
//! the same one again without harm; what it has is for the publisher to remember.

mod file;
mod http;
mod nats;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

pub(crate) use file::FileSink;
pub(crate) use http::HttpSink;
pub(crate) use nats::NatsSink;

use super::store::outbox::Outgoing;
use crate::outbound::OutboundError;
use crate::outbound::nats::NatsError;

/// A sink.
#[derive(Debug)]
pub(crate) enum Sink {
    /// Files of lines.
    File(FileSink),
    /// A Processing Status endpoint.
    Http(HttpSink),
    /// A stream of NATS.
    Nats(Box<NatsSink>),
}

/// Why a sink did not take a report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    /// It never will: there is something about this report that it does not take.
    #[error("a report was refused with status {0}")]
    Refused(u16),
    /// Not now, or not before somebody has put it right there or in the settings.
    #[error("the sink answers with status {status}")]
    Answered {
        /// The status.
        status: u16,
        /// When it wants to be asked again.
        wait: Option<Duration>,
    },
    /// The call brought no answer.
    #[error(transparent)]
    Call(#[from] OutboundError),
    /// NATS did not confirm it.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// The file cannot be written.
    #[error("the file cannot be written: {}", .0.kind())]
    File(#[from] io::Error),
}

impl SinkError {
    /// When the sink wants to be asked again.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Answered { wait, .. } => *wait,
            Self::Refused(_) | Self::Call(_) | Self::Nats(_) | Self::File(_) => None,
        }
    }
}

impl Sink {
    /// Hands a report over.
    ///
    /// *Idempotence*: the same report again leaves one, as far as the other side can tell ids.
    pub(super) async fn send(&self, report: &Outgoing) -> Result<(), SinkError> {
        match self {
            Self::File(file) => file.send(report).await,
            Self::Http(http) => http.send(report).await,
            Self::Nats(nats) => nats.send(report).await,
        }
    }

    /// Makes what was handed over durable, where taking it does not mean that.
    pub(super) async fn flush(&self) -> Result<(), SinkError> {
        match self {
            Self::File(file) => file.flush().await,
            Self::Http(_) | Self::Nats(_) => Ok(()),
        }
    }
}
