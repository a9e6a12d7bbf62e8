//! Messages to a stream of NATS JetStream. A message counts once the server has confirmed that the stream keeps it; its
//! id lets the stream know it again. A connection that fails is dropped, and the next message makes another.

use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, Context};
use async_nats::{ConnectErrorKind, ConnectOptions};
use bytes::Bytes;
use tokio::sync::Mutex;

use crate::config::Secret;

/// How long a connection may take, and a confirmation.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a server is, and who we are there.
#[derive(Debug, Clone)]
pub(crate) struct NatsSettings {
    /// `nats://host:port`, or `tls://…` for an encrypted one.
    pub(crate) url: String,
    /// Who we are there.
    pub(crate) credentials: NatsCredentials,
}

/// Who we are at a server.
#[derive(Debug, Clone)]
pub(crate) enum NatsCredentials {
    /// Nobody in particular.
    None,
    /// The bearer of a token.
    Token(Secret),
    /// A user with a password.
    User(String, Secret),
}

/// A message was not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NatsError {
    /// Nobody answers there, or not as a NATS server should.
    #[error("the NATS server cannot be reached")]
    Connect,
    /// The server does not let us in.
    #[error("the NATS server refuses our credentials")]
    Credentials,
    /// There is no stream that collects the subject.
    #[error("no stream collects the subject")]
    NoStream,
    /// It is longer than the server takes.
    #[error("the message is longer than the NATS server takes")]
    TooLarge,
    /// The time was over, or the connection broke. The stream may have it.
    #[error("the NATS server did not confirm it")]
    Unconfirmed,
}

/// A client of one server.
pub(crate) struct NatsClient {
    settings: NatsSettings,
    connection: Mutex<Option<Context>>,
}

impl std::fmt::Debug for NatsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsClient").finish_non_exhaustive()
    }
}

impl NatsClient {
    /// A client that connects when it has something to say.
    pub(crate) fn new(settings: NatsSettings) -> Self {
        Self { settings, connection: Mutex::new(None) }
    }

    /// Has a stream keep a message.
    ///
    /// *Cancellation*: the stream may have it.
    ///
    /// *Idempotence*: by `id`, as long as the stream remembers ids (two minutes unless it was set up otherwise).
    pub(crate) async fn publish(
        &self,
        subject: &str,
        id: &str,
        payload: impl Into<Bytes> + Send,
    ) -> Result<(), NatsError> {
        let mut connection = self.connection.lock().await;
        let context = match connection.take() {
            Some(context) => context,
            None => self.connect().await?,
        };
        let message = PublishMessage::build().payload(payload.into()).message_id(id);
        let confirmed = async { context.send_publish(subject.to_owned(), message).await?.await };
        let done = match tokio::time::timeout(PATIENCE, confirmed).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(match error.kind() {
                PublishErrorKind::StreamNotFound => NatsError::NoStream,
                PublishErrorKind::MaxPayloadExceeded => NatsError::TooLarge,
                _ => NatsError::Unconfirmed,
            }),
            Err(_) => Err(NatsError::Unconfirmed),
        };
        if done != Err(NatsError::Unconfirmed) {
            *connection = Some(context);
        }
        done
    }

    async fn connect(&self) -> Result<Context, NatsError> {
        let options = ConnectOptions::new().name("cdex-gateway").connection_timeout(PATIENCE);
        let options = match &self.settings.credentials {
            NatsCredentials::None => options,
            NatsCredentials::Token(token) => options.token(token.reveal().to_owned()),
            NatsCredentials::User(user, password) => {
                options.user_and_password(user.clone(), password.reveal().to_owned())
            }
        };
        let client = options.connect(&self.settings.url).await.map_err(|error| match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                NatsError::Credentials
            }
            _ => NatsError::Connect,
        })?;
        let mut context = jetstream::new(client);
        context.set_timeout(PATIENCE);
        Ok(context)
    }
}
