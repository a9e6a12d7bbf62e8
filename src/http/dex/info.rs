//! `GET /info/{id}`: where is my file?

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{DoorState, summary};
use crate::delivery::{Attempt, AttemptOutcome};
use crate::exchange::inspect_upload::Inspection;
use crate::http::extract::Authenticated;
use crate::id::UploadId;
use crate::manifest::ManifestFields;
use crate::screening::Screened;
use crate::upload::{Upload, UploadState};

/// What else may be asked of an upload.
#[derive(Debug, Deserialize)]
pub(super) struct View {
    view: Option<String>,
}

/// Answers with the DEX shape; `?view=reports` with the reports about the upload, oldest first; `?view=summary` with a
/// line for each delivery.
pub(super) async fn read(
    State(state): State<DoorState>,
    Authenticated(caller): Authenticated,
    id: Result<Path<String>, PathRejection>,
    Query(View { view }): Query<View>,
) -> Response {
    // Ids of another form name nothing; DEX says so in the same words.
    let Some(id) = id.ok().and_then(|Path(id)| id.parse::<UploadId>().ok()) else { return missing() };
    let access = caller.access();
    if view.as_deref() == Some("reports") {
        return match state.exchange.reports_of(&access, id).await {
            Ok(reports) if reports.is_empty() => missing(),
            Ok(reports) => reports_answer(reports.into_iter().map(|report| report.body)),
            Err(error) => super::unavailable(&error),
        };
    }
    let is_summary = view.as_deref() == Some("summary");
    match state.exchange.inspect_upload(&access, id).await {
        Ok(Some(inspection)) if is_summary => summary::answer(&state, &access, &inspection).await,
        Ok(Some(inspection)) => super::json(StatusCode::OK, &InfoWire::of(&inspection)),
        Ok(None) => missing(),
        Err(error) => super::unavailable(&error),
    }
}

fn missing() -> Response {
    super::text(StatusCode::NOT_FOUND, "error getting file manifest\n")
}

/// The reports as they are sent on, unchanged, in one array.
fn reports_answer(bodies: impl Iterator<Item = Vec<u8>>) -> Response {
    let reports: Result<Vec<serde_json::Value>, _> =
        bodies.map(|body| serde_json::from_slice(&body)).collect();
    match reports {
        Ok(reports) => super::json(StatusCode::OK, &serde_json::json!({ "reports": reports })),
        Err(error) => super::internal(&error),
    }
}

#[derive(Serialize)]
struct InfoWire<'a> {
    manifest: &'a ManifestFields,
    /// `null` where the bytes are gone (dex-upload 1.4).
    file_info: Option<FileInfoWire>,
    upload_status: UploadStatusWire,
    /// `null` until the first attempt has ended (dex-upload 1.4).
    deliveries: Option<Vec<DeliveryWire<'a>>>,
    /// Beyond DEX, and only where there is something to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    screening: Option<ScreeningWire<'a>>,
    /// Beyond DEX: when the bytes went because they had been kept for their time.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_removed_at: Option<String>,
}

#[derive(Serialize)]
struct ScreeningWire<'a> {
    declared: Option<&'a str>,
    found: Option<&'a str>,
    agreement: &'static str,
    allowed: bool,
    verdict: &'static str,
    signature: Option<&'a str>,
    quarantined: bool,
    scanned_at: Option<String>,
}

#[derive(Serialize)]
struct FileInfoWire {
    size_bytes: u64,
    updated_at: String,
}

#[derive(Serialize)]
struct UploadStatusWire {
    status: &'static str,
    chunk_received_at: String,
}

#[derive(Serialize)]
struct DeliveryWire<'a> {
    status: &'static str,
    name: &'a str,
    location: &'a str,
    delivered_at: String,
    issues: Option<[IssueWire<'a>; 1]>,
}

#[derive(Serialize)]
struct IssueWire<'a> {
    level: &'static str,
    message: &'a str,
}

impl<'a> InfoWire<'a> {
    fn of(inspection: &'a Inspection) -> Self {
        let Inspection { upload, attempts, screened } = inspection;
        let is_retired = upload.state == UploadState::Retired;
        let received_at = upload.completed_at.filter(|_| is_retired).unwrap_or(upload.changed_at);
        let file = (!is_retired)
            .then(|| FileInfoWire { size_bytes: upload.offset, updated_at: upload.changed_at.to_string() });
        Self {
            manifest: upload.manifest.fields(),
            file_info: file,
            upload_status: UploadStatusWire {
                status: status(upload),
                chunk_received_at: received_at.to_string(),
            },
            deliveries: (!attempts.is_empty()).then(|| attempts.iter().map(DeliveryWire::of).collect()),
            screening: screened.as_ref().map(ScreeningWire::of),
            source_removed_at: is_retired.then(|| upload.changed_at.to_string()),
        }
    }
}

/// DEX's three words, from what is stored and not from file times (dex-upload W-20), and two of our own for uploads
/// that are gone without having been complete. One that lost bytes never completes and is shown as it was until it
/// expires; nor does a part of another complete by itself.
pub(super) fn status(upload: &Upload) -> &'static str {
    match upload.state {
        UploadState::Complete | UploadState::Retired => "Complete",
        UploadState::Expired => "Expired",
        UploadState::Terminated => "Terminated",
        UploadState::Open | UploadState::Ready | UploadState::Damaged if upload.offset == 0 => "Initiated",
        UploadState::Open | UploadState::Ready | UploadState::Damaged => "In Progress",
    }
}

impl<'a> ScreeningWire<'a> {
    fn of(screened: &'a Screened) -> Self {
        Self {
            declared: screened.look.declared.as_deref(),
            found: screened.look.found.as_deref(),
            agreement: screened.look.agreement.as_str(),
            allowed: screened.look.is_allowed,
            verdict: screened.verdict.as_str(),
            signature: screened.signature.as_deref(),
            quarantined: screened.is_held,
            scanned_at: screened.scanned_at.map(|at| at.to_string()),
        }
    }
}

impl<'a> DeliveryWire<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        let (status, location, issues) = match &attempt.outcome {
            AttemptOutcome::Success { location, .. } => ("SUCCESS", location.as_str(), None),
            AttemptOutcome::Failure { issue, .. } => {
                ("FAILURE", "", Some([IssueWire { level: "ERROR", message: issue }]))
            }
        };
        Self { status, name: &attempt.target, location, delivered_at: attempt.ended_at.to_string(), issues }
    }
}
