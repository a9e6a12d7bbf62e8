//! One page of a search: the matches, what comes along with them, and what was not applied.

use super::cursor::{Fingerprint, SearchCursor};
use super::{View, include};
use crate::db::Tx;
use crate::exchange::Exchange;
use crate::exchange::interaction::{InteractionError, Requester};
use crate::exchange::store_resource::Criteria;
use crate::fhir::search::{Query, Scope, Summary, Total};
use crate::fhir::{Issue, IssueType};
use crate::repository::criteria::{self, Criterion};
use crate::repository::entry::Space;
use crate::repository::{self, Page, Position, Search, StoredResource};

/// Up to how many matches are counted where nobody asked.
const CHEAP_TOTAL: u64 = 1_000;

/// A page that is wanted.
#[derive(Debug)]
pub(in crate::exchange) struct PageRequest {
    /// Where it is asked for: the path below the base, with the slash that it begins with.
    pub(in crate::exchange) path: String,
    /// The types searched, the order, the page and the form of what is shown.
    pub(in crate::exchange) query: Query,
    /// What must hold: all that the query asks for, and perhaps more.
    pub(in crate::exchange) criterion: Criterion,
    /// What matches and is not stored. It comes before all that is, in this order.
    pub(in crate::exchange) declared: Vec<StoredResource>,
}

/// A page of a search.
#[derive(Debug)]
pub(crate) struct SearchPage {
    /// Where it was asked for: the path below the base, with the slash that it begins with.
    pub(crate) path: String,
    /// The matches.
    pub(crate) matches: Vec<StoredResource>,
    /// What comes along.
    pub(crate) included: Vec<StoredResource>,
    /// What deserves attention: parameters that were not applied, resources left out.
    pub(crate) remarks: Vec<Issue>,
    /// How many matches there are on all pages, if that is known.
    pub(crate) total: Option<u64>,
    /// The parameters that were applied.
    pub(crate) applied: Vec<(String, String)>,
    /// What the link to the next page carries; none on the last.
    pub(crate) next: Option<String>,
    /// How much is shown of each resource.
    pub(crate) view: View,
}

impl Exchange {
    /// Searches.
    pub(in crate::exchange) async fn search(
        &self,
        tx: &mut Tx<'_>,
        requester: &Requester,
        scope: Scope,
        parameters: &[(String, String)],
        strict: bool,
    ) -> Result<SearchPage, InteractionError> {
        let path = path(&scope);
        let query =
            Query::parse(scope, parameters, &requester.base, strict).map_err(InteractionError::Malformed)?;
        let criterion = criteria::of(&query, requester.caller.tenant(), self.clock.now());
        let declared = self.declared.search(&query, self.clock.now());
        self.page(tx, requester, PageRequest { path, query, criterion, declared }).await
    }

    /// Finds a page.
    pub(in crate::exchange) async fn page(
        &self,
        tx: &mut Tx<'_>,
        requester: &Requester,
        PageRequest { path, mut query, criterion, declared }: PageRequest,
    ) -> Result<SearchPage, InteractionError> {
        let tenant = requester.caller.tenant();
        query.applied.retain(|(name, _)| name != "_cursor");
        let request = Fingerprint::of(&format!("{tenant} {path}"), query.applied.iter());
        let order = criteria::order(&query, tenant);
        let cursor = match &query.cursor {
            None => None,
            Some(text) => {
                Some(SearchCursor::parse(text, request, order.len()).map_err(|_| invalid_cursor())?)
            }
        };
        let counts_only = query.summary == Some(Summary::Count) || query.count == Some(0);
        let count = self.page_size(query.count, &mut query.applied);
        let known_total = cursor.as_ref().map(|cursor| cursor.total);
        let keys = order.len();
        let ahead = Ahead::of(&declared, cursor.as_ref().map(|cursor| &cursor.position), count);
        let search = Search {
            types: query.types.iter().map(|name| Space::of_type(tenant, name)).collect(),
            criterion,
            order,
            count: if counts_only { 0 } else { ahead.room },
            count_to: match (&cursor, query.total) {
                _ if counts_only => u64::MAX,
                (Some(_), _) | (None, Total::None) => 0,
                (None, Total::Accurate) => u64::MAX,
                (None, Total::IfCheap) => CHEAP_TOTAL,
            },
            after: cursor.map(|cursor| cursor.position).filter(|position| !Ahead::has(position)),
        };
        let Page { resources, next, total } = repository::search(tx, &requester.access(), &search).await?;
        let total = known_total.unwrap_or_else(|| total.map(|total| total + declared.len() as u64));
        let next = match next {
            None if ahead.is_cut(total) => Some(ahead.end(keys)),
            next => next,
        };
        let mut matches = if counts_only { Vec::new() } else { ahead.page.to_vec() };
        matches.extend(resources);
        let mut remarks = std::mem::take(&mut query.ignored);
        let included = include::included(tx, &requester.caller, &query, &matches, &mut remarks).await?;
        Ok(SearchPage {
            path,
            included,
            remarks,
            total,
            next: next
                .filter(|_| !counts_only)
                .map(|position| SearchCursor { position, total }.to_text(request)),
            view: View::of(&query),
            applied: query.applied,
            matches,
        })
    }

