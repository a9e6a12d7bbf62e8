//! Answers that are Bundles: pages of searches and histories, and what came of a batch or transaction.

use axum::http::StatusCode;
use bytes::Bytes;

use super::error;
use super::prefer::Return;
use super::respond::{Form, etag, location, shown};
use crate::exchange::ask_upstream::Elsewhere;
use crate::exchange::find_resource::{HistoryPage, SearchPage, View};
use crate::exchange::interaction::{Done, InteractionError, Method, Stored};
use crate::exchange::match_patient::MatchPage;
use crate::exchange::run_bundle::Performed;
use crate::fhir::address::query_string;
use crate::fhir::bundle::{Bundle, BundleEntry, BundleType, EntryResponse, SearchMode};
use crate::fhir::{Issue, operation_outcome};
use crate::repository::{Change, HistoryOf, StoredResource};

/// A page of a search.
pub(super) fn searchset(page: &SearchPage, form: &Form) -> Vec<u8> {
    let links = links(&format!("{}{}", form.base, page.path), &page.applied, page.next.as_deref());
    let entry = |resource: &StoredResource, mode| BundleEntry {
        full_url: Some(full_url(resource, form)),
        resource: Some(shown(resource, &page.view)),
        search: Some(mode),
        ..BundleEntry::default()
    };
    let matches = page.matches.iter().map(|resource| entry(resource, SearchMode::Match));
    let included = page.included.iter().map(|resource| entry(resource, SearchMode::Include));
    let entries = matches.chain(included).chain(remarks(&page.remarks)).collect();
    let bundle_type = BundleType::Searchset;
    Bundle { bundle_type, at: form.now, total: page.total, links, entries }.into_text()
}

/// Who may be meant, the likeliest first.
pub(super) fn matchset(page: &MatchPage, form: &Form) -> Vec<u8> {
    let matches = page.matches.iter().map(|(resource, assessment)| BundleEntry {
        full_url: Some(full_url(resource, form)),
        resource: Some(shown(resource, &View::default())),
        search: Some(SearchMode::Match),
        score: Some((assessment.score(), assessment.grade.as_code())),
        ..BundleEntry::default()
    });
    let entries = matches.chain(remarks(&page.remarks)).collect();
    let links = links(&format!("{}/Patient/$match", form.base), &[], None);
    Bundle { bundle_type: BundleType::Searchset, at: form.now, total: Some(page.total), links, entries }
        .into_text()
}

/// What deserves attention, as an entry.
fn remarks(issues: &[Issue]) -> Option<BundleEntry> {
    (!issues.is_empty()).then(|| BundleEntry {
        resource: Some(outcome_text(issues)),
        search: Some(SearchMode::Outcome),
        ..BundleEntry::default()
    })
}

/// A page of a history.
pub(super) fn history(page: &HistoryPage, form: &Form) -> Vec<u8> {
    let path = match &page.of {
        HistoryOf::Instance { resource_type, id } => format!("{resource_type}/{id}/_history"),
        HistoryOf::Type(resource_type) => format!("{resource_type}/_history"),
    };
    let links = links(&format!("{}/{path}", form.base), &page.applied, page.next.as_deref());
    let entries = page.versions.iter().map(|version| version_entry(version, &page.view, form)).collect();
    Bundle { bundle_type: BundleType::History, at: form.now, total: page.total, links, entries }.into_text()
}

fn version_entry(version: &StoredResource, view: &View, form: &Form) -> BundleEntry {
    let local = format!("{}/{}", version.resource_type, version.id);
    let (method, url, status) = match version.change {
        Change::Create if version.version == 1 => {
            ("POST", version.resource_type.clone(), StatusCode::CREATED)
        }
        Change::Create => ("PUT", local, StatusCode::CREATED),
        Change::Update => ("PUT", local, StatusCode::OK),
        Change::Delete => ("DELETE", local, StatusCode::NO_CONTENT),
    };
    BundleEntry {
        full_url: Some(full_url(version, form)),
        resource: version.content.is_some().then(|| shown(version, view)),
        request: Some((method, url)),
        response: Some(EntryResponse {
            etag: Some(etag(version)),
            last_modified: Some(version.last_updated),
            ..response(status)
        }),
        ..BundleEntry::default()
    }
}

/// What came of each entry of a batch or transaction, in their order.
pub(super) fn performed(performed: Performed, form: &Form) -> Vec<u8> {
    let bundle_type =
        if performed.is_transaction { BundleType::TransactionResponse } else { BundleType::BatchResponse };
    let entries = performed.entries.into_iter().map(|(method, done)| match done {
        Ok(done) => done_entry(method, done, form),
        Err(error) => failed_entry(&error),
    });
    let entries = entries.collect();
    Bundle { bundle_type, at: form.now, total: None, links: Vec::new(), entries }.into_text()
}

