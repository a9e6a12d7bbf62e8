//! A call of a partner: its servers only, with our credentials there; a token that is refused is replaced once.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;

use super::Partner;
use crate::auth::{AccessToken, TokenError};
use crate::outbound::{Answer, Arriving, Call, OutboundError, time_for};

/// The longest that a partner may look at what it was sent before it answers.
const LONGEST_THOUGHT: Duration = Duration::from_mins(2);

/// The longest that a long answer may take, however long it is.
const LONGEST_ANSWER: Duration = Duration::from_hours(6);

/// A partner gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PartnerError {
    /// The URL names none of its servers. Nothing was sent.
    #[error("the URL is not one of the partner's servers")]
    NotItsServer,
    /// There is no token to call it with. Nothing was sent.
    #[error("no token for the partner: {0}")]
    Token(#[source] TokenError),
    /// The call broke.
    #[error("{0}")]
    Call(#[from] OutboundError),
}

impl PartnerError {
    /// Whether the call would fail the same way until somebody changes the configuration.
    pub(crate) fn is_lasting(self) -> bool {
        match self {
            Self::NotItsServer => true,
            Self::Call(error) => {
                use OutboundError::{Forbidden, Header, TooLarge, Url};
                matches!(error, Url | Header | Forbidden | TooLarge)
            }
            Self::Token(_) => false,
        }
    }
}

impl Partner {
    /// Gets what is at a URL.
    ///
    /// *Cancellation*: nothing stays.
    pub(crate) async fn get(&self, url: &str, accept: &str) -> Result<Answer, PartnerError> {
        let token = self.token_for(url).await?;
        let answer = self.getting(url, accept, token.as_ref()).send().await?;
        match self.other_token(answer.status, token.as_ref()).await? {
            Some(token) => Ok(self.getting(url, accept, Some(&token)).send().await?),
            None => Ok(answer),
        }
    }

    /// Gets what is at a URL as it arrives: at most `limit` bytes of it.
    ///
    /// *Cancellation*: nothing stays.
    pub(crate) async fn open(&self, url: &str, accept: &str, limit: u64) -> Result<Arriving, PartnerError> {
        let timeout = time_for(limit).min(LONGEST_ANSWER);
        let token = self.token_for(url).await?;
        let arriving = self.getting(url, accept, token.as_ref()).timeout(timeout).open(limit).await?;
        match self.other_token(arriving.status, token.as_ref()).await? {
            Some(token) => Ok(self.getting(url, accept, Some(&token)).timeout(timeout).open(limit).await?),
            None => Ok(arriving),
        }
    }

    /// Posts what a stream brings, `length` bytes in all, within `timeout`, or as long as a slow line may take. What
    /// was read cannot be sent again: a token that is refused makes the call fail, and the next one brings another.
    ///
    /// *Cancellation*: the other side may have acted.
    pub(crate) async fn post_stream<S>(
        &self,
        url: &str,
        headers: &[(String, String)],
        content_type: &str,
        (stream, length): (S, u64),
        timeout: Option<Duration>,
    ) -> Result<Answer, PartnerError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        self.must_own(url)?;
        // Whoever says in the header fields who we are means it: no token goes beside that.
        let is_signed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let token = if is_signed { None } else { self.token_for(url).await? };
        let call = self.posted(url, headers, content_type).stream(stream, length);
        let call = call.patience(timeout.unwrap_or(LONGEST_THOUGHT));
        let call = call.timeout(timeout.unwrap_or_else(|| LONGEST_THOUGHT + time_for(length)));
        let answer = sign(call, token.as_ref()).send().await?;
        if answer.status == 401 && !is_signed {
            self.tokens.another(token.as_ref()).await.map_err(PartnerError::Token)?;
        }
        Ok(answer)
    }

    fn posted(&self, url: &str, headers: &[(String, String)], content_type: &str) -> Call<'_> {
        let call = self.client.post(url).header("accept", "application/fhir+json");
        let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        call.header("content-type", content_type)
    }

    fn getting(&self, url: &str, accept: &str, token: Option<&AccessToken>) -> Call<'_> {
        sign(self.client.get(url).header("accept", accept), token)
    }

    /// The token to try instead of one that was refused, if there is one.
    async fn other_token(
        &self,
        status: u16,
        refused: Option<&AccessToken>,
    ) -> Result<Option<AccessToken>, PartnerError> {
        match status {
            401 => self.tokens.another(refused).await.map_err(PartnerError::Token),
            _ => Ok(None),
        }
    }

    fn must_own(&self, url: &str) -> Result<(), PartnerError> {
        if self.owns(url) { Ok(()) } else { Err(PartnerError::NotItsServer) }
    }

    /// The token for a call of this URL, if it is the partner's.
    async fn token_for(&self, url: &str) -> Result<Option<AccessToken>, PartnerError> {
        self.must_own(url)?;
        self.tokens.current().await.map_err(PartnerError::Token)
    }
}

fn sign<'c>(call: Call<'c>, token: Option<&AccessToken>) -> Call<'c> {
    match token {
        Some(token) => call.header("authorization", &token.authorization()),
        None => call,
    }
}
