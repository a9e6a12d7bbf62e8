//! What goes wrong, in FHIR's words: a status and an OperationOutcome. The match over [`SubmitError`] names
//! every variant, so that a new one does not compile until it has an answer.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::respond;
use crate::cdex;
use crate::db::DbError;
use crate::exchange::BodyError;
use crate::exchange::export_data::{self, ExportError};
use crate::exchange::interaction::InteractionError;
use crate::exchange::submit_attachment::SubmitError;
use crate::fhir::{Issue, IssueType};
use crate::upstream::UpstreamError;

/// Why a request of the FHIR door was refused or failed.
#[derive(Debug)]
pub(super) enum FhirError {
    /// The method is not one of those of this path.
    MethodNotAllowed(&'static str),
    /// The body is in no format that is read here.
    UnsupportedMediaType(Issue),
    /// No format that is written here is accepted by the client.
    NotAcceptable(Issue),
    /// A header is not what it has to be.
    BadHeader(&'static str),
    /// The caller asks for too much at once.
    TooMany(Issue),
    /// An interaction was not done.
    Interaction(InteractionError),
    /// A submission was not accepted.
    Submit {
        /// Why.
        error: SubmitError,
        /// Where clients reach the gateway, for the advice in the answer.
        base_url: Arc<str>,
    },
}

impl FhirError {
    /// The kind of refusal, where the request did not come as far as the use case.
    pub(super) fn refused_at_the_door(&self) -> Option<IssueType> {
        match self {
            Self::MethodNotAllowed(_) | Self::UnsupportedMediaType(_) | Self::NotAcceptable(_) => {
                Some(IssueType::NotSupported)
            }
            Self::BadHeader(_) => Some(IssueType::Invalid),
            Self::TooMany(_) | Self::Interaction(_) | Self::Submit { .. } => None,
        }
    }

    /// The answer.
    pub(super) fn into_response(self) -> Response {
        let (status, issues) = match &self {
            Self::MethodNotAllowed(_) => one(
                StatusCode::METHOD_NOT_ALLOWED,
                Issue::refusal(IssueType::NotSupported, "This method is not allowed here"),
            ),
            Self::UnsupportedMediaType(issue) => one(StatusCode::UNSUPPORTED_MEDIA_TYPE, issue.clone()),
            Self::NotAcceptable(issue) => one(StatusCode::NOT_ACCEPTABLE, issue.clone()),
            Self::BadHeader(text) => one(StatusCode::BAD_REQUEST, Issue::refusal(IssueType::Invalid, *text)),
            Self::TooMany(issue) => one(StatusCode::TOO_MANY_REQUESTS, issue.clone()),
            Self::Interaction(error) => {
                log(error);
                (self::status(error), error.issues())
            }
            Self::Submit { error, base_url } => of_submission(error, base_url),
        };
        let mut response = respond::outcome(status, &issues);
        let headers = response.headers_mut();
        if let Self::Interaction(InteractionError::Gone(version)) = &self
            && let Ok(etag) = HeaderValue::from_str(&format!("W/\"{version}\""))
        {
            headers.insert(header::ETAG, etag);
        }
        if let Self::MethodNotAllowed(allow) = self {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if let Self::Interaction(InteractionError::LivesUpstream) = self {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        if matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::INSUFFICIENT_STORAGE
                | StatusCode::CONFLICT
                | StatusCode::TOO_MANY_REQUESTS
        ) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if let Self::Interaction(InteractionError::Upstream(UpstreamError::Busy { retry_after: Some(wait) })) =
            &self
            && let Ok(wait) = HeaderValue::from_str(&wait.as_secs().to_string())
        {
            headers.insert(header::RETRY_AFTER, wait);
        }
        response
    }
}

impl From<ExportError> for FhirError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::TooMany => Self::TooMany(export_data::too_many()),
            ExportError::Interaction(error) => Self::Interaction(error),
        }
    }
}

impl From<InteractionError> for FhirError {
    fn from(error: InteractionError) -> Self {
        Self::Interaction(error)
    }
}

impl From<BodyError> for FhirError {
    fn from(error: BodyError) -> Self {
        Self::Interaction(error.into())
    }
}