    /// The resources of a type that a search finds, at most `limit`, in the order of their creation.
    pub(in crate::exchange) async fn look_up(
        &self,
        tx: &mut Tx<'_>,
        requester: &Requester,
        resource_type: &'static str,
        parameters: &[(String, String)],
        limit: u32,
    ) -> Result<Vec<StoredResource>, InteractionError> {
        let Criteria { kind, criterion } = self.criteria(requester, resource_type, parameters)?;
        let search = Search {
            types: vec![kind],
            criterion,
            order: Vec::new(),
            count: limit,
            after: None,
            count_to: 0,
        };
        Ok(repository::search(tx, &requester.access(), &search).await?.resources)
    }

    /// How many entries a page has. What the `self` link says is what is done.
    pub(in crate::exchange) fn page_size(&self, asked: Option<u32>, applied: &mut [(String, String)]) -> u32 {
        let most = self.settings.rest.max_page_size;
        let count = asked.unwrap_or(self.settings.rest.page_size).min(most);
        if asked.is_some_and(|asked| asked > most) {
            for (_, value) in applied.iter_mut().filter(|(name, _)| name == "_count") {
                *value = count.to_string();
            }
        }
        count
    }
}

/// The part of a page that comes before what is stored. Rows count from 1 on: a position within this part says by a
/// negative one how much of it was shown.
struct Ahead<'a> {
    all: &'a [StoredResource],
    page: &'a [StoredResource],
    shown: usize,
    room: u32,
}

impl<'a> Ahead<'a> {
    fn of(all: &'a [StoredResource], after: Option<&Position>, count: u32) -> Self {
        let begun = match after {
            None => 0,
            Some(position) if Self::has(position) => {
                usize::try_from(position.key.unsigned_abs()).unwrap_or(usize::MAX).min(all.len())
            }
            Some(_) => all.len(),
        };
        let left = &all[begun..];
        let page = &left[..left.len().min(usize::try_from(count).unwrap_or(usize::MAX))];
        let room = count.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        Self { all, page, shown: begun + page.len(), room }
    }

    /// Whether a page ended in this part.
    fn has(position: &Position) -> bool {
        position.key < 0
    }

    /// Whether the page ends in this part, and more comes.
    fn is_cut(&self, total: Option<u64>) -> bool {
        let is_last = self.shown == self.all.len() && total == Some(self.all.len() as u64);
        !self.page.is_empty() && self.room == 0 && !is_last
    }

    fn end(&self, keys: usize) -> Position {
        Position { values: vec![None; keys], key: -i64::try_from(self.shown).unwrap_or(i64::MAX) }
    }
}

/// Where a scope is searched, below the base.
fn path(scope: &Scope) -> String {
    match scope {
        Scope::Type(name) => format!("/{name}"),
        Scope::System => String::new(),
        Scope::Compartment(compartment, member) => {
            format!("/Patient/{}/{}", compartment.patient, member.unwrap_or("*"))
        }
    }
}

/// The `_cursor` of a request is not one of ours, or is for another request.
pub(super) fn invalid_cursor() -> InteractionError {
    let issue = Issue::refusal(IssueType::Value, "The page that _cursor names is none of this request");
    InteractionError::Malformed(vec![
        issue.advising("Follow the links as they are, or begin at the first page"),
    ])
}
