//! `GET /info/{id}?view=summary`: where an upload stands at each of its targets (D-11), beside the list of attempts
//! that DEX shows.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::{DoorState, info};
use crate::auth::Access;
use crate::delivery::{Attempt, AttemptOutcome, Delivery, DeliveryStatus};
use crate::exchange::inspect_upload::Inspection;

#[derive(Serialize)]
struct SummaryWire<'a> {
    upload_id: String,
    status: &'static str,
    size_bytes: u64,
    /// One for each path at each target.
    targets: Vec<TargetWire<'a>>,
}

#[derive(Serialize)]
struct TargetWire<'a> {
    target: &'a str,
    delivery_id: String,
    status: &'static str,
    location: Option<&'a str>,
    /// When the target had it, last.
    delivered_at: Option<String>,
    /// Of which kind the last failure was, unless a success followed; without what the target said in its own words.
    last_problem: Option<&'a str>,
    /// When it is tried again, where that is so.
    next_attempt_at: Option<String>,
    /// Whether it waits, beyond that, for the target to work again.
    target_rests: bool,
    attempts: Vec<AttemptWire<'a>>,
}

#[derive(Serialize)]
struct AttemptWire<'a> {
    number: u32,
    status: &'static str,
    started_at: String,
    duration_ms: u64,
    /// How much was sent; of a failed attempt how much was read to be sent.
    size_bytes: Option<u64>,
    issue: Option<&'a str>,
}

/// Answers for one upload.
pub(super) async fn answer(state: &DoorState, access: &Access, inspection: &Inspection) -> Response {
    let upload = &inspection.upload;
    let deliveries = match state.exchange.deliveries_to(access, upload.id).await {
        Ok(deliveries) => deliveries,
        Err(error) => return super::unavailable(&error),
    };
    let targets = deliveries.iter().map(|delivery| {
        let rests = state.exchange.deliveries.is_resting(&delivery.target);
        TargetWire::of(delivery, &inspection.attempts, rests)
    });
    let wire = SummaryWire {
        upload_id: upload.id.to_string(),
        status: info::status(upload),
        size_bytes: upload.offset,
        targets: targets.collect(),
    };
    super::json(StatusCode::OK, &wire)
}

impl<'a> TargetWire<'a> {
    fn of(delivery: &'a Delivery, attempts: &'a [Attempt], rests: bool) -> Self {
        let is_due = matches!(delivery.status, DeliveryStatus::Pending | DeliveryStatus::Waiting);
        let of_delivery = || attempts.iter().filter(|attempt| attempt.delivery_id == delivery.id);
        let success =
            of_delivery().rfind(|attempt| matches!(attempt.outcome, AttemptOutcome::Success { .. }));
        Self {
            target: &delivery.target,
            delivery_id: delivery.id.to_string(),
            status: delivery.status.as_str(),
            location: delivery.location.as_deref(),
            delivered_at: success.map(|attempt| attempt.ended_at.to_string()),
            last_problem: of_delivery().next_back().and_then(problem),
            next_attempt_at: is_due.then(|| delivery.due_at.to_string()),
            target_rests: is_due && rests,
            attempts: of_delivery().map(AttemptWire::of).collect(),
        }
    }
}

/// The kind of an attempt's failure: what stands before the details in every text of ours.
fn problem(attempt: &Attempt) -> Option<&str> {
    match &attempt.outcome {
        AttemptOutcome::Success { .. } => None,
        AttemptOutcome::Failure { issue, .. } => issue.split(": ").next(),
    }
}

impl<'a> AttemptWire<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        let (status, size_bytes, issue) = match &attempt.outcome {
            AttemptOutcome::Success { size_bytes, .. } => ("SUCCESS", Some(*size_bytes), None),
            AttemptOutcome::Failure { issue, read_bytes } => ("FAILURE", *read_bytes, Some(issue.as_str())),
        };
        let duration = attempt.ended_at.since(attempt.started_at);
        Self {
            number: attempt.number,
            status,
            started_at: attempt.started_at.to_string(),
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            size_bytes,
            issue,
        }
    }
}
