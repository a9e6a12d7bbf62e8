//! What goes wrong, in tus statuses. Bodies are tusd's: `CODE: message`, plain text; the refusal of a
//! manifest alone is JSON, in DEX's shape.

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::db::DbError;
use crate::exchange::BodyError;
use crate::exchange::concatenate_upload::ConcatenationRefused;
use crate::exchange::terminate_upload::TerminationRefused;
use crate::id::UploadId;
use crate::manifest::RejectedManifest;
use crate::upload::{ChecksumError, UploadError};

/// Why a request of the tus door was refused or failed.
#[derive(Debug)]
pub(super) enum TusError {
    UnsupportedVersion,
    /// Of the IETF draft.
    UnsupportedDraft,
    MethodNotAllowed(&'static str),
    InvalidContentType,
    InvalidUploadLength,
    InvalidUploadLengthDefer,
    AmbiguousUploadLength,
    InvalidOffset,
    InvalidCompleteness,
    InvalidConcat,
    ForeignPart,
    NotPartial,
    UploadNotFinished,
    ModifyFinal,
    Checksum(ChecksumError),
    ChecksumMismatch,
    InvalidMetadata(String),
    MaxSizeExceeded,
    SizeExceeded,
    NotFound,
    Gone,
    /// With the offset that would do.
    MismatchedOffset(u64),
    Locked,
    Interrupted,
    Damaged,
    DeliveryUnderWay,
    NotByTus,
    Full,
    Stopping,
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    Body(BodyError),
    Refused {
        id: UploadId,
        rejected: RejectedManifest,
    },
    Unrouted(UploadId),
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl From<UploadError> for TusError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::NotFound => Self::NotFound,
            UploadError::Gone => Self::Gone,
            UploadError::Final => Self::ModifyFinal,
            UploadError::LengthConflict => Self::InvalidUploadLength,
            UploadError::TooLong => Self::MaxSizeExceeded,
            UploadError::Checksum(error) => Self::Checksum(error),
            UploadError::ChecksumMismatch => Self::ChecksumMismatch,
            UploadError::OffsetMismatch { expected, .. } => Self::MismatchedOffset(expected),
            UploadError::BeyondLength => Self::SizeExceeded,
            UploadError::Locked => Self::Locked,
            UploadError::Damaged => Self::Damaged,
            UploadError::Full => Self::Full,
            UploadError::Stopping => Self::Stopping,
            // Clients try again, and the store comes back or somebody looks after it.
            UploadError::Blob(_) => Self::Unavailable(error.into()),
            UploadError::ForeignStore => Self::Internal(error.into()),
            UploadError::Db(error) => error.into(),
        }
    }
}

impl From<ConcatenationRefused> for TusError {
    fn from(refused: ConcatenationRefused) -> Self {
        match refused {
            ConcatenationRefused::PartMissing => Self::NotFound,
            ConcatenationRefused::NotPartial => Self::NotPartial,
            ConcatenationRefused::PartUnfinished => Self::UploadNotFinished,
            ConcatenationRefused::TooLong => Self::MaxSizeExceeded,
            ConcatenationRefused::Db(error) => error.into(),
        }
    }
}

impl From<TerminationRefused> for TusError {
    fn from(refused: TerminationRefused) -> Self {
        match refused {
            TerminationRefused::UnderWay => Self::DeliveryUnderWay,
            TerminationRefused::NotByTus => Self::NotByTus,
            TerminationRefused::Upload(error) => error.into(),
        }
    }
}

impl From<DbError> for TusError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Full(_) => Self::Full,
            DbError::Closed => Self::Stopping,
            other if other.is_transient() => Self::Unavailable(other.into()),
            other => Self::Internal(other.into()),
        }
    }
}

