//! What comes along with the matches of a search (`_include`, `_revinclude`): found in rounds, each from what the
//! round before found, and bounded in number.

use std::collections::HashSet;

use crate::auth::Caller;
use crate::db::{DbError, Tx};
use crate::fhir::search::{self, Include, Kind, Query};
use crate::fhir::{Issue, IssueType};
use crate::repository::entry::Space;
use crate::repository::{self, StoredResource};

/// Resources that come along with one page at most.
const MOST: usize = 1_000;

/// How often `:iterate` goes on from what came along.
const ROUNDS: usize = 8;

/// What comes along with these matches, each once and none of them.
pub(super) async fn included(
    tx: &mut Tx<'_>,
    caller: &Caller,
    query: &Query,
    matches: &[StoredResource],
    remarks: &mut Vec<Issue>,
) -> Result<Vec<StoredResource>, DbError> {
    let mut found: Vec<StoredResource> = Vec::new();
    if query.includes.is_empty() || matches.is_empty() {
        return Ok(found);
    }
    let mut seen: HashSet<i64> = matches.iter().map(|resource| resource.key).collect();
    let mut begun = 0;
    for round in 0..=ROUNDS {
        let from: Vec<StoredResource> = match round {
            0 => matches.to_vec(),
            _ => found[begun..].to_vec(),
        };
        begun = found.len();
        let mut is_cut = false;
        for include in query.includes.iter().filter(|include| round == 0 || include.iterate) {
            let limit = MOST + 1 - found.len().min(MOST);
            let new = follow(tx, caller, include, query, &from, limit).await?;
            found.extend(new.into_iter().filter(|resource| seen.insert(resource.key)));
            is_cut |= found.len() > MOST;
        }
        if is_cut {
            found.truncate(MOST);
            remarks.push(cut());
            break;
        }
        if found.len() == begun {
            break;
        }
    }
    Ok(found)
}

/// What these resources refer to directly, of the types wanted, each once and none of them.
pub(in crate::exchange) async fn supporting(
    tx: &mut Tx<'_>,
    caller: &Caller,
    matches: &[StoredResource],
    wanted: &[&str],
    remarks: &mut Vec<Issue>,
) -> Result<Vec<StoredResource>, DbError> {
    if matches.is_empty() || wanted.is_empty() {
        return Ok(Vec::new());
    }
    let every = Include { source: None, code: None, target: None, reverse: false, iterate: false };
    let types: Vec<&str> = matches.iter().map(|resource| &*resource.resource_type).collect();
    let spaces = spaces(caller.tenant(), &every, &types);
    let keys: Vec<i64> = matches.iter().map(|resource| resource.key).collect();
    let limit = u32::try_from(MOST + 1).unwrap_or(u32::MAX);
    let mut found = repository::referred(tx, &caller.access(), &keys, &spaces, wanted, limit).await?;
    if found.len() > MOST {
        found.truncate(MOST);
        remarks.push(cut());
    }
    Ok(found)
}

/// Not all that comes along is shown.
fn cut() -> Issue {
    let text = format!("Only {MOST} of the resources that come along with this page are shown");
    Issue::refusal(IssueType::TooCostly, text).into_warning().advising("Ask for smaller pages")
}

async fn follow(
    tx: &mut Tx<'_>,
    caller: &Caller,
    include: &Include,
    query: &Query,
    from: &[StoredResource],
    limit: usize,
) -> Result<Vec<StoredResource>, DbError> {
    let (access, tenant) = (caller.access(), caller.tenant());
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    if include.reverse {
        let references: Vec<String> = from
            .iter()
            .filter(|resource| include.target.is_none_or(|target| target == resource.resource_type))
            .map(|resource| format!("{}/{}", resource.resource_type, resource.id))
            .collect();
        let spaces = spaces(tenant, include, &query.types);
        if references.is_empty() || spaces.is_empty() {
            return Ok(Vec::new());
        }
        return repository::referring(tx, &access, &references, &spaces, limit).await;
    }
    let sources: Vec<&StoredResource> = from
        .iter()
        .filter(|resource| include.source.is_none_or(|source| source == resource.resource_type))
        .collect();
    let types: Vec<&str> = sources.iter().map(|resource| &*resource.resource_type).collect();
    let keys: Vec<i64> = sources.iter().map(|resource| resource.key).collect();
    let spaces = spaces(tenant, include, &types);
    if keys.is_empty() || spaces.is_empty() {
        return Ok(Vec::new());
    }
    let targets: Vec<&str> = include.target.into_iter().collect();
    repository::referred(tx, &access, &keys, &spaces, &targets, limit).await
}

/// The spaces of the references that an include follows; `types` are those meant by `*`.
fn spaces(tenant: &str, include: &Include, types: &[&str]) -> Vec<Space> {
    let sources = include.source.map_or_else(|| types.to_vec(), |source| vec![source]);
    let mut spaces: Vec<Space> = sources
        .into_iter()
        .flat_map(|source| match include.code {
            Some(code) => vec![Space::of(tenant, source, code)],
            None => search::parameters(source)
                .iter()
                .filter(|parameter| parameter.kind == Kind::Reference)
                .map(|parameter| Space::of(tenant, source, parameter.code))
                .collect(),
        })
        .collect();
    spaces.sort_unstable();
    spaces.dedup();
    spaces
}
