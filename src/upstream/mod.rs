//! The FHIR server of an EHR that is there already: reads, histories, searches and `Patient/$match` of the types that
//! live there. [`Upstream`] has one function for each interaction; the use cases ask it instead of the repository
//! where [`Upstream::serves`] says so, and refuse writes with [`lives_upstream`].
//!
//! It calls with the gateway's own token, never with the caller's, and so sees more than the caller may: [`view`]
//! decides what is shown, [`page`] lets nothing else through, [`cursor`] keeps clients from steering calls,
//! [`mod@line`] makes them. It keeps nothing.

mod cursor;
mod error;
mod line;
mod page;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use self::cursor::{Cursors, Subject};
use self::line::{Line, Request};
use self::page::Wanted;
use self::view::Role;
use crate::auth::Credentials;
use crate::clock::SharedClock;
use crate::fhir::{Issue, IssueType, ScanLimits, datatype};
use crate::outbound::{self, Base, Client, Limits, OutboundError, Reach};

pub(crate) use cursor::NoKey;
pub(crate) use error::{BadAnswer, UpstreamError};
pub(crate) use page::Page;
pub(crate) use view::View;

/// Longer queries go into the body of a `_search`: servers bound their URLs.
const LONGEST_QUERY: usize = 2_000;

/// Parameters that concern the answer as a whole, which the gateway makes itself. A part of a resource would also not
/// show whose it is.
const OWN_PARAMETERS: [&str; 6] = ["_format", "_pretty", "_summary", "_elements", "_count", "_cursor"];

/// Where the server is and how it is called.
#[derive(Debug)]
pub(crate) struct UpstreamSettings {
    /// The base URL.
    pub(crate) base: Base,
    /// The resource types that live there.
    pub(crate) types: BTreeSet<&'static str>,
    /// How the gateway says who it is.
    pub(crate) credentials: Credentials,
    /// Time for one interaction.
    pub(crate) timeout: Duration,
    /// The largest answer.
    pub(crate) answer_bytes: usize,
    /// How answers are bounded otherwise.
    pub(crate) scan: ScanLimits,
    /// Which addresses may be called.
    pub(crate) reach: Reach,
}

/// The server cannot be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SetupError {
    /// No client could be made.
    #[error(transparent)]
    Client(#[from] OutboundError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] NoKey),
}

/// The server.
pub(crate) struct Upstream {
    types: BTreeSet<&'static str>,
    line: Line,
    cursors: Cursors,
}

/// A search, or a page of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search<'a> {
    /// The type searched.
    pub(crate) resource_type: &'static str,
    /// The parameters that were understood and are to be applied; no others may be among them.
    pub(crate) parameters: &'a [(String, String)],
    /// How many matches a page has.
    pub(crate) count: Option<u32>,
    /// What a `next` link carried. The page that it names was asked for with parameters before.
    pub(crate) cursor: Option<&'a str>,
}

/// A history, or a page of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct History<'a> {
    /// The type.
    pub(crate) resource_type: &'static str,
    /// The resource; all of the type without one.
    pub(crate) id: Option<&'a str>,
    /// `_since` and `_at`, as understood.
    pub(crate) parameters: &'a [(String, String)],
    /// How many versions a page has.
    pub(crate) count: Option<u32>,
    /// What a `next` link carried.
    pub(crate) cursor: Option<&'a str>,
}

/// What a write of a type that lives upstream is refused with.
pub(crate) fn lives_upstream() -> Issue {
    let text = "Resources of this type live on another server and can only be read here";
    Issue::refusal(IssueType::NotSupported, text)
}

impl Upstream {
    /// A server that has not been called yet.
    pub(crate) fn new(settings: UpstreamSettings, clock: &SharedClock) -> Result<Self, SetupError> {
        let UpstreamSettings { base, types, credentials, timeout, answer_bytes, scan, reach } = settings;
        let limits = Limits {
            connect_timeout: Limits::default().connect_timeout.min(timeout),
            read_timeout: timeout,
            timeout,
            answer_bytes,
            reach,
        };
        let cursors = Cursors::new(credentials.secret(), base.as_str())?;
        let tokens = credentials.into_tokens(limits, clock)?;
        // A string may be as long as an answer: a Binary is little else.
        let scan = ScanLimits { string_bytes: answer_bytes, skeleton_bytes: answer_bytes, ..scan };
        let line = Line::new(base, Client::new(limits)?, tokens, timeout, scan);
        Ok(Self { types, line, cursors })
    }

    /// Whether resources of a type live there.
    pub(crate) fn serves(&self, resource_type: &str) -> bool {
        self.types.contains(resource_type)
    }

    /// The present version of a resource.
    pub(crate) async fn read(
        &self,
        view: &View<'_>,
        resource_type: &'static str,
        id: &str,
    ) -> Result<Value, UpstreamError> {
        self.one(view, (resource_type, id), None).await
    }

    /// One version of a resource. Versions there may have any id.
    pub(crate) async fn vread(
        &self,
        view: &View<'_>,
        resource_type: &'static str,
        id: &str,
        version: &str,
    ) -> Result<Value, UpstreamError> {
        self.one(view, (resource_type, id), Some(version)).await
    }

