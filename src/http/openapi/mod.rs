//! `GET /openapi.json`: the whole gateway as an OpenAPI 3.1 document, made once. The paths of the FHIR door follow from
//! the tables of types, search parameters and operations ([`fhir`]); those of tus and DEX are written by hand
//! ([`upload`]), because their protocols are.

mod fhir;
#[cfg(test)]
mod tests;
mod upload;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::routes::DoorState;

/// The route of the document.
pub(super) fn routes() -> Router<DoorState> {
    let made: Arc<OnceLock<Bytes>> = Arc::default();
    Router::new().route("/openapi.json", get(async move |State(state): State<DoorState>| read(&state, &made)))
}

fn read(state: &DoorState, made: &OnceLock<Bytes>) -> Response {
    let text =
        made.get_or_init(|| document(&state.base_url, state.oauth.is_some()).to_string().into()).clone();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The document; whether there is an identity provider decides on `/oauth`.
fn document(base_url: &str, has_oauth: bool) -> Value {
    let mut paths = fhir::paths();
    paths.extend(upload::paths());
    if has_oauth {
        paths.extend(upload::oauth_paths());
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "cdex-gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "FHIR R4 with CDex under /fhir, resumable uploads (tus 1.0.0) under /files, and the DEX \
                            Upload API. What FHIR itself defines is told by /fhir/metadata.",
        },
        "servers": [{ "url": base_url }],
        "paths": paths,
        "components": {
            "parameters": fhir::shared_parameters(),
            "responses": fhir::shared_responses(),
            "schemas": fhir::schemas(),
        },
    })
}

/// A parameter in a place (`query`, `path`, `header`).
fn parameter(place: &str, name: &str, schema: &Value, description: &str) -> Value {
    json!({
        "in": place,
        "name": name,
        "required": place == "path",
        "schema": schema,
        "description": description,
    })
}

/// The operations of a path, each by its method in lower case.
fn path(operations: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Object(operations.into_iter().map(|(method, operation)| (method.to_owned(), operation)).collect())
}

/// Responses by their status.
fn responses<'a>(each: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let by_status: Map<String, Value> =
        each.into_iter().map(|(status, response)| (status.to_owned(), response)).collect();
    by_status.into()
}

/// A response with a body of this type and schema; without one if there is none.
fn response(description: &str, content: Option<(&str, Value)>) -> Value {
    match content {
        None => json!({ "description": description }),
        Some((media_type, schema)) => {
            json!({ "description": description, "content": { media_type: { "schema": schema } } })
        }
    }
}
