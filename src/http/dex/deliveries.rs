//! `GET /deliveries`: which deliveries stand where; `POST /deliveries/redeliver`: many of them again. Both are beyond
//! DEX (D-06), which leaves its operators to derive such a list from reports.

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::DoorState;
use crate::clock::Timestamp;
use crate::delivery::{DeliveryFilter, DeliveryStatus, FoundDelivery};
use crate::exchange::check_health::Part;
use crate::exchange::redeliver_many::Repeat;
use crate::http::body;
use crate::http::extract::Authenticated;
use crate::http::middleware::CurrentRequest;
use crate::id::DeliveryId;

/// Deliveries of a page where the client does not say, and at most.
const PAGE: (u32, u32) = (100, 1_000);

/// Deliveries that one call repeats where the client does not say, and at most.
const REPEATS: (u32, u32) = (1_000, 10_000);

/// A body has the words of a filter in it.
const BODY_LIMIT: u64 = 16 * 1024;

/// The words of [`AskWire`].
const WORDS: [&str; 10] = [
    "status",
    "target",
    "data_stream_id",
    "data_stream_route",
    "sender_id",
    "since",
    "until",
    "limit",
    "after",
    "dry_run",
];

/// What is asked for, as a query or as a body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskWire {
    status: Option<String>,
    target: Option<String>,
    data_stream_id: Option<String>,
    data_stream_route: Option<String>,
    sender_id: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<u32>,
    after: Option<String>,
    dry_run: Option<bool>,
}

impl AskWire {
    /// The filter, or the name of what cannot be read.
    fn filter(&self) -> Result<DeliveryFilter, &'static str> {
        let moment = |text: &Option<String>, name| match text {
            Some(text) => Timestamp::parse_rfc3339(text).map(Some).ok_or(name),
            None => Ok(None),
        };
        let words = self.status.iter().flat_map(|status| status.split(',')).map(str::trim);
        Ok(DeliveryFilter {
            statuses: words
                .map(|word| DeliveryStatus::parse(word).ok_or("status"))
                .collect::<Result<_, _>>()?,
            target: self.target.clone(),
            data_stream_id: self.data_stream_id.clone(),
            data_stream_route: self.data_stream_route.clone(),
            sender_id: self.sender_id.clone(),
            since: moment(&self.since, "since")?,
            until: moment(&self.until, "until")?,
        })
    }

    /// The delivery behind which to begin.
    fn after(&self) -> Result<Option<DeliveryId>, ()> {
        self.after.as_deref().map(|after| after.parse().map_err(drop)).transpose()
    }

    /// How many, at most so many; none is no number.
    fn limit(&self, (usual, most): (u32, u32)) -> Result<u32, &'static str> {
        match self.limit {
            Some(0) => Err("limit"),
            limit => Ok(limit.unwrap_or(usual).min(most)),
        }
    }
}

#[derive(Serialize)]
struct ListWire<'a> {
    total: u64,
    deliveries: Vec<DeliveryWire<'a>>,
    /// `after` of the next page; null if this is the last.
    next: Option<String>,
}

#[derive(Serialize)]
struct DeliveryWire<'a> {
    delivery_id: String,
    upload_id: String,
    target: &'a str,
    path: &'a str,
    status: &'static str,
    data_stream_id: &'a str,
    data_stream_route: &'a str,
    sender_id: Option<&'a str>,
    attempts: u32,
    created_at: String,
    ended_at: Option<String>,
    /// When it is tried again, where that is so.
    next_attempt_at: Option<String>,
    issue: Option<&'a str>,
}

impl<'a> DeliveryWire<'a> {
    fn of(found: &'a FoundDelivery) -> Self {
        let delivery = &found.delivery;
        let is_due = matches!(delivery.status, DeliveryStatus::Pending | DeliveryStatus::Waiting);
        Self {
            delivery_id: delivery.id.to_string(),
            upload_id: delivery.upload_id.to_string(),
            target: &delivery.target,
            path: &delivery.path,
            status: delivery.status.as_str(),
            data_stream_id: &found.data_stream_id,
            data_stream_route: &found.data_stream_route,
            sender_id: found.sender_id.as_deref(),
            attempts: delivery.attempts,
            created_at: found.created_at.to_string(),
            ended_at: found.settled_at.map(|at| at.to_string()),
            next_attempt_at: is_due.then(|| delivery.due_at.to_string()),
            issue: found.issue.as_deref(),
        }
    }
}

/// A page of the deliveries that the query means.
pub(super) async fn list(
    State(state): State<DoorState>,
    Authenticated(caller): Authenticated,
    query: Result<Query<AskWire>, QueryRejection>,
) -> Response {
    let Ok(Query(ask)) = query else { return refused("the query") };
    let filter = match ask.filter() {
        Ok(filter) => filter,
        Err(name) => return refused(name),
    };
    let Ok(after) = ask.after() else { return refused("after") };
    if ask.dry_run.is_some() {
        return refused("dry_run");
    }
    let limit = match ask.limit(PAGE) {
        Ok(limit) => limit,
        Err(name) => return refused(name),
    };
    let (access, exchange) = (caller.access(), &state.exchange);
    let found = async {
        let total = exchange.count_deliveries(&access, &filter).await?;
        Ok((total, exchange.find_deliveries(&access, &filter, after, limit).await?))
    };
    match found.await {
        Ok((total, page)) => {
            let deliveries = page.found.iter().map(DeliveryWire::of).collect();
            let next = page.next.map(|id| id.to_string());
            super::json(StatusCode::OK, &ListWire { total, deliveries, next })
        }
        Err(error) => super::unavailable(&error),
    }
}

