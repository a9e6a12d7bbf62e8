//! Bulk export at the edge (FHIR Bulk Data Access 2.0): `$export` is answered at once with the URL of its status, the
//! status with a manifest once all files are there, and each file with its lines. Status and files are shown to whoever
//! asked for the export; to all others they do not exist.

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::error::FhirError;
use super::metadata::acceptable;
use super::operation::content;
use super::prefer::Preferences;
use super::{DoorState, respond};
use crate::auth::Caller;
use crate::exchange::export_data::{ExportCall, ExportState, ExportStatus, FileKind};
use crate::exchange::interaction::{InteractionError, Requester};
use crate::fhir::address::parameters;
use crate::fhir::{Issue, IssueType, Place};
use crate::http::extract::Authenticated;
use crate::http::middleware::CurrentRequest;
use crate::id::ExportId;

/// How far an export is (Bulk Data Access 2.0, In-Progress Status).
const PROGRESS: HeaderName = HeaderName::from_static("x-progress");

/// The media type of the files.
const NDJSON: &str = "application/fhir+ndjson";

/// Bytes of a file that are sent as one.
const BLOCK: usize = 64 * 1024;

/// The longest time after which a client may ask again.
const LONGEST_WAIT: u64 = 30;

/// Takes an order for an export.
pub(super) async fn begin(
    place: Place,
    state: &DoorState,
    caller: Caller,
    current: &CurrentRequest,
    request: Request,
) -> Response {
    match try_begin(place, state, caller, current, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn try_begin(
    place: Place,
    state: &DoorState,
    caller: Caller,
    current: &CurrentRequest,
    request: Request,
) -> Result<Response, FhirError> {
    if request.method() == Method::OPTIONS {
        return Ok((StatusCode::NO_CONTENT, [(header::ALLOW, "GET, POST")]).into_response());
    }
    if request.method() != Method::GET && request.method() != Method::POST {
        return Err(FhirError::MethodNotAllowed("GET, POST"));
    }
    let preferences = Preferences::of(request.headers());
    if !preferences.respond_async {
        return Err(FhirError::BadHeader("An export is answered later: send Prefer: respond-async"));
    }
    acceptable(request.uri(), request.headers())?;
    let query = request.uri().query();
    let url = format!("{}/{}", state.fhir_base, place.path_of("export"));
    let call = ExportCall {
        place,
        url: query.map_or_else(|| url.clone(), |query| format!("{url}?{query}")),
        parameters: parameters(query.unwrap_or_default()),
        lenient: preferences.lenient,
        content: content(state, request)?,
    };
    let requester = requester(state, caller, current);
    let id = state.exchange.begin_export(&requester, call).await?;
    let told = [Issue::information("The export was taken; Content-Location says where its status is")];
    let mut response = respond::outcome(StatusCode::ACCEPTED, &told);
    put(&mut response, header::CONTENT_LOCATION, &format!("{}/$export-status/{id}", state.fhir_base));
    Ok(response)
}

/// Says where an export is.
pub(super) async fn status(
    State(state): State<DoorState>,
    Authenticated(caller): Authenticated,
    Extension(current): Extension<CurrentRequest>,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let Some(id) = id.ok().and_then(|Path(id)| id.parse().ok()) else { return missing() };
    let requires_token = caller.client_id().is_some();
    let requester = requester(&state, caller, &current);
    let status = match state.exchange.export_status(&requester, id).await {
        Ok(status) => status,
        Err(error) => return FhirError::from(error).into_response(),
    };
    match status.state {
        ExportState::Running => {
            let mut response = StatusCode::ACCEPTED.into_response();
            put(&mut response, PROGRESS, &format!("{} resources written", status.resources));
            // Who waits long need not ask often.
            let waited = state.exchange.clock.now().since(status.transaction_time).as_secs();
            put(&mut response, header::RETRY_AFTER, &(waited / 4).clamp(1, LONGEST_WAIT).to_string());
            response
        }
        ExportState::Complete => {
            let body = manifest(id, &status, requires_token).to_string();
            let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
            if let Some(expires_at) = status.expires_at {
                put(&mut response, header::EXPIRES, &expires_at.to_http_date());
            }
            response
        }
        ExportState::Failed => {
            let issue = Issue::refusal(IssueType::Exception, "The export could not be made");
            respond::outcome(
                StatusCode::INTERNAL_SERVER_ERROR,
                &[issue.advising("Ask for it again; the log knows more")],
            )
        }
    }
}

/// Removes an export.
pub(super) async fn remove(
    State(state): State<DoorState>,
    Authenticated(caller): Authenticated,
    Extension(current): Extension<CurrentRequest>,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let Some(id) = id.ok().and_then(|Path(id)| id.parse().ok()) else { return missing() };
    match state.exchange.remove_export(&requester(&state, caller, &current), id).await {
        Ok(()) => respond::outcome(
            StatusCode::ACCEPTED,
            &[Issue::information("The export and its files are removed")],
        ),
        Err(error) => FhirError::from(error).into_response(),
    }
}

/// Sends a file.
pub(super) async fn file(
    State(state): State<DoorState>,
    Authenticated(caller): Authenticated,
    Extension(current): Extension<CurrentRequest>,
    names: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    let names = names.ok().and_then(|Path((id, file))| Some((id.parse().ok()?, file.parse().ok()?)));
    let Some(names) = names else { return missing() };
    match state.exchange.open_export_file(&requester(&state, caller, &current), names).await {
        Ok((file, length)) => {
            let mut response = Body::from_stream(blocks(file)).into_response();
            put(&mut response, header::CONTENT_TYPE, NDJSON);
            put(&mut response, header::CONTENT_LENGTH, &length.to_string());
            response
        }
        Err(error) => FhirError::from(error).into_response(),
    }
}

/// What a status does not take.
pub(super) async fn status_only() -> Response {
    FhirError::MethodNotAllowed("GET, HEAD, DELETE").into_response()
}

/// The manifest (Bulk Data Access 2.0, Complete Status).
fn manifest(id: ExportId, status: &ExportStatus, requires_token: bool) -> Value {
    let of = |kind: FileKind| -> Vec<Value> {
        let files = status.files.iter().filter(|file| file.kind == kind);
        let wire = files.map(|file| {
            json!({
                "type": file.resource_type,
                "url": format!("{}/$export-file/{id}/{}", status.request.base, file.id),
                "count": file.resources,
            })
        });
        wire.collect()
    };
    json!({
        "transactionTime": status.transaction_time.to_string(),
        "request": status.request.url,
        "requiresAccessToken": requires_token,
        "output": of(FileKind::Output),
        "deleted": of(FileKind::Deleted),
        "error": [],
    })
}

/// The bytes of a file from its beginning.
fn blocks(file: tokio::fs::File) -> impl Stream<Item = std::io::Result<bytes::Bytes>> + Send {
    stream::try_unfold(file, |mut file| async move {
        let mut block = BytesMut::with_capacity(BLOCK);
        let read = file.read_buf(&mut block).await?;
        Ok((read > 0).then(|| (block.freeze(), file)))
    })
}

fn requester(state: &DoorState, caller: Caller, current: &CurrentRequest) -> Requester {
    Requester { caller, request_id: current.as_str().to_owned(), base: state.fhir_base.clone() }
}

/// What has not the form of our identifiers names nothing.
fn missing() -> Response {
    FhirError::from(InteractionError::NotFound).into_response()
}

fn put(response: &mut Response, name: HeaderName, value: &str) {
    // All of it is ASCII, so that this cannot fail.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