fn done_entry(method: Option<Method>, done: Done, form: &Form) -> BundleEntry {
    let read = |resource: Bytes, response: EntryResponse| BundleEntry {
        resource: Some(resource),
        response: Some(response),
        ..BundleEntry::default()
    };
    match done {
        Done::Created(stored) => stored_entry(StatusCode::CREATED, &stored, form),
        Done::Updated(stored) => stored_entry(StatusCode::OK, &stored, form),
        Done::Existed(resource) => {
            stored_entry(StatusCode::OK, &Stored { resource, remarks: Vec::new() }, form)
        }
        Done::Deleted(version) => BundleEntry {
            response: Some(EntryResponse {
                etag: version.as_ref().map(etag),
                last_modified: version.map(|version| version.last_updated),
                ..response(StatusCode::NO_CONTENT)
            }),
            ..BundleEntry::default()
        },
        Done::Read(resource, view) => {
            let entry = read(shown(&resource, &view), versioned(StatusCode::OK, &resource));
            BundleEntry { full_url: Some(full_url(&resource, form)), ..entry }
        }
        Done::NotModified(resource) => BundleEntry {
            response: Some(versioned(StatusCode::NOT_MODIFIED, &resource)),
            ..BundleEntry::default()
        },
        Done::Page(page) => read(searchset(&page, form).into(), response(StatusCode::OK)),
        Done::History(page) => read(history(&page, form).into(), response(StatusCode::OK)),
        Done::Validated(issues) => read(outcome_text(&issues), response(StatusCode::OK)),
        Done::Matched(page) => read(matchset(&page, form).into(), response(StatusCode::OK)),
        Done::Answered(resource) | Done::Elsewhere(Elsewhere { resource, .. }) => {
            read(resource.to_string().into(), response(StatusCode::OK))
        }
        // Nested Bundles are refused when the entries are read.
        Done::Performed(_) => {
            debug_assert!(method.is_none(), "a batch in a batch");
            BundleEntry { response: Some(response(StatusCode::OK)), ..BundleEntry::default() }
        }
    }
}

/// In a Bundle the resource itself comes back only if asked for: the sender has it.
fn stored_entry(status: StatusCode, stored: &Stored, form: &Form) -> BundleEntry {
    let Stored { resource, remarks } = stored;
    let returns = form.preferences.returns;
    let is_shown = returns == Some(Return::Representation);
    let is_told = returns == Some(Return::OperationOutcome) && !remarks.is_empty();
    BundleEntry {
        full_url: Some(full_url(resource, form)),
        resource: is_shown.then(|| shown(resource, &View::default())),
        response: Some(EntryResponse {
            location: Some(location(resource)),
            outcome: is_told.then(|| operation_outcome(remarks)),
            ..versioned(status, resource)
        }),
        ..BundleEntry::default()
    }
}

fn failed_entry(failure: &InteractionError) -> BundleEntry {
    let outcome = Some(operation_outcome(&failure.issues()));
    let response = EntryResponse { outcome, ..response(error::status(failure)) };
    BundleEntry { response: Some(response), ..BundleEntry::default() }
}

fn versioned(status: StatusCode, resource: &StoredResource) -> EntryResponse {
    EntryResponse {
        etag: Some(etag(resource)),
        last_modified: Some(resource.last_updated),
        ..response(status)
    }
}

/// Status code and phrase (FHIR R4 bundle, `response.status`).
fn response(status: StatusCode) -> EntryResponse {
    let phrase = status.canonical_reason().unwrap_or_default();
    EntryResponse { status: format!("{} {phrase}", status.as_str()), ..EntryResponse::default() }
}

fn outcome_text(issues: &[Issue]) -> Bytes {
    operation_outcome(issues).to_string().into()
}

fn full_url(resource: &StoredResource, form: &Form) -> String {
    format!("{}/{}/{}", form.base, resource.resource_type, resource.id)
}

/// What was applied, and the way to the next page.
fn links(url: &str, applied: &[(String, String)], next: Option<&str>) -> Vec<(&'static str, String)> {
    let pairs = || applied.iter().map(|(name, value)| (&**name, &**value));
    let with = |query: String| if query.is_empty() { url.to_owned() } else { format!("{url}?{query}") };
    let this = ("self", with(query_string(pairs())));
    let next = next.map(|cursor| ("next", with(query_string(pairs().chain([("_cursor", cursor)])))));
    std::iter::once(this).chain(next).collect()
}
