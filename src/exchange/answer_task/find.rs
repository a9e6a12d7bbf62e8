//! The search of one patient's record: here, or on the server where resources of the type live. All pages are taken,
//! up to a bound, unless the search says itself how many matches it wants.

use std::collections::HashSet;

use bytes::Bytes;

use super::{NoAnswer, Seeker};
use crate::cdex::task::query::PatientSearch;
use crate::exchange::Exchange;
use crate::exchange::interaction::InteractionError;
use crate::fhir::address::query_string;
use crate::fhir::bundle::SearchMode;
use crate::fhir::search::{Query, Scope};
use crate::fhir::{self, Issue, IssueType, record};
use crate::repository::StoredResource;
use crate::upstream::{Search, Upstream};

/// Matches that an answer has at most.
const MOST: usize = 1_000;

/// A resource that is part of an answer.
pub(super) struct Entry {
    /// Its type.
    pub(super) resource_type: String,
    /// Its id.
    pub(super) id: String,
    /// Its text.
    pub(super) text: Bytes,
    /// Why it is there.
    pub(super) mode: SearchMode,
}

/// What a search found.
pub(super) struct Found {
    /// The matches, and what came along, each once.
    pub(super) entries: Vec<Entry>,
    /// How many matches there are, if that is known.
    pub(super) total: Option<u64>,
    /// The search as it was run.
    pub(super) url: String,
    /// What deserves attention.
    pub(super) remarks: Vec<Issue>,
}

impl Found {
    /// Whether anything matched.
    pub(super) fn has_matches(&self) -> bool {
        self.matches() > 0
    }

    /// How many matches there are here.
    pub(super) fn matches(&self) -> usize {
        self.entries.iter().filter(|entry| entry.mode == SearchMode::Match).count()
    }

    /// Adds what is not there yet.
    fn extend(&mut self, entries: impl IntoIterator<Item = Entry>, seen: &mut HashSet<(String, String)>) {
        let new =
            entries.into_iter().filter(|entry| seen.insert((entry.resource_type.clone(), entry.id.clone())));
        self.entries.extend(new);
    }
}

impl Exchange {
    /// Searches the record of a patient. What cannot be applied is an error, for without it more would be told than was
    /// asked for.
    pub(super) async fn find_record(
        &self,
        seeker: &Seeker,
        search: &PatientSearch,
        patient: &str,
    ) -> Result<Found, NoAnswer> {
        let mut parameters = search.about(patient);
        if !search.is_counted() {
            parameters.push(("_count".to_owned(), self.settings.rest.max_page_size.to_string()));
        }
        let upstream = self.upstream.as_deref().filter(|upstream| upstream.serves(search.resource_type));
        let mut found = match upstream {
            Some(upstream) => self.find_upstream(seeker, upstream, search, &parameters, patient).await,
            None => self.find_here(seeker, search, parameters, patient).await,
        }?;
        // Matches first, in their order.
        found.entries.sort_by_key(|entry| entry.mode != SearchMode::Match);
        if search.is_counted() {
            return Ok(found);
        }
        if found.matches() > MOST {
            found.remarks.push(cut());
        } else {
            found.total = Some(found.matches() as u64);
        }
        Ok(found)
    }

    async fn find_here(
        &self,
        seeker: &Seeker,
        search: &PatientSearch,
        parameters: Vec<(String, String)>,
        patient: &str,
    ) -> Result<Found, InteractionError> {
        let mut reader = self.db.reader().await?;
        let mut tx = reader.tx();
        let mut found = Found::at(seeker, search);
        let (mut seen, mut next) = (HashSet::new(), None::<String>);
        loop {
            let mut parameters = parameters.clone();
            parameters.extend(next.take().map(|cursor| ("_cursor".to_owned(), cursor)));
            let scope = Scope::Type(search.resource_type);
            let page = self.search(&mut tx, &seeker.requester, scope, &parameters, true).await?;
            let matches = page.matches.into_iter().filter_map(|it| entry(it, SearchMode::Match));
            found.extend(matches, &mut seen);
            // What comes along by way of a practitioner, say, may be of anybody's record.
            let included = page.included.into_iter().filter_map(|it| entry(it, SearchMode::Include));
            let included = included.filter(|entry| {
                fhir::parse(&entry.text)
                    .is_ok_and(|tree| record::may_come_along(&tree, patient, &seeker.requester.base))
            });
            found.extend(included, &mut seen);
            found.ran(&page.applied, search.is_counted());
            found.total = page.total;
            found.remarks.extend(page.remarks);
            next = page.next.filter(|_| !search.is_counted() && found.matches() <= MOST);
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    async fn find_upstream(
        &self,
        seeker: &Seeker,
        upstream: &Upstream,
        search: &PatientSearch,
        parameters: &[(String, String)],
        patient: &str,
    ) -> Result<Found, InteractionError> {
        let scope = Scope::Type(search.resource_type);
        let mut query = Query::parse(scope, parameters, &seeker.requester.base, true)
            .map_err(InteractionError::Malformed)?;
        let count = self.page_size(query.count, &mut query.applied);
        let view = seeker.view(Some(patient));
        let mut found = Found::at(seeker, search);
        found.ran(&query.applied, search.is_counted());
        // The view names the patient itself.
        let asked: Vec<(String, String)> = query.applied.iter().skip(1).cloned().collect();
        let (mut seen, mut next) = (HashSet::new(), None::<String>);
        loop {
            let request = Search {
                resource_type: search.resource_type,
                parameters: &asked,
                count: Some(count),
                cursor: next.as_deref(),
            };
            let page = upstream.search(&view, &request).await?;
            let entries = page.entries.into_iter().filter_map(|entry| {
                let resource = entry.get("resource")?;
                let text =
                    |name: &str| resource.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
                let mode = match entry.pointer("/search/mode").and_then(serde_json::Value::as_str) {
                    Some("include") => SearchMode::Include,
                    Some("outcome") => return None,
                    _ => SearchMode::Match,
                };
                Some(Entry {
                    resource_type: text("resourceType")?,
                    id: text("id")?,
                    text: resource.to_string().into(),
                    mode,
                })
            });
            found.extend(entries, &mut seen);
            found.total = page.total;
            found.remarks.extend(page.remarks);
            next = page.next.filter(|_| !search.is_counted() && found.matches() <= MOST);
            if next.is_none() {
                return Ok(found);
            }
        }
    }
}

impl Found {
    fn at(seeker: &Seeker, search: &PatientSearch) -> Self {
        let url = format!("{}/{}", seeker.requester.base, search.resource_type);
        Self { entries: Vec::new(), total: None, url, remarks: Vec::new() }
    }

    /// The parameters that were applied, as far as the search named them; those of the first page are all.
    fn ran(&mut self, applied: &[(String, String)], is_counted: bool) {
        if !self.url.contains('?') {
            let asked = applied.iter().filter(|(name, _)| name != "_count" || is_counted);
            let pairs = asked.map(|(name, value)| (&**name, &**value));
            self.url = format!("{}?{}", self.url, query_string(pairs));
        }
    }
}

fn entry(stored: StoredResource, mode: SearchMode) -> Option<Entry> {
    let StoredResource { resource_type, id, content, .. } = stored;
    Some(Entry { resource_type, id, text: content?, mode })
}

fn cut() -> Issue {
    let text = format!("Only the first {MOST} matches and those of their page are here");
    Issue::refusal(IssueType::TooCostly, text).into_warning().advising("Ask with a narrower query")
}
