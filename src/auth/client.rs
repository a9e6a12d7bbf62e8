//! Our own tokens, for calls to other servers: asked for as the [`Grant`] says, above all by SMART Backend Services,
//! that is `client_credentials` with a signed assertion (SMART App Launch 2, Asymmetric Client Authentication), and
//! kept while they hold. A caller's token never comes this way.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::grant::{DexLogin, Grant};
use crate::clock::{SharedClock, Timestamp};
use crate::config::Secret;
use crate::id::AssertionId;
use crate::outbound::{Answer, Base, Call, Client, OutboundError};

/// How long an assertion holds: at most five minutes are allowed, and clocks differ.
const ASSERTION_LIFE: Duration = Duration::from_mins(4);

/// How long before its end a token is replaced, unless its life is shorter than four times that.
const RENEWAL: Duration = Duration::from_secs(30);

/// The life of a token that does not say how long it lives, and the longest that is believed.
const TOKEN_LIFE: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(24));

/// For so long after a failure nobody asks again: those who waited meanwhile get the same answer.
const PAUSE: Duration = Duration::from_secs(1);

/// No token is longer.
const LONGEST_TOKEN: usize = 16 * 1024;

/// A token of ours for another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessToken(Secret);

impl AccessToken {
    /// The token with this text; `None` if it cannot be sent in a header field (RFC 6750, 2.1).
    pub(crate) fn new(text: &str) -> Option<Self> {
        let is_sendable =
            (1..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        is_sendable.then(|| Self(Secret::new(text)))
    }

    /// The value of the `Authorization` field; for the call that needs it, never for output.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.0.reveal())
    }
}

/// A private key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// It is no private key, or not in a form that is read.
    #[error("is not a private key in PEM: PKCS #8, or PKCS #1 for RSA")]
    Unreadable,
    /// It cannot make signatures that SMART asks for.
    #[error("must be an RSA key of 2048 bits or more (RS384) or an EC key on P-384 (ES384)")]
    Unsuitable,
}

/// A private key that signs assertions.
#[derive(Clone)]
pub(crate) struct SigningKey {
    header: Header,
    key: EncodingKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.header.alg).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Reads a key; `id` is the name under which the other side knows it. The key decides about the algorithm.
    pub(crate) fn from_pem(pem: &[u8], id: Option<&str>) -> Result<Self, KeyError> {
        // Several providers in one process would make the library refuse to choose at the first signature. The
        // error says that one was chosen before, which is this one.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let (algorithm, key) = match (EncodingKey::from_rsa_pem(pem), EncodingKey::from_ec_pem(pem)) {
            (Ok(key), _) => (Algorithm::RS384, key),
            (_, Ok(key)) => (Algorithm::ES384, key),
            (Err(_), Err(_)) => return Err(KeyError::Unreadable),
        };
        // SMART: `typ` is JWT, and `kid` the key's name in our key set.
        let header = Header { kid: id.map(str::to_owned), ..Header::new(algorithm) };
        let signing = Self { header, key };
        // Curve and size show only when it signs.
        jsonwebtoken::crypto::sign(b"", &signing.key, algorithm).map_err(|_| KeyError::Unsuitable)?;
        Ok(signing)
    }

    /// The key itself; for what is derived from it, never for output.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.key.as_bytes()
    }

    fn sign(&self, claims: &Claims<'_>) -> Result<String, TokenError> {
        jsonwebtoken::encode(&self.header, claims, &self.key).map_err(|_| TokenError::Signature)
    }
}

/// What an assertion says (SMART, Authentication JWT Claims).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: AssertionId,
}

/// Where tokens are issued.
#[derive(Debug, Clone)]
pub(crate) enum TokenEndpoint {
    /// There.
    At(String),
    /// Where the FHIR server of this base says, at `.well-known/smart-configuration`.
    Discovered(Base),
}

/// Who we are at an authorisation server.
#[derive(Debug, Clone)]
pub(crate) struct ClientSettings {
    /// The id that we are registered under.
    pub(crate) client_id: String,
    /// The key that we are registered with.
    pub(crate) key: SigningKey,
    /// The scopes that are asked for.
    pub(crate) scope: String,
    /// Where tokens are issued.
    pub(crate) endpoint: TokenEndpoint,
}

/// There is no token to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// The authorisation server did not answer.
    #[error("the authorisation server did not answer")]
    Call(#[from] OutboundError),
    /// It does not give us a token.
    #[error("the authorisation server refused the request for a token with status {0}")]
    Refused(u16),
    /// What it gave is no token.
    #[error("the answer of the authorisation server is no bearer token")]
    NotAToken,
    /// The FHIR server does not say where tokens are issued, or names a place that is not encrypted.
    #[error("the smart-configuration of the FHIR server names no token endpoint that can be used")]
    NoEndpoint,
    /// The assertion could not be signed.
    #[error("the assertion could not be signed")]
    Signature,
}

/// Fetches tokens and keeps them while they hold. Of those who need one at the same time one asks; the others wait.
pub(crate) struct TokenClient {
    http: Client,
    clock: SharedClock,
    grant: Grant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The token, and until when it is used.
    token: Option<(AccessToken, Timestamp)>,
    /// The last failure, if no success followed.
    failure: Option<(TokenError, Timestamp)>,
    /// The endpoint, where it was discovered.
    endpoint: Option<String>,
    /// What brings the next token without a login, where a token came with one.
    refresh_token: Option<Secret>,
}

