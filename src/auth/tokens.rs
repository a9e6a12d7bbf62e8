//! Who we are at one other server: nobody, the bearer of a token that never changes, or a client that fetches tokens.

use std::error::Error;

use async_trait::async_trait;

use super::{AccessToken, Grant, TokenClient, TokenError};
use crate::clock::SharedClock;
use crate::config::Secret;
use crate::outbound::tus::Identity;
use crate::outbound::{Client, Limits, OutboundError};

/// The answer to a request for a token is short.
const TOKEN_ANSWER_BYTES: usize = 64 * 1024;

/// Who the gateway is at another server, as it was set.
#[derive(Debug)]
pub(crate) enum Credentials {
    /// Nobody.
    None,
    /// The bearer of a token that never changes.
    Token(Secret, AccessToken),
    /// Somebody who fetches tokens.
    Granted(Grant),
}

impl Credentials {
    /// What of them nobody else knows.
    pub(crate) fn secret(&self) -> Option<&[u8]> {
        match self {
            Self::None => None,
            Self::Token(secret, _) => Some(secret.reveal().as_bytes()),
            Self::Granted(grant) => Some(grant.secret()),
        }
    }

    /// The tokens that they bring; `limits` bound the calls that fetch them.
    ///
    /// # Errors
    /// No client for these calls can be made.
    pub(crate) fn into_tokens(self, limits: Limits, clock: &SharedClock) -> Result<Tokens, OutboundError> {
        Ok(match self {
            Self::None => Tokens::None,
            Self::Token(_, token) => Tokens::Fixed(token),
            Self::Granted(grant) => {
                let limits = Limits { answer_bytes: TOKEN_ANSWER_BYTES, ..limits };
                let client = TokenClient::new(Client::new(limits)?, clock.clone(), grant);
                Tokens::Fetched(Box::new(client))
            }
        })
    }
}

/// How the gateway says who it is.
pub(crate) enum Tokens {
    /// Not at all.
    None,
    /// With a token that never changes.
    Fixed(AccessToken),
    /// With tokens that are fetched.
    Fetched(Box<TokenClient>),
}

impl Tokens {
    /// The token for the next call.
    pub(crate) async fn current(&self) -> Result<Option<AccessToken>, TokenError> {
        Ok(match self {
            Self::None => None,
            Self::Fixed(token) => Some(token.clone()),
            Self::Fetched(client) => Some(client.token().await?),
        })
    }

    /// Another token than the one refused; none where there is only one.
    pub(crate) async fn another(
        &self,
        refused: Option<&AccessToken>,
    ) -> Result<Option<AccessToken>, TokenError> {
        match (self, refused) {
            (Self::Fetched(client), Some(refused)) => {
                client.forget(refused).await;
                Ok(Some(client.token().await?))
            }
            (Self::None | Self::Fixed(_) | Self::Fetched(_), _) => Ok(None),
        }
    }
}

#[async_trait]
impl Identity for Tokens {
    async fn authorization(
        &self,
        refused: Option<&str>,
    ) -> Result<Option<String>, Box<dyn Error + Send + Sync>> {
        let token = match refused {
            None => self.current().await?,
            Some(refused) => {
                let refused = refused.strip_prefix("Bearer ").and_then(AccessToken::new);
                self.another(refused.as_ref()).await?
            }
        };
        Ok(token.map(|token| token.authorization()))
    }
}
