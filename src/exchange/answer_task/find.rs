//! The search of one patient's record: here, or on the server where resources of the type live. All pages are taken, up
//! to the number that the search wants and to bounds of our own; what is too long to be held is known by its names.

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::Value;

use super::{NoAnswer, Seeker};
use crate::cdex::task::query::{Extent, PatientSearch};
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

/// Matches that are taken at once.
const PAGE: usize = 100;

/// Bytes of resources that are held for an answer at most.
const MOST_BYTES: usize = 16 << 20;

/// A resource that is part of an answer.
pub(super) struct Entry {
    /// Its type.
    pub(super) resource_type: String,
    /// Its id.
    pub(super) id: String,
    /// Its text; empty where the whole is too long.
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
    /// Whether it is more than is held, so that its names alone are here.
    pub(super) is_too_long: bool,
    /// Whether there are more matches than an answer has.
    is_cut: bool,
    extent: Extent,
    bytes: usize,
    seen: HashSet<(String, String)>,
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
        let upstream = self.upstream.as_deref().filter(|upstream| upstream.serves(search.resource_type));
        let mut found = Found::at(seeker, search);
        match upstream {
            Some(upstream) => self.find_upstream(seeker, upstream, search, patient, &mut found).await,
            None => self.find_here(seeker, search, patient, &mut found).await,
        }?;
        // Matches first, in their order.
        found.entries.sort_by_key(|entry| entry.mode != SearchMode::Match);
        if found.is_cut {
            found.remarks.push(cut());
        } else if search.extent == Extent::All {
            found.total = Some(found.matches() as u64);
        }
        Ok(found)
    }

    async fn find_here(
        &self,
        seeker: &Seeker,
        search: &PatientSearch,
        patient: &str,
        found: &mut Found,
    ) -> Result<(), InteractionError> {
        let mut reader = self.db.reader().await?;
        let mut tx = reader.tx();
        let mut next = None;
        loop {
            let mut parameters = search.about(patient);
            parameters.extend(found.page(self.settings.rest.max_page_size));
            parameters.extend(next.take().map(|cursor| ("_cursor".to_owned(), cursor)));
            let scope = Scope::Type(search.resource_type);
            let page = self.search(&mut tx, &seeker.requester, scope, &parameters, true).await?;
            found.extend(page.matches.into_iter().filter_map(|it| entry(it, SearchMode::Match)));
            // What comes along by way of a practitioner, say, may be of anybody's record.
            let included = page.included.into_iter().filter_map(|it| entry(it, SearchMode::Include));
            found.extend(included.filter(|entry| {
                fhir::parse(&entry.text)
                    .is_ok_and(|tree| record::may_come_along(&tree, patient, &seeker.requester.base))
            }));
            found.ran(&page.applied);
            found.total = page.total;
            found.remarks.extend(page.remarks);
            next = found.goes_on(page.next);
            if next.is_none() {
                return Ok(());
            }
        }
    }

    async fn find_upstream(
        &self,
        seeker: &Seeker,
        upstream: &Upstream,
        search: &PatientSearch,
        patient: &str,
        found: &mut Found,
    ) -> Result<(), InteractionError> {
        let view = seeker.view(Some(patient));
        let mut next = None::<String>;
        loop {
            let mut parameters = search.about(patient);
            parameters.extend(found.page(self.settings.rest.max_page_size));
            let scope = Scope::Type(search.resource_type);
            let mut query = Query::parse(scope, &parameters, &seeker.requester.base, true)
                .map_err(InteractionError::Malformed)?;
            let count = self.page_size(query.count, &mut query.applied);
            found.ran(&query.applied);
            // The view names the patient itself.
            let asked: Vec<(String, String)> = query.applied.iter().skip(1).cloned().collect();
            let request = Search {
                resource_type: search.resource_type,
                parameters: &asked,
                count: Some(count),
                cursor: next.as_deref(),
            };
            let page = upstream.search(&view, &request).await?;
            found.extend(page.entries.iter().filter_map(|entry| {
                let resource = entry.get("resource")?;
                let text = |name: &str| resource.get(name).and_then(Value::as_str).map(str::to_owned);
                let mode = match entry.pointer("/search/mode").and_then(Value::as_str) {
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
            }));
            found.total = page.total;
            found.remarks.extend(page.remarks);
            next = found.goes_on(page.next);
            if next.is_none() {
                return Ok(());
            }
        }
    }
}

