//! Runs searches: chooses for each type where its resources are taken from, by counting the sets that conditions lead
//! to where that is not plain, and then reads one page.

use super::statement::{self, Found};
use crate::auth::Access;
use crate::db::{DbError, Dialect, Tx};
use crate::repository::criteria::{Criterion, Order};
use crate::repository::entry::Space;
use crate::repository::model::{Page, Search, StoredResource};
use crate::repository::query::{self, Branch, Source, Sql};

/// Sets are counted up to the first of these, and to the second only if none is smaller. Beyond that passing the
/// resources in the order wanted is no worse than gathering them, unless few of them match.
const PROBES: [u64; 2] = [256, 8192];

/// What has changed since a moment is counted up to this where all sets are larger than that: who polls asks for what
/// has changed of what a party has, and passing all that the party has would cost by how much is stored.
const PROBE_OF_CHANGES: u64 = 131_072;

/// Until the unit ends nobody else changes, or looks whether to create, a resource of the type.
pub(super) const LOCK_POSTGRES: &str = "SELECT 1 FROM pg_advisory_xact_lock($1)";

/// How a search is answered.
#[derive(Debug, Clone)]
pub(in crate::repository) struct Plan {
    /// The types with where their resources are taken from.
    pub(in crate::repository) branches: Vec<(Branch, Source)>,
    /// How a page comes of that.
    pub(in crate::repository) way: Way,
}

/// How a page is found; see [`query`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::repository) enum Way {
    /// All matches are gathered and sorted.
    Gathered,
    /// What has matches is walked in the order of creation.
    Walked,
    /// The values of the first sort key are passed in their order.
    Sorted,
}

impl Plan {
    fn sources(&self) -> Vec<(&Branch, Source)> {
        self.branches.iter().map(|(branch, source)| (branch, *source)).collect()
    }
}

/// A page of a search.
pub(in crate::repository) async fn search(
    tx: &mut Tx<'_>,
    access: &Access,
    search: &Search,
) -> Result<Page, DbError> {
    if let Some(page) = guess(tx, access, search).await? {
        return Ok(page);
    }
    let plan = plan(tx, access, search).await?;
    search_by(tx, access, search, &plan).await
}

/// The page if it is as easily found as it mostly is for `patient=…`, without looking at the sets first.
async fn guess(tx: &mut Tx<'_>, access: &Access, search: &Search) -> Result<Option<Page>, DbError> {
    let [branch] = &Branch::all_of(search)[..] else { return Ok(None) };
    let Some(set) = branch.candidates().first().copied().filter(|n| branch.is_referring(*n)) else {
        return Ok(None);
    };
    let walks_it = search.order.is_empty() && branch.conjuncts.len() == 1;
    if walks_it || search.count == 0 {
        return Ok(None);
    }
    let bound = PROBES[0];
    let sql = query::gathered_among(&wanted(tx.dialect(), access, search), branch, set, bound);
    let found = statement::page(tx, &sql, &are_values(search)).await?;
    // Without any row it is not known how many were looked at.
    let counts = found.first().map(|found| found.counts.clone());
    Ok(match counts.as_deref() {
        Some([total, looked_at]) if looked_at.unsigned_abs() < bound => {
            Some(page_of(search, found, u64::try_from(*total).ok()))
        }
        _ => None,
    })
}

/// A page of a search, by a plan for it; the page is the same by every plan that is possible.
pub(in crate::repository) async fn search_by(
    tx: &mut Tx<'_>,
    access: &Access,
    search: &Search,
    plan: &Plan,
) -> Result<Page, DbError> {
    let mut page = Page { resources: Vec::new(), next: None, total: None };
    let mut total = None;
    if plan.branches.is_empty() {
        total = Some(0);
    } else if search.count > 0 {
        let found = find(tx, access, search, plan).await?;
        let is_all = search.after.is_none() && found.len() <= to_usize(search.count);
        total = match found.first().and_then(|found| found.counts.first()) {
            Some(total) => u64::try_from(*total).ok(),
            None if is_all => Some(found.len() as u64),
            None => None,
        };
        page = page_of(search, found, total);
    }
    if total.is_none() && search.count_to > 0 {
        // One more says that there are too many.
        let limit = search.count_to.checked_add(1).filter(|limit| i64::try_from(*limit).is_ok());
        let sql = query::count(tx.dialect(), access, &plan.sources(), limit);
        let counted = statement::numbers(tx, &sql, 1).await?;
        total = counted.first().and_then(|total| u64::try_from(*total).ok());
    }
    page.total = total_of(search, total);
    Ok(page)
}

/// What was found as a page; one resource more than it has says that there is another page.
fn page_of(search: &Search, mut found: Vec<Found>, total: Option<u64>) -> Page {
    let count = to_usize(search.count);
    let is_more = found.len() > count;
    found.truncate(count);
    let last = found.last_mut().filter(|_| is_more);
    let next = last.map(|last| {
        let values = std::mem::take(&mut last.values);
        query::position(&search.order, &last.resource, values)
    });
    let resources = found.into_iter().map(|found| found.resource).collect();
    Page { resources, next, total: total_of(search, total) }
}

/// A total as far as it was asked for.
fn total_of(search: &Search, total: Option<u64>) -> Option<u64> {
    total.filter(|total| search.count_to > 0 && *total <= search.count_to)
}

