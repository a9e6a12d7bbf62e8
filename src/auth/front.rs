//! The identity provider behind `/oauth` (dex-upload 1.6): a client of DEX gives its user name and password, or what
//! came along with its last token, and gets what the provider says. The gateway adds who it is itself. Nothing of it is
//! kept, and nothing of it is in an error text.

use std::time::Duration;

use serde_json::{Map, Value};

use super::grant::basic;
use crate::config::Secret;
use crate::outbound::{Answer, Client, Limits, OutboundError, Reach};

/// The answer to a request for a token is short.
const ANSWER_BYTES: usize = 64 * 1024;

/// What an answer may tell whoever asked (RFC 6749, 5.1, and DEX's `resource`).
const TOLD: [&str; 7] =
    ["access_token", "token_type", "expires_in", "refresh_token", "scope", "id_token", "resource"];

/// Where tokens are issued, and who the gateway is there.
#[derive(Debug)]
pub(crate) struct FrontSettings {
    /// The token endpoint.
    pub(crate) token_url: String,
    /// The id that the gateway is registered under, if it is.
    pub(crate) client_id: Option<String>,
    /// What only the gateway and the provider know.
    pub(crate) client_secret: Option<Secret>,
    /// The scopes that are asked for.
    pub(crate) scope: Option<String>,
    /// Which addresses the provider may have.
    pub(crate) reach: Reach,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// Whether credentials are taken from the query string, too.
    pub(crate) query_credentials: bool,
}

/// What a client of DEX brings.
#[derive(Clone, Copy)]
pub(crate) enum Brought<'a> {
    /// User name and password.
    Login(&'a str, &'a str),
    /// What came along with the last token.
    RefreshToken(&'a str),
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrontError {
    /// The provider does not take what the client brought: its code (RFC 6749, 5.2).
    #[error("the identity provider refused the client's credentials: {0}")]
    Refused(&'static str),
    /// It does not take the gateway, or what the gateway asks for.
    #[error("the identity provider refused the gateway: {0}")]
    Gateway(&'static str),
    /// It wants to be asked later.
    #[error("the identity provider wants to be asked later")]
    Later(Option<Duration>),
    /// What it said is neither a token nor a refusal.
    #[error("the identity provider answered with status {0}, which is no token")]
    NotAToken(u16),
    /// It gave no answer.
    #[error("the identity provider gave no answer: {0}")]
    Call(#[from] OutboundError),
}

/// Asks the provider on behalf of clients.
#[derive(Debug)]
pub(crate) struct OAuthFront {
    http: Client,
    settings: FrontSettings,
}

impl OAuthFront {
    /// One that has asked for nothing yet.
    ///
    /// # Errors
    /// No client for calls can be made.
    pub(crate) fn new(settings: FrontSettings) -> Result<Self, OutboundError> {
        let limits = Limits {
            timeout: settings.timeout,
            read_timeout: settings.timeout,
            answer_bytes: ANSWER_BYTES,
            reach: settings.reach,
            ..Limits::default()
        };
        Ok(Self { http: Client::new(limits)?, settings })
    }

    /// Whether credentials are taken from the query string, too.
    pub(crate) fn takes_query(&self) -> bool {
        self.settings.query_credentials
    }

    /// Asks for a token with what a client brought; what is told is for that client alone.
    pub(crate) async fn ask(&self, brought: Brought<'_>) -> Result<Map<String, Value>, FrontError> {
        let settings = &self.settings;
        let mut fields = match brought {
            Brought::Login(name, password) => {
                let mut fields = vec![("grant_type", "password"), ("username", name), ("password", password)];
                fields.extend(settings.scope.as_deref().map(|scope| ("scope", scope)));
                fields
            }
            Brought::RefreshToken(token) => vec![("grant_type", "refresh_token"), ("refresh_token", token)],
        };
        let mut call = self.http.post(&settings.token_url).header("accept", "application/json");
        match (&settings.client_id, &settings.client_secret) {
            (Some(id), Some(secret)) => call = call.header("authorization", &basic(id, secret)),
            (Some(id), None) => fields.push(("client_id", id)),
            (None, _) => {}
        }
        read(&call.form(&fields).send().await?)
    }
}

fn read(answer: &Answer) -> Result<Map<String, Value>, FrontError> {
    let mut json: Map<String, Value> = serde_json::from_slice(&answer.body).unwrap_or_default();
    match answer.status {
        200 if json.get("access_token").is_some_and(Value::is_string) => {
            json.retain(|name, _| TOLD.contains(&name.as_str()));
            Ok(json)
        }
        // Whatever the provider adds in words may repeat what it was sent.
        400 | 401 | 403 => Err(match json.get("error").and_then(Value::as_str) {
            Some("invalid_request") => FrontError::Refused("invalid_request"),
            Some("invalid_grant" | "access_denied") => FrontError::Refused("invalid_grant"),
            Some("invalid_client") => FrontError::Gateway("invalid_client"),
            Some("unauthorized_client") => FrontError::Gateway("unauthorized_client"),
            Some("unsupported_grant_type") => FrontError::Gateway("unsupported_grant_type"),
            Some("invalid_scope") => FrontError::Gateway("invalid_scope"),
            Some(_) | None => FrontError::NotAToken(answer.status),
        }),
        429 | 500.. => Err(FrontError::Later(answer.retry_after())),
        status => Err(FrontError::NotAToken(status)),
    }
}

#[cfg(test)]
#[path = "front_tests.rs"]
mod tests;