impl Found {
    fn at(seeker: &Seeker, search: &PatientSearch) -> Self {
        Self {
            entries: Vec::new(),
            total: None,
            url: format!("{}/{}", seeker.requester.base, search.resource_type),
            remarks: Vec::new(),
            is_too_long: false,
            is_cut: false,
            extent: search.extent,
            bytes: 0,
            seen: HashSet::new(),
        }
    }

    /// Whether anything matched.
    pub(super) fn has_matches(&self) -> bool {
        self.matches() > 0 || (self.is_number() && self.total.is_some_and(|total| total > 0))
    }

    /// Whether only their number is asked for.
    pub(super) fn is_number(&self) -> bool {
        self.extent == Extent::Number
    }

    /// How many matches there are here.
    fn matches(&self) -> usize {
        self.entries.iter().filter(|entry| entry.mode == SearchMode::Match).count()
    }

    /// How many more there may be.
    fn room(&self) -> usize {
        let most = match self.extent {
            Extent::Number => 0,
            Extent::First(count) => usize::try_from(count).map_or(MOST, |count| count.min(MOST)),
            Extent::All => MOST,
        };
        most.saturating_sub(self.matches())
    }

    /// The parameter that says what is wanted of the next page.
    fn page(&self, most: u32) -> [(String, String); 1] {
        let (name, value) = match self.extent {
            Extent::Number => ("_summary", "count".to_owned()),
            Extent::First(_) | Extent::All => {
                ("_count", self.room().min(PAGE).min(most as usize).to_string())
            }
        };
        [(name.to_owned(), value)]
    }

    /// The next page, if more is wanted.
    fn goes_on(&mut self, next: Option<String>) -> Option<String> {
        let is_full = self.room() == 0;
        let is_wanted = match self.extent {
            Extent::Number => false,
            Extent::First(count) => usize::try_from(count).is_ok_and(|count| count > MOST),
            Extent::All => true,
        };
        self.is_cut = is_full && is_wanted && next.is_some();
        next.filter(|_| !is_full)
    }

    /// Adds what is not there yet. Once there is too much to be held, only the names are kept.
    fn extend(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for mut entry in entries {
            if !self.seen.insert((entry.resource_type.clone(), entry.id.clone())) {
                continue;
            }
            self.bytes += entry.text.len();
            if self.bytes > MOST_BYTES && !self.is_too_long {
                self.is_too_long = true;
                self.entries.iter_mut().for_each(|entry| entry.text = Bytes::new());
            }
            if self.is_too_long {
                entry.text = Bytes::new();
            }
            self.entries.push(entry);
        }
    }

    /// The search as it was run: the parameters that were applied and that it named; those of the first page are all.
    fn ran(&mut self, applied: &[(String, String)]) {
        if self.url.contains('?') {
            return;
        }
        let own = applied.iter().filter(|(name, _)| name != "_count" && name != "_summary");
        let mut asked: Vec<(&str, &str)> = own.map(|(name, value)| (&**name, &**value)).collect();
        let count;
        match self.extent {
            Extent::All => {}
            Extent::Number => asked.push(("_summary", "count")),
            Extent::First(first) => {
                count = first.to_string();
                asked.push(("_count", &count));
            }
        }
        self.url = format!("{}?{}", self.url, query_string(asked));
    }
}

fn entry(stored: StoredResource, mode: SearchMode) -> Option<Entry> {
    let StoredResource { resource_type, id, content, .. } = stored;
    Some(Entry { resource_type, id, text: content?, mode })
}

fn cut() -> Issue {
    let text = format!("Only the first {MOST} matches are here");
    Issue::refusal(IssueType::TooCostly, text).into_warning().advising("Ask with a narrower query")
}
