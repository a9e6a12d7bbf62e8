//! `[base]/$submit-attachment`. The body is not read here: it goes to the use case as it arrives.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::auth::Caller;
use crate::cdex::OwnUploads;
use crate::exchange::submit_attachment::{Answer, SubmitRequest};
use crate::fhir;
use crate::http::fhir::error::FhirError;
use crate::http::fhir::interaction::unpacked;
use crate::http::fhir::prefer::{Preferences, Return};
use crate::http::fhir::{DoorState, metadata, respond};
use crate::http::middleware::CurrentRequest;
use crate::http::routes;

/// The longest `Idempotency-Key`, in characters.
const KEY_LIMIT: usize = 255;

/// CDex 5.1: only POST; 5.5: method before media type before size.
pub(super) async fn serve(
    state: DoorState,
    caller: Caller,
    current: CurrentRequest,
    request: Request,
) -> Response {
    let error = match submit(&state, caller.clone(), &current, request).await {
        Ok(response) => return response,
        Err(error) => error,
    };
    // What the use case refused it has audited itself; the rest did not come that far.
    if let Some(kind) = error.refused_at_the_door()
        && let Err(error) =
            state.exchange.audit_refusal(&caller, current.as_str(), vec![kind.as_code()]).await
    {
        return FhirError::Submit { error: error.into(), base_url: state.base_url.clone() }.into_response();
    }
    error.into_response()
}

async fn submit(
    state: &DoorState,
    caller: Caller,
    current: &CurrentRequest,
    request: Request,
) -> Result<Response, FhirError> {
    if request.method() != Method::POST {
        return Err(FhirError::MethodNotAllowed("POST"));
    }
    let headers = request.headers();
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    fhir::media_type(content_type).map_err(|error| FhirError::UnsupportedMediaType(error.issue()))?;
    unpacked(headers)?;
    metadata::acceptable(request.uri(), headers)?;
    let preferred = Preferences::of(headers).returns;
    let submission = SubmitRequest {
        caller,
        request_id: current.as_str().to_owned(),
        idempotency_key: idempotency_key(headers)?,
        own_uploads: own_uploads(state, headers),
        declared: headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()),
    };
    let body = routes::body(request, state.limits.payload_bytes);
    let answer = state.exchange.submit_attachment(submission, body).await;
    let answer = answer.map_err(|error| FhirError::Submit { error, base_url: state.base_url.clone() })?;
    Ok(accepted(&answer, preferred))
}

/// 200, the uploads in one `Link` field, and the outcome unless the client does not want it.
fn accepted(answer: &Answer, preferred: Option<Return>) -> Response {
    let mut response = match preferred {
        Some(Return::Minimal) => StatusCode::OK.into_response(),
        Some(Return::Representation | Return::OperationOutcome) | None => {
            respond::resource(StatusCode::OK, &answer.outcome)
        }
    };
    let links: Vec<String> =
        answer.upload_ids.iter().map(|id| format!("</upload/info/{id}>; rel=\"status\"")).collect();
    if let Ok(links) = HeaderValue::try_from(links.join(", ")) {
        response.headers_mut().insert(header::LINK, links);
    }
    response
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, FhirError> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return match headers.get("idempotency-key") {
            None => Ok(None),
            Some(_) => Err(FhirError::BadHeader("Idempotency-Key stands twice")),
        };
    };
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= KEY_LIMIT);
    key.map(|key| Some(key.to_owned()))
        .ok_or(FhirError::BadHeader("Idempotency-Key is not 1 to 255 printable ASCII characters"))
}

/// An upload of ours may be named by the configured URL, by the address listened on, or by whatever name
/// this request came in under: an upload is found by its id alone, so a false name leads nowhere else.
fn own_uploads(state: &DoorState, headers: &HeaderMap) -> OwnUploads {
    let mut origins = vec![state.base_url.to_string()];
    if let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) {
        origins.extend(["http", "https"].map(|scheme| format!("{scheme}://{host}")));
    }
    OwnUploads { origins }
}
