//! FHIR resources at rest: their current versions, their history, and the index that searches look at.
//!
//! [`index`] says what of a resource can be searched for, [`criteria`] what a query asks of the index, `query` makes
//! that SQL, `store` keeps the rows. Everything works on a [`Tx`] that the use cases begin, and sees only the rows that
//! an [`Access`] allows: those of others are as if they were not there, inside a chain and among what comes along too.

pub(crate) mod criteria;
mod encoding;
pub(crate) mod entry;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
pub(crate) mod index;
pub(crate) mod memory;
mod model;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod property_tests;
mod query;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};

pub(crate) use model::{
    Change, Deleted, Draft, History, HistoryOf, Kept, Page, Position, Precondition, Search, StoredResource,
};

use criteria::Criterion;
use entry::Space;

/// The current version of a resource; a deleted one comes without content.
pub(crate) async fn read(
    tx: &mut Tx<'_>,
    access: &Access,
    resource_type: &str,
    id: &str,
) -> Result<Option<StoredResource>, DbError> {
    store::read(tx, access, resource_type, id).await
}

/// The same in a writing unit that decides by it about the next version: it stays the current one until the unit ends.
pub(crate) async fn read_to_change(
    tx: &mut Tx<'_>,
    access: &Access,
    resource_type: &str,
    id: &str,
) -> Result<Option<StoredResource>, DbError> {
    store::read_to_change(tx, access, resource_type, id).await
}

/// One version of a resource, the current one included.
pub(crate) async fn read_version(
    tx: &mut Tx<'_>,
    access: &Access,
    resource_type: &str,
    id: &str,
    version: u64,
) -> Result<Option<StoredResource>, DbError> {
    store::read_version(tx, access, resource_type, id, version).await
}

/// Keeps resources, all under the same access and time; one outcome each, in order. `may_create` says whether an id
/// that nothing has may be taken. A deleted resource comes back with its next version.
pub(crate) async fn keep(
    tx: &mut Tx<'_>,
    access: &Access,
    drafts: &[(Draft, Precondition)],
    may_create: bool,
    now: Timestamp,
) -> Result<Vec<Kept>, DbError> {
    store::keep(tx, access, drafts, may_create, now).await
}

/// Deletes a resource: its history stays.
pub(crate) async fn delete(
    tx: &mut Tx<'_>,
    access: &Access,
    (resource_type, id): (&str, &str),
    precondition: &Precondition,
    now: Timestamp,
) -> Result<Deleted, DbError> {
    store::delete(tx, access, (resource_type, id), precondition, now).await
}

/// A page of a history, newest first, and whether there is more.
pub(crate) async fn history(
    tx: &mut Tx<'_>,
    access: &Access,
    history: &History,
) -> Result<(Vec<StoredResource>, bool), DbError> {
    store::history(tx, access, history).await
}

/// Resources of a type that are deleted, and were so after the first moment and not after the second, in the order of
/// their creation: those after row `after`, at most `limit`.
pub(crate) async fn deleted(
    tx: &mut Tx<'_>,
    access: &Access,
    kind: Space,
    (since, until): (Timestamp, Timestamp),
    after: i64,
    limit: u32,
) -> Result<Vec<StoredResource>, DbError> {
    store::deleted(tx, access, kind, (since, until), after, limit).await
}

/// A page of a search.
pub(crate) async fn search(tx: &mut Tx<'_>, access: &Access, search: &Search) -> Result<Page, DbError> {
    store::search(tx, access, search).await
}

/// The resources of a type that a conditional interaction means: two at most, which is one too many. In a writing unit
/// it also keeps others from making another match until the unit ends.
pub(crate) async fn matches(
    tx: &mut Tx<'_>,
    access: &Access,
    kind: Space,
    criterion: &Criterion,
) -> Result<Vec<StoredResource>, DbError> {
    store::matches(tx, access, kind, criterion).await
}

/// What these resources refer to from these spaces, each once, without themselves; at most `limit`.
/// `targets`: the only types wanted, by name; all if empty.
pub(crate) async fn referred(
    tx: &mut Tx<'_>,
    access: &Access,
    keys: &[i64],
    spaces: &[Space],
    targets: &[&str],
    limit: u32,
) -> Result<Vec<StoredResource>, DbError> {
    store::referred(tx, access, keys, spaces, targets, limit).await
}

/// What refers to these resources (as `Type/id`) from these spaces, each once; at most `limit`.
pub(crate) async fn referring(
    tx: &mut Tx<'_>,
    access: &Access,
    references: &[String],
    spaces: &[Space],
    limit: u32,
) -> Result<Vec<StoredResource>, DbError> {
    store::referring(tx, access, references, spaces, limit).await
}
