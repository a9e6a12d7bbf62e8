//! `/oauth` and `/oauth/refresh`: where clients of DEX get their tokens (dex-upload 1.6). The form goes on to the identity
//! provider that is configured; without one there is nothing here. Nothing of a form, a query string or an answer is in
//! any log.

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri, header};
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
    forward(state, request, ["username", "password"]).await
}

/// What came along with the last token for another one.
pub(super) async fn refresh(state: State<DoorState>, request: Request) -> Response {
    forward(state, request, ["refresh_token", ""]).await
}

/// Forwards the fields of these names; the second may be none.
async fn forward(State(state): State<DoorState>, request: Request, names: [&str; 2]) -> Response {
    let Some(front) = &state.oauth else { return crate::http::not_found().await };
    let is_post = request.method() == Method::POST;
    if !is_post && !(front.takes_query() && request.method() == Method::GET) {
        let allow = if front.takes_query() { "GET, POST" } else { "POST" };
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, allow)]).into_response();
    }
    let in_query = fields(query(request.uri()).as_bytes());
    let is_in_query = in_query.iter().any(|(name, _)| names.contains(&name.as_str()));
    let fields = if is_in_query && front.takes_query() {
        in_query
    } else if is_in_query {
        return refused("send it in the form: a query string lands in the logs of whatever passes it on");
    } else {
        let is_form = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !is_form.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
            return refused("the body must be a form: application/x-www-form-urlencoded");
        }
        match body::collect(request.into_body(), BODY_LIMIT).await {
            Ok(body) => fields(&body),
            Err(fault) => return answer(fault.status(), error("invalid_request", "the form cannot be read")),
        }
    };
    let value = |wanted: &str| {
        let mut values = fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        // Twice is none: nobody could say which was meant (RFC 6749, 3.2).
        values.next().filter(|value| !value.is_empty() && values.next().is_none())
    };
    let brought = match names {
        [token, ""] => value(token).map(Brought::RefreshToken),
        [name, password] => {
            value(name).zip(value(password)).map(|(name, password)| Brought::Login(name, password))
        }
    };
    let Some(brought) = brought else {
        let [first, second] = names;
        let wanted = if second.is_empty() { first.to_owned() } else { format!("{first} and {second}") };
        return refused(&format!("the form must have {wanted}, once"));
    };
    match front.ask(brought).await {
        Ok(told) => answer(StatusCode::OK, Value::Object(told)),
        Err(error) => failed(&error),
    }
}

fn query(uri: &Uri) -> &str {
    uri.query().unwrap_or_default()
}

fn fields(form: &[u8]) -> Vec<(String, String)> {
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
