//! One page of a history, newest first (FHIR R4 http, history).

use super::cursor::{self, Fingerprint};
use super::search::invalid_cursor;
use super::{View, cursor::HistoryCursor};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::exchange::Exchange;
use crate::exchange::interaction::{InteractionError, Requester};
use crate::fhir::search::{Filter, Query, Scope, Wanted};
use crate::fhir::{Issue, IssueType};
use crate::repository::{self, History, HistoryOf, StoredResource};

/// A page of a history.
#[derive(Debug)]
pub(crate) struct HistoryPage {
    /// Whose.
    pub(crate) of: HistoryOf,
    /// The versions.
    pub(crate) versions: Vec<StoredResource>,
    /// How many versions there are, if all are on this page.
    pub(crate) total: Option<u64>,
    /// The parameters that were applied.
    pub(crate) applied: Vec<(String, String)>,
    /// What the link to the next page carries; none on the last.
    pub(crate) next: Option<String>,
    /// How much is shown of each resource.
    pub(crate) view: View,
}

/// The parameters of a history.
#[derive(Debug, Default)]
struct Parameters {
    since: Option<Timestamp>,
    at: Option<(Timestamp, Timestamp)>,
    count: Option<u32>,
    cursor: Option<String>,
    applied: Vec<(String, String)>,
}

impl Exchange {
    /// Reads a history.
    pub(super) async fn history(
        &self,
        tx: &mut Tx<'_>,
        requester: &Requester,
        of: HistoryOf,
        parameters: &[(String, String)],
        strict: bool,
    ) -> Result<HistoryPage, InteractionError> {
        let resource_type = match &of {
            HistoryOf::Instance { resource_type, .. } | HistoryOf::Type(resource_type) => *resource_type,
        };
        let view = View::parse(resource_type, parameters, &requester.base)?;
        let mut asked = Parameters::parse(resource_type, parameters, &requester.base, strict)?;
        let subject = format!("{} {of:?}", requester.caller.tenant());
        let request = Fingerprint::of(&subject, asked.applied.iter());
        let after = match &asked.cursor {
            None => None,
            Some(text) => Some(cursor::parse_history(text, request).map_err(|_| invalid_cursor())?),
        };
        let history = History {
            of,
            since: asked.since,
            at: asked.at,
            count: self.page_size(asked.count, &mut asked.applied),
            after,
        };
        let (versions, is_more) = repository::history(tx, &requester.access(), &history).await?;
        if versions.is_empty()
            && let HistoryOf::Instance { resource_type, id } = &history.of
        {
            // Nothing in this stretch is another answer than no such resource.
            let known = repository::read(tx, &requester.access(), resource_type, id).await?;
            known.ok_or(InteractionError::NotFound)?;
        }
        let last: Option<HistoryCursor> =
            versions.last().filter(|_| is_more).map(|last| (last.last_updated, last.key, last.version));
        Ok(HistoryPage {
            of: history.of,
            total: (!is_more && after.is_none()).then_some(versions.len() as u64),
            versions,
            applied: asked.applied,
            next: last.map(|last| cursor::history_text(last, request)),
            view,
        })
    }
}

impl Parameters {
    fn parse(
        resource_type: &'static str,
        parameters: &[(String, String)],
        base: &str,
        strict: bool,
    ) -> Result<Self, InteractionError> {
        let mut asked = Self::default();
        let mut issues = Vec::new();
        let wrong =
            |name: &str| Issue::refusal(IssueType::Value, format!("The value of {name} cannot be read"));
        for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
            match name.as_str() {
                "_since" | "_at" => match stretch(resource_type, value, base) {
                    Some((from, _)) if name == "_since" => asked.since = Some(from),
                    Some(stretch) => asked.at = Some(stretch),
                    None => issues.push(wrong(name)),
                },
                "_count" => match value.parse() {
                    Ok(count) => asked.count = Some(count),
                    Err(_) => issues.push(wrong(name)),
                },
                "_cursor" => asked.cursor = Some(value.clone()),
                // Others read these.
                "_summary" | "_elements" => {}
                "_format" | "_pretty" => continue,
                _ => {
                    if strict {
                        let text = "A parameter of the history is not known";
                        issues.push(Issue::refusal(IssueType::NotSupported, text));
                    }
                    continue;
                }
            }
            if name != "_cursor" {
                asked.applied.push((name.clone(), value.clone()));
            }
        }
        // A page of nothing would lead to itself.
        asked.count = asked.count.map(|count| count.max(1));
        if issues.is_empty() { Ok(asked) } else { Err(InteractionError::Malformed(issues)) }
    }
}

/// The stretch of time that a date or instant names. Dates are read as a search reads them.
fn stretch(resource_type: &'static str, value: &str, base: &str) -> Option<(Timestamp, Timestamp)> {
    let parameter = [("_lastUpdated".to_owned(), format!("eq{value}"))];
    let query = Query::parse(Scope::Type(resource_type), &parameter, base, true).ok()?;
    match query.filters.as_slice() {
        [Filter::LastUpdated(wanted)] => match wanted.as_slice() {
            [Wanted::Date { from, until, .. }] => Some((*from, *until)),
            _ => None,
        },
        _ => None,
    }
}
