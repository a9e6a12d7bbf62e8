//! The report envelope, DEX report schema 1.0.0: what a stage says, and how it looks on the wire. Every
//! key is always present, on failure too (`dex-upload W-17`); nothing here knows where reports go.

use serde::{Deserialize, Serialize, Serializer};

use super::Stage;
use crate::clock::Timestamp;
use crate::id::UploadId;

/// What every report of one upload repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamFields {
    /// The tenant of the upload.
    pub(crate) tenant: String,
    /// The owner of the upload.
    pub(crate) owner: String,
    /// The upload that is reported on.
    pub(crate) upload_id: UploadId,
    /// Manifest field `sender_id`; empty if the manifest was refused for lack of it.
    pub(crate) sender_id: String,
    /// Manifest field `data_stream_id`.
    pub(crate) data_stream_id: String,
    /// Manifest field `data_stream_route`.
    pub(crate) data_stream_route: String,
    /// Manifest field `jurisdiction`; empty if the stream does not ask for it.
    pub(crate) jurisdiction: String,
    /// Manifest field `dex_ingest_datetime`, as it stands there.
    pub(crate) dex_ingest_datetime: String,
}

/// How the stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ReportStatus {
    /// It did what it is for.
    Success,
    /// It did not; the issues say why.
    Failure,
}

/// How much an issue matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum IssueLevel {
    /// Somebody should know it; the stage did what it is for.
    Warning,
    /// The stage failed because of it.
    Error,
}

/// One reason or remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ReportIssue {
    /// How much it matters.
    pub(crate) level: IssueLevel,
    /// What a person reads.
    pub(crate) message: String,
}

/// One stage of one upload, as it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// Which stage, with its contents.
    pub(crate) stage: Stage,
    /// How it ended.
    pub(crate) status: ReportStatus,
    /// Why, if there is something to say.
    pub(crate) issues: Vec<ReportIssue>,
    /// When the stage began.
    pub(crate) started_at: Timestamp,
    /// When it ended.
    pub(crate) ended_at: Timestamp,
}

impl Report {
    /// A stage that did what it is for.
    pub(crate) fn success(stage: Stage, started_at: Timestamp, ended_at: Timestamp) -> Self {
        Self { stage, status: ReportStatus::Success, issues: Vec::new(), started_at, ended_at }
    }

    /// A stage that failed, with the reason as its one issue.
    pub(crate) fn failure(
        stage: Stage,
        message: impl Into<String>,
        started_at: Timestamp,
        ended_at: Timestamp,
    ) -> Self {
        let issue = ReportIssue { level: IssueLevel::Error, message: message.into() };
        Self { stage, status: ReportStatus::Failure, issues: vec![issue], started_at, ended_at }
    }

    /// The same with something that somebody should know.
    #[must_use]
    pub(crate) fn noting(mut self, message: impl Into<String>) -> Self {
        self.issues.push(ReportIssue { level: IssueLevel::Warning, message: message.into() });
        self
    }

    /// The report as the Processing Status service takes it.
    pub(super) fn to_wire(&self, stream: &StreamFields) -> Vec<u8> {
        let wire = EnvelopeWire {
            report_schema_version: "1.0.0",
            upload_id: stream.upload_id,
            sender_id: &stream.sender_id,
            data_stream_id: &stream.data_stream_id,
            data_stream_route: &stream.data_stream_route,
            jurisdiction: &stream.jurisdiction,
            dex_ingest_datetime: &stream.dex_ingest_datetime,
            content_type: "application/json",
            disposition_type: if self.stage.replaces() { "replace" } else { "add" },
            stage_info: StageInfo {
                service: "UPLOAD API",
                action: self.stage.name(),
                version: version(),
                status: self.status,
                issues: (!self.issues.is_empty()).then_some(&self.issues),
                start_processing_time: self.started_at,
                end_processing_time: self.ended_at,
            },
            content: self.stage.to_wire(stream),
        };
        serde_json::to_vec(&wire).expect("the envelope holds only strings, numbers and string-keyed maps")
    }
}

/// The data stream and its route that a report names, as [`Report::to_wire`] wrote it: all that tells them once no row
/// of the upload is left, or where there never was one. `None` if it cannot be read.
pub(crate) fn stream_of(body: &[u8]) -> Option<(String, String)> {
    let StreamWire { data_stream_id, data_stream_route } = serde_json::from_slice(body).ok()?;
    Some((data_stream_id, data_stream_route))
}

#[derive(Deserialize)]
struct StreamWire {
    data_stream_id: String,
    data_stream_route: String,
}

#[derive(Serialize)]
struct EnvelopeWire<'a, C> {
    report_schema_version: &'static str,
    upload_id: UploadId,
    sender_id: &'a str,
    data_stream_id: &'a str,
    data_stream_route: &'a str,
    jurisdiction: &'a str,
    dex_ingest_datetime: &'a str,
    content_type: &'static str,
    disposition_type: &'static str,
    stage_info: StageInfo<'a>,
    content: C,
}

/// Who did what, when, and how it ended; `stage_info` on the wire.
#[derive(Serialize)]
struct StageInfo<'a> {
    service: &'static str,
    action: &'static str,
    version: String,
    status: ReportStatus,
    issues: Option<&'a Vec<ReportIssue>>,
    #[serde(serialize_with = "rfc3339")]
    start_processing_time: Timestamp,
    #[serde(serialize_with = "rfc3339")]
    end_processing_time: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// `{release}_{sha}`, as DEX writes it; a build that was not stamped has no second half.
pub(super) fn version() -> String {
    format!("v{}_{}", env!("CARGO_PKG_VERSION"), option_env!("CDEX_BUILD_SHA").unwrap_or_default())
}
