//! What the repository promises, on both databases. [`keeping`] is about versions, [`history`] about those before the
//! current one, [`paging`] and [`finding`] about searches; [`model`] holds searches against an evaluation in memory,
//! [`searching`] against reading every resource, and [`plans`] looks at how the databases run them.

mod finding;
mod history;
mod keeping;
mod model;
mod paging;
mod plans;
mod searching;

use bytes::Bytes;

use super::criteria::{self, Criterion, EntryTest};
use super::entry::{Entry, Space};
use super::model::{Deleted, Draft, Kept, Precondition, Search, StoredResource};
use crate::auth::{Access, Caller, DEFAULT_TENANT};
use crate::clock::Timestamp;
use crate::db::{Db, DbError};

/// Runs one function of the repository that writes.
macro_rules! write {
    ($db:expr, $state:expr, |$borrowed:pat_param, $tx:ident| $body:expr) => {{
        let written: Result<_, crate::db::DbError> =
            $db.write($state, move |$borrowed, $tx| Box::pin(async move { $body.await })).await;
        written.expect("the unit is written")
    }};
}
use write;

/// What the tests' caller may see: one of two who share a tenant.
fn access() -> Access {
    Caller::anonymous().access()
}

/// What the gateway's own workers may see.
fn everything() -> Access {
    Access::of_worker(DEFAULT_TENANT)
}

/// `millis` after the beginning of time.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(millis * 1_000_000)
}

fn kind(name: &str) -> Space {
    Space::of_type(DEFAULT_TENANT, name)
}

fn space(name: &str, code: &str) -> Space {
    Space::of(DEFAULT_TENANT, name, code)
}

fn entry(space: Space, value: &str) -> Entry {
    Entry { space, value: value.as_bytes().to_vec(), extra: None }
}

/// A resource with nothing in it but a number to tell versions apart.
fn draft(resource_type: &'static str, id: &str, number: u32, entries: Vec<Entry>) -> Draft {
    let text = format!("{{\"resourceType\":\"{resource_type}\",\"number\":{number}}}");
    Draft {
        resource_type,
        id: id.to_owned(),
        text: Bytes::from(text),
        entries,
        bytes: None,
        errands: Vec::new(),
    }
}

/// Keeps drafts without preconditions, created where needed.
async fn keep(db: &Db, access: &Access, drafts: Vec<Draft>, millis: i64) -> Vec<StoredResource> {
    let drafts: Vec<_> = drafts.into_iter().map(|draft| (draft, Precondition::None)).collect();
    let kept: Vec<Kept> = write!(db, (access.clone(), drafts), |(access, drafts), tx| {
        super::keep(tx, access, drafts, true, at(millis))
    });
    let resource = |kept| match kept {
        Kept::Created(resource) | Kept::Updated(resource) => resource,
        other => panic!("not kept: {other:?}"),
    };
    kept.into_iter().map(resource).collect()
}

async fn keep_if(
    db: &Db,
    access: &Access,
    draft: Draft,
    precondition: Precondition,
    may_create: bool,
    millis: i64,
) -> Kept {
    let state = (access.clone(), [(draft, precondition)]);
    let mut kept: Vec<Kept> =
        write!(db, state, |(access, drafts), tx| { super::keep(tx, access, drafts, may_create, at(millis)) });
    kept.pop().expect("one outcome")
}

async fn delete(
    db: &Db,
    access: &Access,
    name: &'static str,
    id: &str,
    if_: Precondition,
    millis: i64,
) -> Deleted {
    let state = (access.clone(), id.to_owned(), if_);
    write!(db, state, |(access, id, precondition), tx| {
        super::delete(tx, access, (name, &**id), precondition, at(millis))
    })
}

async fn read(db: &Db, access: &Access, name: &str, id: &str) -> Option<StoredResource> {
    let mut reader = db.reader().await.expect("a reader");
    super::read(&mut reader.tx(), access, name, id).await.expect("a read")
}

/// A search for all that a criterion says, in the order of creation.
fn search_for(name: &str, criterion: Criterion) -> Search {
    Search { types: vec![kind(name)], criterion, order: Vec::new(), count: 10, after: None, count_to: 1000 }
}

async fn search(db: &Db, access: &Access, search: &Search) -> Result<super::Page, DbError> {
    let mut reader = db.reader().await?;
    super::search(&mut reader.tx(), access, search).await
}

/// The ids of what a search finds on its only page.
async fn ids(db: &Db, access: &Access, wanted: &Search) -> Vec<String> {
    let page = search(db, access, wanted).await.expect("a page");
    assert_eq!(page.next, None, "there is more than one page");
    page.resources.into_iter().map(|resource| resource.id).collect()
}

/// That a value in a space is this one.
fn is(space: Space, value: &str) -> Criterion {
    let value = criteria::Bytes::Equal(value.as_bytes().to_vec());
    Criterion::Has(space, vec![EntryTest { value, extra: criteria::Bytes::Any }])
}