/// What a token endpoint gives.
struct Issued {
    token: AccessToken,
    life: Duration,
    refresh_token: Option<Secret>,
}

impl TokenClient {
    /// One that has no token yet.
    pub(crate) fn new(http: Client, clock: SharedClock, grant: Grant) -> Self {
        Self { http, clock, grant, state: Mutex::default() }
    }

    /// A token that holds.
    ///
    /// *Cancellation*: the next one who needs a token asks.
    pub(crate) async fn token(&self) -> Result<AccessToken, TokenError> {
        let mut state = self.state.lock().await;
        // The token's life counts from before it was asked for.
        let now = self.clock.now();
        if let Some((token, until)) = &state.token
            && now < *until
        {
            return Ok(token.clone());
        }
        if let Some((error, at)) = state.failure
            && now.since(at) < PAUSE
        {
            return Err(error);
        }
        match self.fetch(&mut state, now).await {
            Ok(Issued { token, life, refresh_token }) => {
                state.failure = None;
                state.refresh_token = refresh_token;
                state.token = Some((token.clone(), now.after(life.saturating_sub(RENEWAL.min(life / 4)))));
                Ok(token)
            }
            Err(error) => {
                // It may be that the endpoint has moved.
                *state = State { failure: Some((error, self.clock.now())), ..State::default() };
                Err(error)
            }
        }
    }

    /// Forgets a token that was refused, unless another has taken its place.
    pub(crate) async fn forget(&self, refused: &AccessToken) {
        let mut state = self.state.lock().await;
        if state.token.as_ref().is_some_and(|(token, _)| token == refused) {
            state.token = None;
        }
    }

    async fn fetch(&self, state: &mut State, now: Timestamp) -> Result<Issued, TokenError> {
        match &self.grant {
            Grant::Assertion(settings) => self.assert(settings, state, now).await,
            Grant::SharedSecret(settings) => issued(settings.ask(&self.http)).await,
            Grant::DexLogin(settings) => self.log_in(settings, state).await,
        }
    }

    /// Logs in, unless the token before came with something that spares it (dex-upload F-01).
    async fn log_in(&self, settings: &DexLogin, state: &mut State) -> Result<Issued, TokenError> {
        if let Some(refresh_token) = state.refresh_token.take() {
            match issued(settings.ask_again(&self.http, &refresh_token)).await {
                Ok(mut issued) => {
                    // Who gives no other one lets us use this one again (RFC 6749, 6).
                    issued.refresh_token = issued.refresh_token.or(Some(refresh_token));
                    return Ok(issued);
                }
                Err(TokenError::Call(error)) => return Err(error.into()),
                Err(_) => {}
            }
        }
        issued(settings.ask(&self.http)).await
    }

    async fn assert(
        &self,
        settings: &ClientSettings,
        state: &mut State,
        now: Timestamp,
    ) -> Result<Issued, TokenError> {
        let endpoint = match (&settings.endpoint, &state.endpoint) {
            (TokenEndpoint::At(url), _) | (TokenEndpoint::Discovered(_), Some(url)) => url.clone(),
            (TokenEndpoint::Discovered(base), None) => {
                let url = self.discover(base).await?;
                state.endpoint.insert(url).clone()
            }
        };
        let seconds = |at: Timestamp| at.as_nanos() / 1_000_000_000;
        let assertion = settings.key.sign(&Claims {
            iss: &settings.client_id,
            sub: &settings.client_id,
            aud: &endpoint,
            iat: seconds(now),
            exp: seconds(now.after(ASSERTION_LIFE)),
            jti: AssertionId::new(),
        })?;
        let fields = [
            ("grant_type", "client_credentials"),
            ("scope", &settings.scope),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
        ];
        issued(self.http.post(&endpoint).form(&fields)).await
    }

    /// Asks the FHIR server where tokens are issued.
    async fn discover(&self, base: &Base) -> Result<String, TokenError> {
        let url = base.at("/.well-known/smart-configuration");
        let answer = self.http.get(&url).header("accept", "application/json").send().await?;
        let configuration: Option<Value> =
            (answer.status == 200).then(|| serde_json::from_slice(&answer.body).ok()).flatten();
        let endpoint = configuration.as_ref().and_then(|json| json.get("token_endpoint")?.as_str());
        // An answer must not lead us to where everybody can listen.
        let usable = endpoint
            .filter(|url| Base::parse(url).is_ok_and(|endpoint| endpoint.is_https() || !base.is_https()));
        usable.map(str::to_owned).ok_or(TokenError::NoEndpoint)
    }
}

/// Makes a request for a token.
async fn issued(call: Call<'_>) -> Result<Issued, TokenError> {
    let answer = call.header("accept", "application/json").send().await?;
    if answer.status != 200 {
        return Err(TokenError::Refused(answer.status));
    }
    read_token(&answer).ok_or(TokenError::NotAToken)
}

/// Reads the answer of a token endpoint (RFC 6749, 5.1).
fn read_token(answer: &Answer) -> Option<Issued> {
    let json: Value = serde_json::from_slice(&answer.body).ok()?;
    if !json.get("token_type")?.as_str()?.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let token = AccessToken::new(json.get("access_token")?.as_str()?)?;
    let (unsaid, longest) = TOKEN_LIFE;
    let life = json.get("expires_in").and_then(Value::as_u64).map_or(unsaid, Duration::from_secs);
    let refresh_token = json.get("refresh_token").and_then(Value::as_str).map(Secret::new);
    Some(Issued { token, life: life.min(longest), refresh_token })
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
