//! `[auth]`: who may call, and where DEX clients get their tokens.

use std::time::Duration;

use serde::Deserialize;

use super::{Problems, Secret, unit};

/// Who may call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Whose tokens are believed.
    pub mode: AuthMode,
    /// The identity provider behind `/oauth`.
    pub oauth_front: OAuthFrontConfig,
}

/// Whose tokens are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Nobody is asked; the gateway listens on loopback only.
    None,
    /// The gateway issues its own.
    Builtin,
    /// An authorisation server does.
    External,
}

/// The identity provider behind `/oauth`: off unless it has a URL.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthFrontConfig {
    /// Where tokens are issued.
    pub token_url: Option<String>,
    /// The id that the gateway is registered under there.
    pub client_id: Option<String>,
    /// What only the gateway and the provider know.
    pub client_secret: Option<Secret>,
    /// The scopes that are asked for; without them the provider chooses.
    pub scope: Option<String>,
    /// Whether the provider may have an address that is not public.
    pub private_addresses: bool,
    /// Whether user name and password are also taken from the query string, and by GET: they land in the logs of
    /// whatever lies between.
    pub query_credentials: bool,
    /// How long the provider may take.
    #[serde(rename = "timeout_secs", deserialize_with = "unit::seconds")]
    pub timeout: Duration,
}

impl AuthConfig {
    pub(super) fn validate(&self, problems: &mut Problems) {
        // Falling back to `none` would open the door that the operator asked to be locked.
        match self.mode {
            AuthMode::None => {}
            AuthMode::Builtin | AuthMode::External => {
                problems.add("auth.mode", "only \"none\" is available in this version");
            }
        }
        self.oauth_front.validate(problems);
    }

    pub(super) fn warn(&self, warnings: &mut Vec<String>) {
        if self.oauth_front.token_url.is_some() && self.oauth_front.query_credentials {
            warnings.push(
                "auth.oauth_front.query_credentials: passwords in a query string land in the logs of whatever lies \
                 between"
                    .to_owned(),
            );
        }
    }
}

impl OAuthFrontConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.refuse_zero("auth.oauth_front.timeout_secs", self.timeout.as_secs());
        match &self.token_url {
            Some(url)
                if !(url.starts_with("https://") || self.private_addresses && url.starts_with("http://")) =>
            {
                problems.add(
                    "auth.oauth_front.token_url",
                    "must start with https://, or http:// with private_addresses",
                );
            }
            None if self.client_id.is_some() || self.client_secret.is_some() => {
                problems.add("auth.oauth_front.token_url", "is missing");
            }
            Some(_) | None => {}
        }
        if self.client_id.is_none() && self.client_secret.is_some() {
            problems.add("auth.oauth_front.client_id", "is missing");
        }
    }
}