impl TusError {
    /// Status, code and message (dex-upload 2.4, with what is marked FIX there).
    #[expect(clippy::too_many_lines, reason = "one line of the table for each way to fail")]
    fn parts(&self) -> (StatusCode, &'static str, &str) {
        use StatusCode as S;
        match self {
            Self::UnsupportedVersion => (
                S::PRECONDITION_FAILED,
                "ERR_UNSUPPORTED_VERSION",
                "missing, invalid or unsupported Tus-Resumable header",
            ),
            Self::UnsupportedDraft => (
                S::PRECONDITION_FAILED,
                "ERR_UNSUPPORTED_VERSION",
                "unsupported Upload-Draft-Interop-Version header: 3, 4, 5 and 6 are taken, and Tus-Resumable 1.0.0",
            ),
            Self::MethodNotAllowed(_) => {
                (S::METHOD_NOT_ALLOWED, "ERR_METHOD_NOT_ALLOWED", "method not allowed")
            }
            Self::InvalidContentType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "ERR_INVALID_CONTENT_TYPE",
                "missing or invalid Content-Type header",
            ),
            Self::InvalidUploadLength => {
                (S::BAD_REQUEST, "ERR_INVALID_UPLOAD_LENGTH", "missing or invalid Upload-Length header")
            }
            Self::InvalidUploadLengthDefer => {
                (S::BAD_REQUEST, "ERR_INVALID_UPLOAD_LENGTH_DEFER", "invalid Upload-Defer-Length header")
            }
            Self::AmbiguousUploadLength => (
                S::BAD_REQUEST,
                "ERR_AMBIGUOUS_UPLOAD_LENGTH",
                "provided both Upload-Length and Upload-Defer-Length",
            ),
            Self::InvalidOffset => {
                (S::BAD_REQUEST, "ERR_INVALID_OFFSET", "missing or invalid Upload-Offset header")
            }
            Self::InvalidCompleteness => (
                S::BAD_REQUEST,
                "ERR_INVALID_UPLOAD_COMPLETE",
                "invalid Upload-Complete or Upload-Incomplete header",
            ),
            Self::InvalidConcat => (S::BAD_REQUEST, "ERR_INVALID_CONCAT", "invalid Upload-Concat header"),
            Self::ForeignPart => (
                S::BAD_REQUEST,
                "ERR_INVALID_CONCAT",
                "Upload-Concat names an upload of another server, or this one by a name that it does not know",
            ),
            Self::NotPartial => (
                S::BAD_REQUEST,
                "ERR_INVALID_CONCAT",
                "Upload-Concat names an upload that was not created with Upload-Concat: partial",
            ),
            Self::UploadNotFinished => {
                (S::BAD_REQUEST, "ERR_UPLOAD_NOT_FINISHED", "one of the partial uploads is not finished")
            }
            Self::ModifyFinal => {
                (S::FORBIDDEN, "ERR_MODIFY_FINAL", "modifying a final upload is not allowed")
            }
            Self::Checksum(ChecksumError::Malformed) => {
                (S::BAD_REQUEST, "ERR_INVALID_CHECKSUM", "missing or invalid Upload-Checksum")
            }
            Self::Checksum(ChecksumError::UnknownAlgorithm) => {
                (S::BAD_REQUEST, "ERR_UNSUPPORTED_CHECKSUM_ALGORITHM", "unsupported checksum algorithm")
            }
            Self::ChecksumMismatch => (
                // tus 1.0.0, Checksum: a status that is registered nowhere.
                S::from_u16(460).unwrap_or(S::BAD_REQUEST),
                "ERR_CHECKSUM_MISMATCH",
                "the body does not agree with its checksum and was not kept",
            ),
            Self::InvalidMetadata(message) => (S::BAD_REQUEST, "ERR_INVALID_UPLOAD_METADATA", message),
            Self::MaxSizeExceeded => (S::PAYLOAD_TOO_LARGE, "ERR_MAX_SIZE_EXCEEDED", "maximum size exceeded"),
            Self::SizeExceeded | Self::Body(BodyError::TooLarge) => {
                (S::PAYLOAD_TOO_LARGE, "ERR_UPLOAD_SIZE_EXCEEDED", "upload's size exceeded")
            }
            Self::NotFound => (S::NOT_FOUND, "ERR_UPLOAD_NOT_FOUND", "upload not found"),
            Self::Gone => {
                (S::GONE, "ERR_UPLOAD_GONE", "the upload has expired or was removed; start a new one")
            }
            Self::MismatchedOffset(_) => (S::CONFLICT, "ERR_MISMATCHED_OFFSET", "mismatched offset"),
            Self::Locked => (S::LOCKED, "ERR_UPLOAD_LOCKED", "file currently locked"),
            // 423 and not tusd's 400, which clients do not try again (T-35).
            Self::Interrupted => (
                S::LOCKED,
                "ERR_UPLOAD_INTERRUPTED",
                "upload has been interrupted by another request for this upload resource",
            ),
            Self::Damaged => {
                (S::GONE, "ERR_UPLOAD_DAMAGED", "the upload cannot be continued; start a new one")
            }
            // 423 rather than 409: it goes by itself, and clients try again.
            Self::DeliveryUnderWay => (
                S::LOCKED,
                "ERR_UPLOAD_IN_USE",
                "the upload is being delivered or concatenated; ask again later, or with ?force where it is delivered",
            ),
            Self::NotByTus => (
                S::FORBIDDEN,
                "ERR_UPLOAD_TERMINATION_REJECTED",
                "the upload belongs to a FHIR resource and cannot be removed here",
            ),
            Self::Full => (S::INSUFFICIENT_STORAGE, "ERR_INSUFFICIENT_STORAGE", "no space is left"),
            Self::Stopping => (
                S::SERVICE_UNAVAILABLE,
                "ERR_SERVER_SHUTDOWN",
                "request has been interrupted because the server is shutting down",
            ),
            Self::Unavailable(_) => {
                (S::SERVICE_UNAVAILABLE, "ERR_UNAVAILABLE", "the server cannot do this at the moment")
            }
            Self::Body(BodyError::Broken) => {
                (S::BAD_REQUEST, "ERR_UNEXPECTED_EOF", "server expected to receive more bytes")
            }
            // 5xx on purpose: clients try again.
            Self::Body(BodyError::Idle | BodyError::TooSlow) => {
                (S::SERVICE_UNAVAILABLE, "ERR_READ_TIMEOUT", "timeout while reading request body")
            }
            Self::Refused { .. } | Self::Unrouted(_) => {
                (S::BAD_REQUEST, "ERR_UPLOAD_REJECTED", "upload creation has been rejected by server")
            }
            Self::Internal(_) => (
                S::INTERNAL_SERVER_ERROR,
                "ERR_INTERNAL_SERVER_ERROR",
                "something went wrong; see the log by the request id",
            ),
        }
    }

    /// The answer. One to HEAD has no body (tus 1.0.0).
    pub(super) fn into_response_to(self, method: &Method) -> Response {
        if let Self::Internal(error) | Self::Unavailable(error) = &self {
            tracing::error!(error = &**error, "a tus request failed");
        }
        let (status, code, message) = self.parts();
        let mut response = match &self {
            _ if *method == Method::HEAD => status.into_response(),
            Self::Refused { id, rejected } => {
                let body = serde_json::json!({
                    "upload_id": id,
                    "validation_errors": rejected.legacy_messages(),
                    "errors": rejected.errors,
                });
                json(status, &body)
            }
            Self::Unrouted(id) => {
                let message = "the data stream has no destination";
                let body = serde_json::json!({
                    "upload_id": id,
                    "validation_errors": ["validation failure", message],
                    "errors": [{ "field": "data_stream_id", "code": "no_destination", "value": null, "allowed": [] }],
                });
                json(status, &body)
            }
            _ => {
                let body = format!("{code}: {message}\n");
                (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
            }
        };
        let headers = response.headers_mut();
        match self {
            Self::MethodNotAllowed(allow) => {
                headers.insert(header::ALLOW, HeaderValue::from_static(allow));
            }
            // The protocol wants it in this answer (tus 1.0.0, Tus-Resumable).
            Self::UnsupportedVersion | Self::UnsupportedDraft => {
                headers.insert("tus-version", HeaderValue::from_static(super::dialect::VERSION));
            }
            // The IETF draft asks for the offset that would do; tus clients look at HEAD.
            Self::MismatchedOffset(expected) => {
                headers.insert("upload-offset", HeaderValue::from(expected));
            }
            Self::Stopping | Self::Unavailable(_) | Self::Full | Self::Locked | Self::DeliveryUnderWay => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}
