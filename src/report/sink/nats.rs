//! Reports to a stream of NATS JetStream, which confirms each and knows by its id what it has already.

use super::{Outgoing, SinkError};
use crate::outbound::nats::{NatsClient, NatsError, NatsSettings};

/// Payload too large, in HTTP's words: the one thing about a report that NATS refuses.
const TOO_LARGE: u16 = 413;

/// A subject that a stream collects.
#[derive(Debug)]
pub(crate) struct NatsSink {
    client: NatsClient,
    subject: String,
}

impl NatsSink {
    /// Reports under this subject; nothing is called yet.
    pub(crate) fn new(settings: NatsSettings, subject: String) -> Self {
        Self { client: NatsClient::new(settings), subject }
    }

    pub(super) async fn send(&self, report: &Outgoing) -> Result<(), SinkError> {
        match self.client.publish(&self.subject, &report.id(), report.body.clone()).await {
            Err(NatsError::TooLarge) => Err(SinkError::Refused(TOO_LARGE)),
            done => Ok(done?),
        }
    }
}
