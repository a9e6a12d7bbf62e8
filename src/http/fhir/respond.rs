//! FHIR answers: JSON with FHIR's media type, the header fields of a version, and as much of it as `Prefer` asks for.

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::bundle;
use super::prefer::{Preferences, Return};
use crate::clock::Timestamp;
use crate::exchange::ask_upstream::Elsewhere;
use crate::exchange::find_resource::View;
use crate::exchange::interaction::{Done, Stored};
use crate::fhir::pretty::pretty;
use crate::fhir::{Issue, operation_outcome};
use crate::repository::StoredResource;

/// The media type of every body of this door.
pub(super) const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";

/// A resource as an answer.
pub(super) fn resource(status: StatusCode, resource: &serde_json::Value) -> Response {
    text(status, resource.to_string())
}

/// An OperationOutcome as an answer.
pub(super) fn outcome(status: StatusCode, issues: &[Issue]) -> Response {
    resource(status, &operation_outcome(issues))
}

fn text(status: StatusCode, text: impl Into<axum::body::Body>) -> Response {
    (status, [(header::CONTENT_TYPE, FHIR_JSON)], text.into()).into_response()
}

/// The form in which a client wants its answer.
pub(super) struct Form {
    /// The FHIR base URL.
    pub(super) base: Arc<str>,
    /// What `Prefer` says.
    pub(super) preferences: Preferences,
    /// `_pretty=true`
    pub(super) pretty: bool,
    /// The moment of the answer.
    pub(super) now: Timestamp,
}

impl Form {
    /// What was done, as an answer.
    pub(super) fn answer(&self, done: Done) -> Response {
        match done {
            Done::Created(stored) => self.stored(StatusCode::CREATED, &stored, "The resource was created"),
            Done::Updated(stored) => self.stored(StatusCode::OK, &stored, "The resource was updated"),
            Done::Existed(resource) => {
                let stored = Stored { resource, remarks: Vec::new() };
                self.stored(StatusCode::OK, &stored, "The resource was there; nothing was changed")
            }
            Done::Deleted(version) => {
                let told = [Issue::information("The resource is deleted")];
                let mut response = match self.preferences.returns {
                    Some(Return::OperationOutcome) => self.outcome(StatusCode::OK, &told),
                    _ => StatusCode::NO_CONTENT.into_response(),
                };
                if let Some(version) = &version {
                    put(&mut response, header::ETAG, &etag(version));
                }
                response
            }
            Done::Read(resource, view) => {
                let mut response = self.text(StatusCode::OK, shown(&resource, &view));
                Self::put_version(&mut response, &resource);
                response
            }
            Done::NotModified(resource) => {
                let mut response = StatusCode::NOT_MODIFIED.into_response();
                Self::put_version(&mut response, &resource);
                response
            }
            Done::Page(page) => self.text(StatusCode::OK, bundle::searchset(&page, self)),
            Done::History(page) => self.text(StatusCode::OK, bundle::history(&page, self)),
            Done::Performed(performed) => self.text(StatusCode::OK, bundle::performed(performed, self)),
            Done::Validated(issues) => self.outcome(StatusCode::OK, &issues),
            Done::Matched(page) => self.text(StatusCode::OK, bundle::matchset(&page, self)),
            Done::Answered(resource) => self.text(StatusCode::OK, resource.to_string()),
            Done::Elsewhere(Elsewhere { resource, view }) => {
                let meta = |name| resource.pointer(name).and_then(serde_json::Value::as_str);
                let version = meta("/meta/versionId").map(|version| format!("W/\"{version}\""));
                let changed = meta("/meta/lastUpdated").and_then(Timestamp::parse_rfc3339);
                let text = resource.to_string();
                let text = if view.is_whole() { None } else { view.of_text(text.as_bytes()) }
                    .unwrap_or_else(|| text.into());
                let mut response = self.text(StatusCode::OK, text);
                if let Some(version) = version {
                    put(&mut response, header::ETAG, &version);
                }
                if let Some(changed) = changed {
                    put(&mut response, header::LAST_MODIFIED, &changed.to_http_date());
                }
                response
            }
        }
    }

    /// The text of a Bundle that is a page of what was asked for; nothing where it is no such answer.
    pub(super) fn page(&self, done: &Done) -> Option<Bytes> {
        match done {
            Done::Page(page) => Some(bundle::searchset(page, self).into()),
            Done::History(page) => Some(bundle::history(page, self).into()),
            Done::Matched(page) => Some(bundle::matchset(page, self).into()),
            Done::Elsewhere(Elsewhere { resource, .. }) => Some(resource.to_string().into()),
            Done::Created(_)
            | Done::Updated(_)
            | Done::Existed(_)
            | Done::Deleted(_)
            | Done::Read(..)
            | Done::NotModified(_)
            | Done::Performed(_)
            | Done::Validated(_)
            | Done::Answered(_) => None,
        }
    }

    /// An OperationOutcome in the form wanted.
    pub(super) fn outcome(&self, status: StatusCode, issues: &[Issue]) -> Response {
        self.text(status, operation_outcome(issues).to_string())
    }

    fn stored(&self, status: StatusCode, stored: &Stored, told: &str) -> Response {
        let Stored { resource, remarks } = stored;
        let mut response = match self.preferences.returns.unwrap_or(Return::Representation) {
            Return::Minimal => status.into_response(),
            Return::Representation => self.text(status, shown(resource, &View::default())),
            Return::OperationOutcome => {
                let issues: Vec<Issue> =
                    std::iter::once(Issue::information(told)).chain(remarks.iter().cloned()).collect();
                self.outcome(status, &issues)
            }
        };
        put(&mut response, header::LOCATION, &format!("{}/{}", self.base, location(resource)));
        Self::put_version(&mut response, resource);
        response
    }

    fn put_version(response: &mut Response, resource: &StoredResource) {
        put(response, header::ETAG, &etag(resource));
        put(response, header::LAST_MODIFIED, &resource.last_updated.to_http_date());
    }

    /// The text of a resource as an answer.
    pub(super) fn text(&self, status: StatusCode, text: impl Into<Bytes>) -> Response {
        let text = text.into();
        let text = if self.pretty { pretty(&text).into() } else { text };
        self::text(status, text)
    }
}

/// A version's entity tag.
pub(super) fn etag(resource: &StoredResource) -> String {
    format!("W/\"{}\"", resource.version)
}

/// Where a version is, from the base on.
pub(super) fn location(resource: &StoredResource) -> String {
    format!("{}/{}/_history/{}", resource.resource_type, resource.id, resource.version)
}

/// As much of a resource as is wanted.
pub(super) fn shown(resource: &StoredResource, view: &View) -> Bytes {
    let content = resource.content.clone().unwrap_or_default();
    if view.is_whole() {
        return content;
    }
    view.of_text(&content).unwrap_or(content)
}

fn put(response: &mut Response, name: HeaderName, value: &str) {
    // Ids and versions are ASCII, so that this cannot fail.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
