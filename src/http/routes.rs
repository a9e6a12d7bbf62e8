//! The doors' routes with what they share: the use cases, the limits they announce, and how the outside
//! names this gateway.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderMap;
use futures_util::{StreamExt, TryStreamExt};

use super::body::{self, BodyFault};
use super::{dex, discovery, fhir, openapi, tus};
use crate::auth::OAuthFront;
use crate::clock::Timestamp;
use crate::exchange::{Body, BodyError, Exchange};
use crate::upload::MetadataMode;

/// What the routes of the doors share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DoorState {
    /// The use cases.
    pub(crate) exchange: Arc<Exchange>,
    /// When the gateway started: the date of what it declares of itself.
    pub(crate) started_at: Timestamp,
    /// What the doors announce.
    pub(crate) limits: Limits,
    /// How strictly `Upload-Metadata` is read.
    pub(crate) metadata_mode: MetadataMode,
    /// The identity provider behind `/oauth`, if there is one.
    pub(crate) oauth: Option<Arc<OAuthFront>>,
    /// `server.public_url`, without a slash at its end.
    pub(crate) public_url: Option<Arc<str>>,
    /// The URL under which clients see the gateway, configured or not, without a slash at its end.
    pub(crate) base_url: Arc<str>,
    /// The FHIR base URL below it.
    pub(crate) fhir_base: Arc<str>,
}

/// Limits that the doors announce and enforce, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// One upload (`Tus-Max-Size`).
    pub(crate) upload_bytes: u64,
    /// The body of one `$submit-attachment` (CONF-022).
    pub(crate) payload_bytes: u64,
    /// Any other FHIR body.
    pub(crate) body_bytes: u64,
}

/// All routes of all doors.
pub(crate) fn routes(state: DoorState) -> Router {
    let doors = [tus::routes(), dex::routes(), fhir::routes(), discovery::routes(), openapi::routes()];
    doors.into_iter().fold(Router::new(), Router::merge).with_state(state)
}

/// The body of a request as the use cases take it, at most `limit` bytes of it.
pub(super) fn body(request: Request, limit: u64) -> Body {
    body::stream(request.into_body(), limit).map_err(body_error).boxed()
}

/// The same without a limit, with the trailers that follow it for `told`.
pub(super) fn body_with_trailers(request: Request, told: impl FnMut(&HeaderMap) + Send + 'static) -> Body {
    body::stream_with_trailers(request.into_body(), told).map_err(body_error).boxed()
}

/// Why a body ended, as the use cases know it.
pub(super) fn body_error(fault: BodyFault) -> BodyError {
    match fault {
        BodyFault::IdleTimeout => BodyError::Idle,
        BodyFault::TooSlow => BodyError::TooSlow,
        BodyFault::TooLarge => BodyError::TooLarge,
        BodyFault::Broken => BodyError::Broken,
    }
}