#[derive(Serialize)]
struct RepeatsWire<'a> {
    dry_run: bool,
    queued: usize,
    skipped: usize,
    /// Whether more of the same are left, beyond the limit.
    more: bool,
    /// `after` of the call that goes on with them; null if none are left.
    next: Option<String>,
    deliveries: Vec<RepeatWire<'a>>,
}

#[derive(Serialize)]
struct RepeatWire<'a> {
    delivery_id: String,
    upload_id: String,
    target: &'a str,
    was: &'static str,
    result: &'static str,
}

/// Queues the deliveries that the body means, those that are dead where it does not say.
pub(super) async fn redeliver(
    State(state): State<DoorState>,
    Authenticated(caller): Authenticated,
    Extension(current): Extension<CurrentRequest>,
    request: Request,
) -> Response {
    let body = match body::collect(request.into_body(), BODY_LIMIT).await {
        Ok(body) => body,
        Err(fault) => return super::text(fault.status(), ""),
    };
    let Ok(ask) = serde_json::from_slice::<AskWire>(&body) else { return refused("the body") };
    let mut filter = match ask.filter() {
        Ok(filter) => filter,
        Err(name) => return refused(name),
    };
    if filter.statuses.is_empty() {
        filter.statuses.push(DeliveryStatus::Dead);
    }
    // What is under way is made anyhow.
    if filter.statuses.iter().any(|status| status.is_under_way()) {
        return super::text(
            StatusCode::BAD_REQUEST,
            "status: only dead, delivered and cancelled can be delivered again; what is under way is made anyhow\n",
        );
    }
    let Ok(after) = ask.after() else { return refused("after") };
    let is_dry_run = ask.dry_run.unwrap_or(false);
    let limit = match ask.limit(REPEATS) {
        Ok(limit) => limit,
        Err(name) => return refused(name),
    };
    let page = (after, limit);
    match state.exchange.redeliver_many(&caller, current.as_str(), &filter, page, is_dry_run).await {
        // Nothing was ever meant for it, nor could be.
        Ok(repeats) if repeats.deliveries.is_empty() && !is_target(&state, ask.target.as_deref()) => {
            super::text(StatusCode::BAD_REQUEST, "target: there is no target of this name\n")
        }
        Ok(repeats) => {
            let all = repeats.deliveries.len();
            let queued = repeats.deliveries.iter().filter(|(_, repeat)| *repeat == Repeat::Queued).count();
            let wire = RepeatsWire {
                dry_run: is_dry_run,
                queued,
                skipped: all - queued,
                more: repeats.next.is_some(),
                next: repeats.next.map(|id| id.to_string()),
                deliveries: repeats.deliveries.iter().map(repeat_wire).collect(),
            };
            super::json(StatusCode::OK, &wire)
        }
        Err(error) => super::unavailable(&error),
    }
}

fn repeat_wire((found, repeat): &(FoundDelivery, Repeat)) -> RepeatWire<'_> {
    RepeatWire {
        delivery_id: found.delivery.id.to_string(),
        upload_id: found.delivery.upload_id.to_string(),
        target: &found.delivery.target,
        was: found.delivery.status.as_str(),
        result: repeat.as_str(),
    }
}

/// Whether deliveries can be made to it; to say none is to mean all.
fn is_target(state: &DoorState, target: Option<&str>) -> bool {
    let Some(target) = target else { return true };
    let parts = state.exchange.parts_at_rest();
    parts.iter().any(|(part, _)| matches!(part, Part::Target(name) if name == target))
}

/// What is wrong with a word of the query or the body, and what would be right.
fn refused(what: &str) -> Response {
    let rule = match what {
        "status" => {
            let words: Vec<&str> = DeliveryStatus::ALL.iter().map(|status| status.as_str()).collect();
            format!("must be one or more of {}, with commas", words.join(", "))
        }
        "since" | "until" => "must be a moment as RFC 3339 writes it, with its zone".to_owned(),
        "after" => "must be what next of the page before says".to_owned(),
        "limit" => "must be 1 or more".to_owned(),
        "dry_run" => "is for POST /deliveries/redeliver".to_owned(),
        _ => format!("may have {}, and no other words", WORDS.join(", ")),
    };
    super::text(StatusCode::BAD_REQUEST, format!("{what}: {rule}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_that_are_told_are_those_that_are_read() {
        for word in WORDS {
            let value = match word {
                "limit" => serde_json::json!(1),
                "dry_run" => serde_json::json!(true),
                _ => serde_json::json!("x"),
            };
            let ask = serde_json::json!({ word: value });
            assert!(serde_json::from_value::<AskWire>(ask).is_ok(), "{word}");
        }
        assert!(serde_json::from_str::<AskWire>(r#"{"stream":"x"}"#).is_err());
        let none = AskWire { limit: Some(0), ..AskWire::default() };
        assert_eq!(none.limit(PAGE), Err("limit"));
        let many = AskWire { limit: Some(u32::MAX), ..AskWire::default() };
        assert_eq!(many.limit(PAGE), Ok(PAGE.1));
        assert_eq!(AskWire::default().limit(PAGE), Ok(PAGE.0));
    }
}
