//! How a token of ours is asked for: with a signed assertion (SMART Backend Services), with a shared secret, or by the
//! login of a DEX gateway. Each puts together one request; `client.rs` sends it, and keeps what comes of it.

use base64_simd::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::client::ClientSettings;
use crate::config::Secret;
use crate::outbound::{Call, Client};

/// What is encoded in the halves of a Basic authentication (RFC 6749, 2.3.1). Not more than must be: some servers do
/// not decode them.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How tokens are asked for.
#[derive(Debug, Clone)]
pub(crate) enum Grant {
    /// `client_credentials` with an assertion.
    Assertion(Box<ClientSettings>),
    /// `client_credentials` with a shared secret.
    SharedSecret(SharedSecret),
    /// A user name and a password.
    DexLogin(DexLogin),
}

impl Grant {
    /// What of it nobody else knows.
    pub(super) fn secret(&self) -> &[u8] {
        match self {
            Self::Assertion(settings) => settings.key.as_bytes(),
            Self::SharedSecret(settings) => settings.client_secret.reveal().as_bytes(),
            Self::DexLogin(settings) => settings.password.reveal().as_bytes(),
        }
    }
}

/// A client with a secret (RFC 6749, 2.3.1 and 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharedSecret {
    /// Where tokens are issued.
    pub(crate) token_url: String,
    /// The id that we are registered under.
    pub(crate) client_id: String,
    /// What only we and the server know.
    pub(crate) client_secret: Secret,
    /// The scopes that are asked for; unset, the server chooses.
    pub(crate) scope: Option<String>,
}

impl SharedSecret {
    /// The request for a token. Every server takes the secret as Basic authentication, not every one in the form
    /// (RFC 6749, 2.3.1); both halves are encoded as a form first.
    pub(super) fn ask<'c>(&self, http: &'c Client) -> Call<'c> {
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        http.post(&self.token_url)
            .header("authorization", &basic(&self.client_id, &self.client_secret))
            .form(&fields)
    }
}

/// The value of the `Authorization` field of a client with a secret; for the call that needs it, never for output.
pub(super) fn basic(client_id: &str, secret: &Secret) -> String {
    let encoded = |text| utf8_percent_encode(text, ENCODED);
    let pair = format!("{}:{}", encoded(client_id), encoded(secret.reveal()));
    format!("Basic {}", STANDARD.encode_to_string(pair))
}

/// The login of a DEX gateway (dex-upload 1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DexLogin {
    /// `/oauth` of the gateway; `/refresh` is below it.
    pub(crate) url: String,
    /// Who we are there.
    pub(crate) username: String,
    /// What only we and the gateway know.
    pub(crate) password: Secret,
}

impl DexLogin {
    /// The request for a first token. User name and password go in the form: in the query they would land in the logs
    /// of whoever passes it on (dex-upload 1.6).
    pub(super) fn ask<'c>(&self, http: &'c Client) -> Call<'c> {
        http.post(&self.url).form(&[("username", &self.username), ("password", self.password.reveal())])
    }

    /// The request for another one, with what came along with the one before.
    pub(super) fn ask_again<'c>(&self, http: &'c Client, refresh_token: &Secret) -> Call<'c> {
        let url = format!("{}/refresh", self.url.trim_end_matches('/'));
        http.post(&url).form(&[("refresh_token", refresh_token.reveal())])
    }
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
