//! Why an interaction with the upstream server brought nothing, and what the caller is told: never a word of what
//! that server said (O-08), which may hold a patient's data or tell more of it than strangers should know.

use std::time::Duration;

use crate::auth::TokenError;
use crate::fhir::{Issue, IssueType};
use crate::outbound::OutboundError;

/// An interaction with the upstream server brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// There is no such resource, or none that the caller may see.
    #[error("no such resource")]
    NotFound,
    /// The resource was deleted there.
    #[error("the resource was deleted")]
    Gone,
    /// The cursor is not one of ours, or was made for another request.
    #[error("the cursor is not one of this request")]
    InvalidCursor,
    /// The server does not take this request: a parameter or an interaction that it does not know, most likely.
    #[error("the upstream server does not take the request (status {0})")]
    NotTaken(u16),
    /// The server does not let the gateway in.
    #[error("the upstream server refused the gateway's credentials (status {0})")]
    Denied(u16),
    /// There is no token to call it with.
    #[error("no token for the upstream server")]
    Token(#[source] TokenError),
    /// The server has too much to do.
    #[error("the upstream server is busy")]
    Busy {
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// There was no answer in time.
    #[error("the upstream server did not answer in time")]
    TimedOut,
    /// The call broke.
    #[error("the call to the upstream server failed")]
    Call(#[source] OutboundError),
    /// The server failed, or leads elsewhere.
    #[error("the upstream server answered with status {0}")]
    Failed(u16),
    /// The answer is not what FHIR asks for.
    #[error("the answer of the upstream server cannot be used: {0}")]
    BadAnswer(BadAnswer),
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadAnswer {
    /// Its media type is not FHIR JSON.
    #[error("not FHIR JSON by its media type")]
    MediaType,
    /// It is no JSON, or breaks the limits of what is read.
    #[error("not JSON within the limits")]
    Json,
    /// It is another resource than the one asked for.
    #[error("another resource than asked for")]
    Resource,
}

impl UpstreamError {
    /// What the caller is told.
    pub(crate) fn issue(&self) -> Issue {
        let (code, text) = match self {
            Self::NotFound => (IssueType::NotFound, "There is no such resource"),
            Self::Gone => (IssueType::NotFound, "The resource was deleted"),
            Self::InvalidCursor => {
                let text = "The page that the link names is none of this request";
                return Issue::refusal(IssueType::Value, text)
                    .advising("Follow the links as they are, or begin at the first page");
            }
            Self::NotTaken(_) => {
                let text = "The server where these resources live does not take this request";
                return Issue::refusal(IssueType::NotSupported, text).advising("Ask with fewer parameters");
            }
            Self::Denied(_) | Self::Token(TokenError::Refused(_) | TokenError::NoEndpoint) => {
                (IssueType::Exception, "The server where these resources live does not let the gateway in")
            }
            Self::Busy { .. } => (IssueType::Transient, "The server where these resources live is busy"),
            Self::TimedOut
            | Self::Token(TokenError::Call(OutboundError::Timeout))
            | Self::Call(OutboundError::Timeout) => {
                (IssueType::Transient, "The server where these resources live did not answer in time")
            }
            Self::Call(OutboundError::TooLarge) => {
                let text = "The answer of the server where these resources live is too large";
                return Issue::refusal(IssueType::TooCostly, text)
                    .advising("Ask for less at once with _count");
            }
            Self::Call(_) | Self::Token(TokenError::Call(_)) => {
                (IssueType::Transient, "The server where these resources live cannot be reached")
            }
            Self::Failed(_) => (IssueType::Transient, "The server where these resources live failed"),
            Self::BadAnswer(_) | Self::Token(TokenError::NotAToken | TokenError::Signature) => (
                IssueType::Exception,
                "The server where these resources live gave an answer that cannot be used",
            ),
        };
        Issue::refusal(code, text)
    }

    /// Whether time was the reason, which HTTP tells apart (504) from an answer that is none (502).
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(
            self,
            Self::TimedOut
                | Self::Call(OutboundError::Timeout)
                | Self::Token(TokenError::Call(OutboundError::Timeout))
        )
    }
}

impl From<OutboundError> for UpstreamError {
    fn from(error: OutboundError) -> Self {
        Self::Call(error)
    }
}

impl From<TokenError> for UpstreamError {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl From<BadAnswer> for UpstreamError {
    fn from(error: BadAnswer) -> Self {
        Self::BadAnswer(error)
    }
}