/// The resources of a type that a conditional interaction means: two at most.
pub(in crate::repository) async fn matches(
    tx: &mut Tx<'_>,
    access: &Access,
    kind: Space,
    criterion: &Criterion,
) -> Result<Vec<StoredResource>, DbError> {
    // SQLite has one writer.
    if let Tx::Postgres(conn) = tx {
        sqlx::query(LOCK_POSTGRES).bind(kind.as_i64()).execute(&mut **conn).await?;
    }
    let search_for = Search {
        types: vec![kind],
        criterion: criterion.clone(),
        order: Vec::new(),
        count: 2,
        after: None,
        count_to: 0,
    };
    Ok(search(tx, access, &search_for).await?.resources)
}

/// Chooses how a search is answered.
pub(in crate::repository) async fn plan(
    tx: &mut Tx<'_>,
    access: &Access,
    search: &Search,
) -> Result<Plan, DbError> {
    let is_ordered = !search.order.is_empty();
    let mut branches = Vec::new();
    for branch in Branch::all_of(search) {
        let source = source(tx, access, &branch, is_ordered).await?;
        branches.push((branch, source));
    }
    let are_sets = branches.iter().all(|(_, source)| matches!(source, Source::Set(_)));
    let way = match &branches[..] {
        _ if are_sets => Way::Gathered,
        _ if !is_ordered => Way::Walked,
        [_] if query::is_sortable(&search.order) => Way::Sorted,
        _ => Way::Gathered,
    };
    Ok(Plan { branches, way })
}

/// Where the resources of a branch are best taken from.
async fn source(
    tx: &mut Tx<'_>,
    access: &Access,
    branch: &Branch,
    is_ordered: bool,
) -> Result<Source, DbError> {
    let candidates = branch.candidates();
    let walk =
        candidates.iter().copied().find(|n| branch.has_one_value(*n)).map_or(Source::Kind, Source::Value);
    match (candidates.first(), &walk) {
        (None, _) => return Ok(Source::Kind),
        (Some(named), _) if branch.is_named(*named) => return Ok(Source::Set(*named)),
        // Walking stops when the page is full, and the only thing walked past is what matches.
        (Some(_), Source::Value(_)) if !is_ordered && branch.conjuncts.len() == 1 => return Ok(walk),
        _ => {}
    }
    for limit in PROBES {
        let sql = query::probe(tx.dialect(), access, branch, &candidates, limit);
        let counts = statement::numbers(tx, &sql, candidates.len()).await?;
        let smallest = counts.into_iter().zip(&candidates).min_by_key(|(count, _)| *count);
        if let Some((_, conjunct)) = smallest.filter(|(count, _)| count.unsigned_abs() < limit) {
            return Ok(Source::Set(*conjunct));
        }
    }
    // In an order of their own they are passed by that.
    if let Some(changes) = branch.changes().filter(|_| !is_ordered) {
        let sql = query::probe(tx.dialect(), access, branch, &[changes], PROBE_OF_CHANGES);
        let counts = statement::numbers(tx, &sql, 1).await?;
        if counts.first().is_some_and(|count| count.unsigned_abs() < PROBE_OF_CHANGES) {
            return Ok(Source::Set(changes));
        }
    }
    Ok(walk)
}

/// One resource more than the page has, if there are so many.
async fn find(tx: &mut Tx<'_>, access: &Access, search: &Search, plan: &Plan) -> Result<Vec<Found>, DbError> {
    let is_value = are_values(search);
    let mut found = Vec::new();
    for sql in pages(tx.dialect(), access, search, plan) {
        found.append(&mut statement::page(tx, &sql, &is_value).await?);
        if found.len() > to_usize(search.count) {
            break;
        }
    }
    // The second statement of two does not know what the first one found.
    found.truncate(to_usize(search.count).saturating_add(1));
    Ok(found)
}

/// The statements that give a page one after the other.
pub(in crate::repository) fn pages(
    dialect: Dialect,
    access: &Access,
    search: &Search,
    plan: &Plan,
) -> Vec<Sql> {
    let page = wanted(dialect, access, search);
    match (plan.way, &plan.branches[..]) {
        (Way::Walked, _) => vec![query::walked(&page, &plan.sources())],
        (Way::Sorted, [(branch, _)]) => {
            let by_values = matches!(search.order.first(), Some((Order::Values(_), _)));
            let past_values = search.after.as_ref().is_some_and(|after| after.values.first() == Some(&None));
            let mut pages = Vec::new();
            if !(by_values && past_values) {
                pages.push(query::sorted(&page, branch));
            }
            if by_values {
                // Where the page before ended among the values, all without one are still to come.
                let after = page.after.filter(|_| past_values);
                pages.push(query::unsorted(&query::Page { after, ..page }, branch));
            }
            pages
        }
        _ => vec![query::gathered(&page, &plan.sources())],
    }
}

/// The page that a search is for, and one resource more.
pub(in crate::repository) fn wanted<'s>(
    dialect: Dialect,
    access: &'s Access,
    search: &'s Search,
) -> query::Page<'s> {
    query::Page {
        dialect,
        access,
        order: &search.order,
        after: search.after.as_ref(),
        limit: u64::from(search.count) + 1,
    }
}

/// Which keys of the order are values of entries.
fn are_values(search: &Search) -> Vec<bool> {
    search.order.iter().map(|(order, _)| matches!(order, Order::Values(_))).collect()
}

fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