    async fn one(
        &self,
        view: &View<'_>,
        (resource_type, id): (&'static str, &str),
        version: Option<&str>,
    ) -> Result<Value, UpstreamError> {
        if ![Some(id), version].into_iter().flatten().all(is_path_id) {
            return Err(UpstreamError::NotFound);
        }
        let place = match version {
            None => format!("/{resource_type}/{id}"),
            Some(version) => format!("/{resource_type}/{id}/_history/{version}"),
        };
        let resource = self.line.ask(&Request::Get(place)).await?;
        if page::identity(&resource) != Some((resource_type, id)) {
            return Err(BadAnswer::Resource.into());
        }
        // Whoever may not see a resource must not learn that there is one.
        if view.shows(&resource, Role::Match, self.line.base()) {
            Ok(resource)
        } else {
            Err(UpstreamError::NotFound)
        }
    }

    /// A page of a search.
    pub(crate) async fn search(&self, view: &View<'_>, search: &Search<'_>) -> Result<Page, UpstreamError> {
        let Search { resource_type, parameters, count, cursor } = *search;
        let subject = Subject::Search(resource_type);
        let request = match cursor {
            Some(cursor) => self.following(cursor, subject, view)?,
            None => search_request(resource_type, query(parameters, count, view, resource_type)),
        };
        self.page(&request, Wanted::Search(resource_type), subject, view).await
    }

    /// A page of a history.
    pub(crate) async fn history(
        &self,
        view: &View<'_>,
        history: &History<'_>,
    ) -> Result<Page, UpstreamError> {
        let History { resource_type, id, parameters, count, cursor } = *history;
        if !id.is_none_or(is_path_id) {
            return Err(UpstreamError::NotFound);
        }
        let subject = Subject::History(resource_type, id);
        let request = if let Some(cursor) = cursor {
            self.following(cursor, subject, view)?
        } else {
            let within = id.map(|id| format!("/{id}")).unwrap_or_default();
            let known = parameters.iter().filter(|(name, _)| name == "_since" || name == "_at").cloned();
            let fields: Vec<_> = known.chain(count_field(count)).collect();
            Request::Get(place(&format!("/{resource_type}{within}/_history"), &fields))
        };
        let page = self.page(&request, Wanted::History(resource_type, id), subject, view).await?;
        // A resource of which the caller sees no version is one that the caller must not know of.
        let is_hidden = id.is_some() && view.is_confined() && page.entries.is_empty() && page.next.is_none();
        if is_hidden { Err(UpstreamError::NotFound) } else { Ok(page) }
    }

    /// Patients that match (`Patient/$match`). `parameters` is a Parameters resource that has been checked.
    pub(crate) async fn match_patient(
        &self,
        view: &View<'_>,
        parameters: &Value,
    ) -> Result<Page, UpstreamError> {
        let request = Request::PostResource("/Patient/$match".to_owned(), parameters.to_string());
        let mut bundle = self.line.ask(&request).await?;
        let (entries, total) = page::read(&mut bundle, Wanted::Patients, self, view)?;
        Ok(Page { entries, total, next: None, remarks: Vec::new() })
    }

    /// The page that a cursor stands for.
    fn following(
        &self,
        cursor: &str,
        subject: Subject<'_>,
        view: &View<'_>,
    ) -> Result<Request, UpstreamError> {
        let place = self.cursors.open(cursor, subject, view);
        place.map(Request::Get).ok_or(UpstreamError::InvalidCursor)
    }

    async fn page(
        &self,
        request: &Request,
        wanted: Wanted<'_>,
        subject: Subject<'_>,
        view: &View<'_>,
    ) -> Result<Page, UpstreamError> {
        let mut bundle = self.line.ask(request).await?;
        let (entries, total) = page::read(&mut bundle, wanted, self, view)?;
        let mut remarks = Vec::new();
        let next = page::link(&bundle, "next").and_then(|link| {
            let place = self.line.base().place_of(link);
            if place.is_none() {
                tracing::warn!("the upstream server links to a next page elsewhere, which is not followed");
                let text =
                    "There is more on the server where these resources live, but its link cannot be followed";
                remarks.push(Issue::refusal(IssueType::NotSupported, text).into_warning());
            }
            self.cursors.seal(&place?, subject, view)
        });
        Ok(Page { entries, total, next, remarks })
    }
}

/// Whether a text is an id that can stand in a path: dots alone would lead out of it.
fn is_path_id(text: &str) -> bool {
    datatype::is_id(text) && text != "." && text != ".."
}

fn count_field(count: Option<u32>) -> Option<(String, String)> {
    count.map(|count| ("_count".to_owned(), count.to_string()))
}

/// The parameters that are sent.
fn query(
    parameters: &[(String, String)],
    count: Option<u32>,
    view: &View<'_>,
    resource_type: &str,
) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = parameters
        .iter()
        .filter(|(name, _)| !OWN_PARAMETERS.contains(&name.as_str()))
        // A reference to a resource of ours is, for these types, one to a resource there.
        .map(|(name, value)| {
            let below = value.strip_prefix(view.base).and_then(|rest| rest.strip_prefix('/'));
            (name.clone(), below.unwrap_or(value).to_owned())
        })
        .collect();
    if parameters.iter().any(|(name, value)| name == "_summary" && value == "count") {
        fields.push(("_summary".to_owned(), "count".to_owned()));
    }
    // The view would leave out the rest anyway; but pages of what is left out help nobody.
    if let Some(patient) = view.patient {
        let name = if resource_type == "Patient" { "_id" } else { "patient" };
        fields.push((name.to_owned(), patient.to_owned()));
    }
    fields.extend(count_field(count));
    fields
}

fn search_request(resource_type: &str, fields: Vec<(String, String)>) -> Request {
    let place = place(&format!("/{resource_type}"), &fields);
    if place.len() > LONGEST_QUERY {
        return Request::PostForm(format!("/{resource_type}/_search"), fields);
    }
    Request::Get(place)
}

/// A path with a query, if there is something to ask.
fn place(path: &str, fields: &[(String, String)]) -> String {
    let query = outbound::form(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