/// The status of an interaction that was not done.
pub(super) fn status(error: &InteractionError) -> StatusCode {
    match error {
        InteractionError::Malformed(_) | InteractionError::Body(BodyError::Broken) => StatusCode::BAD_REQUEST,
        InteractionError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        InteractionError::TooLarge(_) | InteractionError::Body(BodyError::TooLarge) => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        InteractionError::UnknownAddress(_) | InteractionError::NotFound => StatusCode::NOT_FOUND,
        InteractionError::MethodNotAllowed | InteractionError::LivesUpstream => {
            StatusCode::METHOD_NOT_ALLOWED
        }
        InteractionError::Upstream(error) => of_upstream(error),
        InteractionError::Gone(_) => StatusCode::GONE,
        InteractionError::Precondition(_) => StatusCode::PRECONDITION_FAILED,
        InteractionError::Conflict(_) => StatusCode::CONFLICT,
        InteractionError::Body(BodyError::Idle | BodyError::TooSlow) => StatusCode::REQUEST_TIMEOUT,
        InteractionError::Unavailable | InteractionError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        InteractionError::Full | InteractionError::Db(DbError::Full(_)) => StatusCode::INSUFFICIENT_STORAGE,
        InteractionError::Db(error) if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        InteractionError::Unsigned(_) | InteractionError::Storage(_) | InteractionError::Db(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        InteractionError::Entry { error, .. } => status(error),
    }
}

/// The status of what another server did not give.
fn of_upstream(error: &UpstreamError) -> StatusCode {
    match error {
        UpstreamError::NotFound => StatusCode::NOT_FOUND,
        UpstreamError::Gone => StatusCode::GONE,
        UpstreamError::InvalidCursor | UpstreamError::NotTaken(_) => StatusCode::BAD_REQUEST,
        UpstreamError::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        error if error.is_timeout() => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// What broke inside is told to the operator, once.
fn log(error: &InteractionError) {
    match error {
        InteractionError::Db(cause) => {
            tracing::error!(error = cause as &dyn std::error::Error, "an interaction could not be done");
        }
        InteractionError::Storage(cause) => {
            tracing::error!(
                error = cause as &dyn std::error::Error,
                "the upload store failed an interaction"
            );
        }
        InteractionError::Upstream(cause) => {
            tracing::warn!(
                error = cause as &dyn std::error::Error,
                "the upstream server gave no answer to pass on"
            );
        }
        InteractionError::Unsigned(cause) => {
            tracing::error!(error = cause as &dyn std::error::Error, "an answer could not be signed");
        }
        InteractionError::Entry { error, .. } => log(error),
        _ => {}
    }
}

fn one(status: StatusCode, issue: Issue) -> (StatusCode, Vec<Issue>) {
    (status, vec![issue])
}

fn of_submission(error: &SubmitError, base_url: &str) -> (StatusCode, Vec<Issue>) {
    let transient = |text: &str| {
        one(
            StatusCode::SERVICE_UNAVAILABLE,
            Issue::refusal(IssueType::Transient, text).advising("Try again later"),
        )
    };
    match error {
        SubmitError::Refused(issues) => (StatusCode::BAD_REQUEST, issues.clone()),
        // CONF-023, and CONF-024: the answer says what to do with a payload of this size.
        SubmitError::TooLarge { limit } => one(
            StatusCode::PAYLOAD_TOO_LARGE,
            Issue::refusal(
                IssueType::TooLong,
                format!("Payload exceeds the {limit} byte limit of this endpoint"),
            )
            .advising(cdex::larger_payload_advice(base_url)),
        ),
        SubmitError::PartTooLarge(issue) => {
            one(StatusCode::PAYLOAD_TOO_LARGE, issue.clone().advising(cdex::larger_payload_advice(base_url)))
        }
        SubmitError::Body(BodyError::TooLarge) => one(
            StatusCode::PAYLOAD_TOO_LARGE,
            Issue::refusal(IssueType::TooLong, "The body is longer than this endpoint takes")
                .advising(cdex::larger_payload_advice(base_url)),
        ),
        SubmitError::Body(BodyError::Idle | BodyError::TooSlow) => one(
            StatusCode::REQUEST_TIMEOUT,
            Issue::refusal(IssueType::Transient, "The body did not arrive in time"),
        ),
        SubmitError::Body(BodyError::Broken) => one(
            StatusCode::BAD_REQUEST,
            Issue::refusal(IssueType::Structure, "The body ended before its end"),
        ),
        SubmitError::KeyReused => one(
            StatusCode::UNPROCESSABLE_ENTITY,
            Issue::refusal(IssueType::Duplicate, "This Idempotency-Key was used with another body"),
        ),
        SubmitError::KeyRunning => one(
            StatusCode::CONFLICT,
            Issue::refusal(IssueType::Duplicate, "A request with this Idempotency-Key is being received"),
        ),
        SubmitError::Full => one(
            StatusCode::INSUFFICIENT_STORAGE,
            Issue::refusal(IssueType::NoStore, "No space is left to keep the payload")
                .advising("Try again later"),
        ),
        SubmitError::Stopping => transient("The gateway is stopping"),
        SubmitError::Db(DbError::Full(_)) => one(
            StatusCode::INSUFFICIENT_STORAGE,
            Issue::refusal(IssueType::NoStore, "No space is left to keep the submission")
                .advising("Try again later"),
        ),
        SubmitError::Db(cause) if cause.is_transient() => {
            tracing::error!(error = cause as &dyn std::error::Error, "a submission could not be kept");
            transient("The payload cannot be kept at the moment")
        }
        SubmitError::Db(_) | SubmitError::Storage(_) => {
            tracing::error!(error = error as &dyn std::error::Error, "a submission could not be kept");
            one(
                StatusCode::INTERNAL_SERVER_ERROR,
                Issue::refusal(
                    IssueType::Exception,
                    "Something went wrong; the log knows more by the request id",
                ),
            )
        }
    }
}
