//! The line to the upstream server: one call with our own token, in bounded time, and the answer as JSON that has
//! been looked at. Nothing of the caller's request is sent but what the interactions put into it.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;

use super::error::{BadAnswer, UpstreamError};
use crate::auth::{AccessToken, Tokens};
use crate::fhir::{self, ScanLimits, scan};
use crate::outbound::{Answer, Base, Client};

/// Calls at once; more wait. Each may hold an answer in memory.
const CALLS: usize = 32;

/// What is asked.
pub(super) enum Request {
    /// GET of a place.
    Get(String),
    /// A search whose parameters are too long for a URL: POST of a form.
    PostForm(String, Vec<(String, String)>),
    /// POST of a resource.
    PostResource(String, String),
}

/// The line.
pub(super) struct Line {
    base: Base,
    client: Client,
    tokens: Tokens,
    timeout: Duration,
    limits: ScanLimits,
    calls: Semaphore,
}

impl Line {
    /// A line to the server with this base URL. `timeout` is for a whole interaction.
    pub(super) fn new(
        base: Base,
        client: Client,
        tokens: Tokens,
        timeout: Duration,
        limits: ScanLimits,
    ) -> Self {
        Self { base, client, tokens, timeout, limits, calls: Semaphore::new(CALLS) }
    }

    /// The base URL of the server.
    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    /// Asks, and gives the JSON of an answer with status 200.
    pub(super) async fn ask(&self, request: &Request) -> Result<Value, UpstreamError> {
        let asked = tokio::time::timeout(self.timeout, async {
            // The semaphore is never closed.
            let _permit = self.calls.acquire().await.map_err(|_| UpstreamError::TimedOut)?;
            let token = self.tokens.current().await?;
            let answer = self.send(request, token.as_ref()).await?;
            if answer.status == 401
                && let Some(token) = self.tokens.another(token.as_ref()).await?
            {
                return self.send(request, Some(&token)).await;
            }
            Ok(answer)
        });
        let answer = asked.await.map_err(|_| UpstreamError::TimedOut)??;
        tracing::debug!(status = answer.status, bytes = answer.body.len(), "the upstream server answered");
        self.read(&answer)
    }

    async fn send(&self, request: &Request, token: Option<&AccessToken>) -> Result<Answer, UpstreamError> {
        let call = match request {
            Request::Get(place) => self.client.get(&self.base.at(place)),
            Request::PostForm(place, fields) => {
                let fields: Vec<(&str, &str)> =
                    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                self.client.post(&self.base.at(place)).form(&fields)
            }
            Request::PostResource(place, resource) => self
                .client
                .post(&self.base.at(place))
                .header("content-type", fhir::FHIR_JSON)
                .body(resource.clone()),
        };
        let call = call.header("accept", fhir::FHIR_JSON);
        let call = match token {
            Some(token) => call.header("authorization", &token.authorization()),
            None => call,
        };
        Ok(call.send().await?)
    }

    fn read(&self, answer: &Answer) -> Result<Value, UpstreamError> {
        match answer.status {
            200 => {}
            404 => return Err(UpstreamError::NotFound),
            410 => return Err(UpstreamError::Gone),
            401 | 403 => return Err(UpstreamError::Denied(answer.status)),
            408 | 504 => return Err(UpstreamError::TimedOut),
            429 | 503 => return Err(UpstreamError::Busy { retry_after: answer.retry_after() }),
            status @ (400 | 405 | 406 | 413 | 414 | 415 | 422 | 501) => {
                return Err(UpstreamError::NotTaken(status));
            }
            status => return Err(UpstreamError::Failed(status)),
        }
        fhir::media_type(answer.header("content-type")).map_err(|_| BadAnswer::MediaType)?;
        scan::check(self.limits, &answer.body).map_err(|_| BadAnswer::Json)?;
        Ok(fhir::parse(&answer.body).map_err(|_| BadAnswer::Json)?)
    }
}
