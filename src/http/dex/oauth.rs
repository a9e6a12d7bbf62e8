//! `/oauth` and `/oauth/refresh`: where clients of DEX get their tokens (dex-upload 1.6). The form goes on to the
//! identity provider that is configured; without one there is nothing here. Nothing of a form, a query string or an
//! answer is in any log.

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::DoorState;
use crate::auth::{Brought, FrontError};
use crate::http::body;
use crate::outbound::OutboundError;

/// A form of this call has two short words in it.
const BODY_LIMIT: u64 = 16 * 1024;

/// A user name and a password for a token.
pub(super) async fn login(state: State<DoorState>, request: Request) -> Response {
    forward(state, request, &["username", "password"]).await
}

/// What came along with the last token for another one.
pub(super) async fn refresh(state: State<DoorState>, request: Request) -> Response {
    forward(state, request, &["refresh_token"]).await
}

/// Forwards the fields of these names.
async fn forward(State(state): State<DoorState>, request: Request, names: &[&str]) -> Response {
    let Some(front) = &state.oauth else { return crate::http::not_found().await };
    let takes_query = front.takes_query();
    let is_taken = request.method() == Method::POST || (takes_query && request.method() == Method::GET);
    if !is_taken {
        let allow = if takes_query { "GET, POST" } else { "POST" };
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, allow)]).into_response();
    }
    let fields = match received(request, names, takes_query).await {
        Ok(fields) => fields,
        Err(refusal) => return refusal,
    };
    let values: Option<Vec<&str>> = names.iter().map(|name| value(&fields, name)).collect();
    let brought = match values.as_deref() {
        Some(&[token]) => Brought::RefreshToken(token),
        Some(&[name, password]) => Brought::Login(name, password),
        _ => return refused(&format!("{} must be there, once", names.join(" and "))),
    };
    match front.ask(brought).await {
        Ok(told) => answer(StatusCode::OK, Value::Object(told)),
        Err(error) => failed(&error),
    }
}

/// The fields that a request brings: those of its form, or of its query string where that is taken.
async fn received(request: Request, names: &[&str], takes_query: bool) -> Result<Vec<Field>, Response> {
    let in_query = fields(request.uri().query().unwrap_or_default().as_bytes());
    if in_query.iter().any(|(name, _)| names.contains(&name.as_str())) {
        let words = "send it in the form: a query string lands in the logs of whatever passes it on";
        return if takes_query { Ok(in_query) } else { Err(refused(words)) };
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        return Err(refused("the body must be a form: application/x-www-form-urlencoded"));
    }
    match body::collect(request.into_body(), BODY_LIMIT).await {
        Ok(body) => Ok(fields(&body)),
        Err(fault) => Err(answer(fault.status(), error("invalid_request", "the form cannot be read"))),
    }
}

/// The value of a field. Twice is none: nobody could say which was meant (RFC 6749, 3.2).
fn value<'f>(fields: &'f [Field], wanted: &str) -> Option<&'f str> {
    let mut values = fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    values.next().filter(|value| !value.is_empty() && values.next().is_none())
}

/// The name and value of a field of a form.
type Field = (String, String);

fn fields(form: &[u8]) -> Vec<Field> {
    form_urlencoded::parse(form).into_owned().collect()
}

fn failed(reason: &FrontError) -> Response {
    let (status, code, words, wait) = match reason {
        FrontError::Refused(code) => {
            tracing::debug!(error = %reason, "no token");
            (StatusCode::BAD_REQUEST, *code, "the credentials are not taken", None)
        }
        FrontError::Later(wait) => {
            let wait = wait.map_or(5, |wait| wait.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again later", Some(wait))
        }
        FrontError::Call(OutboundError::Timeout) => (
            StatusCode::GATEWAY_TIMEOUT,
            "temporarily_unavailable",
            "the identity provider is too slow",
            None,
        ),
        FrontError::Call(_) => {
            let words = "the identity provider cannot be reached";
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", words, Some(5))
        }
        FrontError::Gateway(_) | FrontError::NotAToken(_) => {
            (StatusCode::BAD_GATEWAY, "server_error", "the identity provider gave no token", None)
        }
    };
    if status.is_server_error() {
        tracing::error!(error = %reason, "no token");
    }
    let mut answer = answer(status, error(code, words));
    if let Some(wait) = wait {
        answer.headers_mut().insert(header::RETRY_AFTER, wait.into());
    }
    answer
}

fn refused(words: &str) -> Response {
    answer(StatusCode::BAD_REQUEST, error("invalid_request", words))
}

fn error(code: &str, words: &str) -> Value {
    json!({ "error": code, "error_description": words })
}

/// An answer that nobody on the way keeps (RFC 6749, 5.1).
#[expect(clippy::needless_pass_by_value, reason = "every call makes its body on the spot")]
fn answer(status: StatusCode, body: Value) -> Response {
    let mut answer = super::json(status, &body);
    for name in [header::CACHE_CONTROL, header::PRAGMA] {
        let value = if name == header::PRAGMA { "no-cache" } else { "no-store" };
        answer.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    answer
}
