//! Every HTTP call that leaves the gateway: [`Client`].
//!
//! No redirect is followed and no proxy of the environment is used, so a call reaches the host it names or none;
//! [`guard`] keeps names that lead into the gateway's own network from being called, and [`Base`] keeps calls to one
//! server below its base URL. [`tus`] is a client of tus servers, [`nats`] one of NATS. Every wait has an end and every
//! answer a limit. URLs, header fields and bodies are in no error text.

mod base;
mod body;
pub(crate) mod bucket;
mod client;
mod guard;
pub(crate) mod nats;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod tus;

pub(crate) use base::{Base, form, origin};
pub(crate) use client::{Answer, Arriving, Call, Client, Limits, time_for};
pub(crate) use guard::{Reach, names_loopback, names_private};

/// A call did not bring an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutboundError {
    /// The URL is not `http://` or `https://` with a host, or it carries a user.
    #[error("the URL cannot be called")]
    Url,
    /// A header field's name or value is not one.
    #[error("a header field cannot be sent")]
    Header,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls,
    /// The host has only addresses that must not be called. Nothing was sent.
    #[error("the address must not be called")]
    Forbidden,
    /// Nobody answers there, or not with the right certificate. Nothing was sent.
    #[error("the other side cannot be reached")]
    Connect,
    /// The time was over. The other side may have acted.
    #[error("the other side did not answer in time")]
    Timeout,
    /// The answer is larger than allowed. The other side has acted.
    #[error("the answer is larger than allowed")]
    TooLarge,
    /// The connection broke, or what came is not HTTP. The other side may have acted.
    #[error("the call broke off")]
    Broken,
}

impl OutboundError {
    /// Whether the other side certainly saw nothing of the request.
    pub(crate) fn nothing_was_sent(self) -> bool {
        match self {
            Self::Url | Self::Header | Self::Tls | Self::Forbidden | Self::Connect => true,
            Self::Timeout | Self::TooLarge | Self::Broken => false,
        }
    }
}

#[cfg(test)]
mod tests;
