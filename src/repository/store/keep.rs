//! Changes of resources: each makes a version, and the one before goes into the history. What is new is inserted
//! without looking first; what exists is looked up under a lock, so that no change is lost.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use sqlx::QueryBuilder;

use super::{change_of, column_of, number_of};
use crate::agenda::{self, NewItem};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Dialect, ROWS_PER_INSERT, Tx, later_on_db, on_db};
use crate::fhir::resource;
use crate::repository::entry::{Entry, Space};
use crate::repository::model::{Change, Deleted, Draft, Kept, Precondition, StoredResource};

const INSERT: &str = "INSERT INTO resource \
     (kind, tenant, owner, type, id, version, last_updated, change, bytes, content) ";
const UNLESS_TAKEN: &str = " ON CONFLICT (kind, id) DO NOTHING RETURNING key, kind, id";
pub(super) const LOOK_SQLITE: &str = "SELECT key, owner, version, last_updated, change FROM resource \
     WHERE kind = $1 AND id = $2 AND tenant = $3";
pub(super) const LOOK_POSTGRES: &str = "SELECT key, owner, version, last_updated, change FROM resource \
     WHERE kind = $1 AND id = $2 AND tenant = $3 FOR UPDATE";
pub(super) const SUPERSEDE: &str = "INSERT INTO resource_history \
     (resource, version, kind, tenant, owner, last_updated, replaced_at, change, bytes, content) \
     SELECT key, version, kind, tenant, owner, last_updated, $2, change, bytes, content FROM resource WHERE key = $1";
pub(super) const REPLACE: &str = "UPDATE resource SET version = $2, last_updated = $3, change = $4, bytes = $5, \
     content = $6 \
     WHERE key = $1";
const RECORD: &str = "INSERT INTO resource_history \
     (resource, version, kind, tenant, owner, last_updated, replaced_at, change, bytes, content) ";
const FORGET: &str = "DELETE FROM search_entry WHERE resource IN (";
const REMEMBER: &str = "INSERT INTO search_entry (space, value, resource, extra) ";
// Two values that were cut alike are one.
const ONCE: &str = " ON CONFLICT DO NOTHING";

/// What a resource is now.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Current {
    key: i64,
    owner: String,
    version: i64,
    last_updated: i64,
    change: String,
}

impl Current {
    fn is_deleted(&self) -> bool {
        change_of(&self.change) == Some(Change::Delete)
    }

    fn is_visible(&self, access: &Access) -> bool {
        access.owner().is_none_or(|owner| owner == self.owner)
    }

    /// Whether what is there, if anything, is what the change was meant for.
    fn meets(current: Option<&Self>, precondition: &Precondition) -> bool {
        let version = current.filter(|current| !current.is_deleted()).map(|current| current.version);
        match precondition {
            Precondition::None => true,
            Precondition::Version(versions) => {
                version.is_some_and(|version| versions.iter().any(|wanted| number_of(*wanted) == version))
            }
            Precondition::Present => version.is_some(),
            Precondition::Absent => version.is_none(),
        }
    }

    /// When the next version comes to be: later than this one, whatever the clock says.
    fn next_time(&self, now: Timestamp) -> Timestamp {
        now.max(Timestamp::from_nanos(self.last_updated).after(Duration::from_millis(1)))
    }
}

/// Keeps resources; one outcome each, in order.
pub(in crate::repository) async fn keep(
    tx: &mut Tx<'_>,
    access: &Access,
    drafts: &[(Draft, Precondition)],
    may_create: bool,
    now: Timestamp,
) -> Result<Vec<Kept>, DbError> {
    let now = whole_millis(now);
    let is_new = |precondition: &Precondition| {
        may_create && matches!(precondition, Precondition::None | Precondition::Absent)
    };
    let new: Vec<&Draft> = drafts.iter().filter(|(_, p)| is_new(p)).map(|(draft, _)| draft).collect();
    let mut created = insert(tx, access, &new, now).await?;
    // The last draft of each resource says what it is found by.
    let mut found_by: Vec<(i64, &Draft)> = Vec::new();
    let mut forgotten = Vec::new();
    let mut kept = Vec::with_capacity(drafts.len());
    let mut due = Vec::new();
    let mut successions = Successions::default();
    for (draft, precondition) in drafts {
        let new = is_new(precondition).then(|| created.remove(&(draft.resource_type, &*draft.id)));
        let outcome = match new.flatten() {
            Some(resource) => Kept::Created(resource),
            None => successions.add(tx, access, (draft, precondition), may_create, now).await?,
        };
        if let Kept::Created(resource) | Kept::Updated(resource) = &outcome {
            let owner = successions.owner_of(draft).or(access.owner()).unwrap_or_default();
            due.extend(draft.errands.iter().map(|errand| NewItem {
                tenant: access.tenant().to_owned(),
                owner: owner.to_owned(),
                errand: *errand,
                subject: format!("{}/{}", draft.resource_type, draft.id),
                version: resource.version,
                due_at: now,
            }));
            if resource.version > 1 {
                forgotten.push(resource.key);
                found_by.retain(|(key, _)| *key != resource.key);
            }
            found_by.push((resource.key, draft));
        }
        kept.push(outcome);
    }
    successions.write(tx, access).await?;
    forget(tx, &forgotten).await?;
    remember(tx, &found_by).await?;
    agenda::add(tx, &due).await?;
    Ok(kept)
}

/// Deletes a resource: its history stays.
pub(in crate::repository) async fn delete(
    tx: &mut Tx<'_>,
    access: &Access,
    (resource_type, id): (&str, &str),
    precondition: &Precondition,
    now: Timestamp,
) -> Result<Deleted, DbError> {
    let current = look(tx, access, resource_type, id).await?.filter(|current| current.is_visible(access));
    if !Current::meets(current.as_ref(), precondition) {
        return Ok(Deleted::Mismatch);
    }
    let Some(current) = current.filter(|current| !current.is_deleted()) else { return Ok(Deleted::Before) };
    let at = current.next_time(whole_millis(now));
    let version = u64::try_from(current.version + 1).unwrap_or(1);
    let resource = StoredResource {
        key: current.key,
        resource_type: resource_type.to_owned(),
        id: id.to_owned(),
        version,
        last_updated: at,
        change: Change::Delete,
        content: None,
        bytes: None,
    };
    supersede(tx, &resource).await?;
    replace(tx, &resource).await?;
    forget(tx, &[current.key]).await?;
    Ok(Deleted::Now(resource))
}

/// The versions that follow those that are there. Several of one resource are written at once: only the last of them is
/// ever the current one.
#[derive(Default)]
struct Successions<'d> {
    all: Vec<Succession>,
    of: HashMap<(&'static str, &'d str), usize>,
}

/// The versions that follow the current one of a resource, in order.
struct Succession {
    /// What the resource is after the last of them.
    current: Current,
    versions: Vec<StoredResource>,
}

impl<'d> Successions<'d> {
    /// Adds the next version of a resource, or its first if there is none after all.
    async fn add(
        &mut self,
        tx: &mut Tx<'_>,
        access: &Access,
        (draft, precondition): (&'d Draft, &Precondition),
        may_create: bool,
        now: Timestamp,
    ) -> Result<Kept, DbError> {
        let name = (draft.resource_type, &*draft.id);
        let known = self.of.get(&name).copied();
        let current = match known {
            Some(at) => Some(self.all[at].current.clone()),
            None => look(tx, access, draft.resource_type, &draft.id).await?,
        };
        if current.as_ref().is_some_and(|current| !current.is_visible(access)) {
            return Ok(Kept::Foreign);
        }
        let is_there = current.as_ref().is_some_and(|current| !current.is_deleted());
        // RFC 9110, 13.2.1: a precondition is asked only of what would be done without it.
        if !is_there && !may_create {
            return Ok(Kept::Missing);
        }
        // Without a row there is nothing that a version or a presence could be true of: new ones were tried before.
        let Some(current) = current.filter(|current| Current::meets(Some(current), precondition)) else {
            return Ok(Kept::Mismatch);
        };
        let at = current.next_time(now);
        let version = u64::try_from(current.version + 1).unwrap_or(1);
        let resource = StoredResource {
            key: current.key,
            resource_type: draft.resource_type.to_owned(),
            id: draft.id.clone(),
            version,
            last_updated: at,
            change: if is_there { Change::Update } else { Change::Create },
            content: Some(text_of(draft, version, at)?.into()),
            bytes: draft.bytes,
        };
        let current = Current {
            version: number_of(version),
            last_updated: at.as_nanos(),
            change: column_of(resource.change).to_owned(),
            ..current
        };
        if let Some(at) = known {
            self.all[at].current = current;
            self.all[at].versions.push(resource.clone());
        } else {
            self.of.insert(name, self.all.len());
            self.all.push(Succession { current, versions: vec![resource.clone()] });
        }
        Ok(if is_there { Kept::Updated(resource) } else { Kept::Created(resource) })
    }

    /// Whose the resource of a draft is, if a version was added to it.
    fn owner_of(&self, draft: &Draft) -> Option<&str> {
        let at = self.of.get(&(draft.resource_type, &*draft.id))?;
        Some(&self.all[*at].current.owner)
    }

    /// Moves the versions that are there into the history, those between beside them, and the last ones in their place.
    async fn write(&self, tx: &mut Tx<'_>, access: &Access) -> Result<(), DbError> {
        let mut between = Vec::new();
        for Succession { current, versions } in &self.all {
            if let (Some(first), Some(last)) = (versions.first(), versions.last()) {
                supersede(tx, first).await?;
                replace(tx, last).await?;
            }
            between.extend(versions.iter().zip(versions.iter().skip(1)).map(|pair| (&current.owner, pair)));
        }
        for some in between.chunks(ROWS_PER_INSERT) {
            later_on_db!(&mut *tx, insert => {
                insert.push(RECORD).push_values(some, |mut row, (owner, (version, next))| {
                    row.push_bind(version.key)
                        .push_bind(number_of(version.version))
                        .push_bind(Space::of_type(access.tenant(), &version.resource_type).as_i64())
                        .push_bind(access.tenant())
                        .push_bind(&**owner)
                        .push_bind(version.last_updated.as_nanos())
                        .push_bind(next.last_updated.as_nanos())
                        .push_bind(column_of(version.change))
                        .push_bind(version.bytes.map(|id| id.to_string()))
                        .push_bind(version.content.as_deref());
                });
            })?;
        }
        Ok(())
    }
}

/// The current row of a resource, whoever owns it; it stays so until the unit ends.
async fn look(
    tx: &mut Tx<'_>,
    access: &Access,
    resource_type: &str,
    id: &str,
) -> Result<Option<Current>, DbError> {
    let sql = match tx.dialect() {
        Dialect::Sqlite => LOOK_SQLITE,
        Dialect::Postgres => LOOK_POSTGRES,
    };
    let kind = Space::of_type(access.tenant(), resource_type).as_i64();
    Ok(on_db!(tx, conn => {
        sqlx::query_as(sql).bind(kind).bind(id).bind(access.tenant()).fetch_optional(conn).await
    })?)
}

/// Moves the current version into the history: this one follows it.
async fn supersede(tx: &mut Tx<'_>, next: &StoredResource) -> Result<(), DbError> {
    let at = next.last_updated.as_nanos();
    Ok(on_db!(tx, conn => sqlx::query(SUPERSEDE).bind(next.key).bind(at).execute(conn).await.map(drop))?)
}

/// Makes this version the current one.
async fn replace(tx: &mut Tx<'_>, resource: &StoredResource) -> Result<(), DbError> {
    let at = resource.last_updated.as_nanos();
    on_db!(tx, conn => {
        sqlx::query(REPLACE)
            .bind(resource.key)
            .bind(number_of(resource.version))
            .bind(at)
            .bind(column_of(resource.change))
            .bind(resource.bytes.map(|id| id.to_string()))
            .bind(resource.content.as_deref())
            .execute(conn)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// Inserts first versions; those whose id is taken do not come back.
async fn insert<'d>(
    tx: &mut Tx<'_>,
    access: &Access,
    drafts: &[&'d Draft],
    now: Timestamp,
) -> Result<HashMap<(&'static str, &'d str), StoredResource>, DbError> {
    let mut inserted = HashMap::with_capacity(drafts.len());
    for drafts in drafts.chunks(ROWS_PER_INSERT) {
        let mut new = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let kind = Space::of_type(access.tenant(), draft.resource_type).as_i64();
            new.push((kind, *draft, Bytes::from(text_of(draft, 1, now)?)));
        }
        let rows: Vec<(i64, i64, String)> = on_db!(&mut *tx, conn => {
            let mut insert = QueryBuilder::<Driver>::new(INSERT);
            insert.push_values(&new, |mut row, (kind, draft, text)| {
                row.push_bind(*kind)
                    .push_bind(access.tenant())
                    .push_bind(access.owner().unwrap_or_default())
                    .push_bind(draft.resource_type)
                    .push_bind(&*draft.id)
                    .push_bind(1_i64)
                    .push_bind(now.as_nanos())
                    .push_bind(column_of(Change::Create))
                    .push_bind(draft.bytes.map(|id| id.to_string()))
                    .push_bind(&**text);
            });
            insert.push(UNLESS_TAKEN);
            insert.build_query_as().fetch_all(conn).await
        })?;
        let mut keys: HashMap<_, _> = rows.into_iter().map(|(key, kind, id)| ((kind, id), key)).collect();
        for (kind, draft, text) in new {
            // Of two drafts of one resource the first was inserted.
            let Some(key) = keys.remove(&(kind, draft.id.clone())) else { continue };
            let resource = StoredResource {
                key,
                resource_type: draft.resource_type.to_owned(),
                id: draft.id.clone(),
                version: 1,
                last_updated: now,
                change: Change::Create,
                content: Some(text),
                bytes: draft.bytes,
            };
            inserted.insert((draft.resource_type, &*draft.id), resource);
        }
    }
    Ok(inserted)
}

async fn forget(tx: &mut Tx<'_>, keys: &[i64]) -> Result<(), DbError> {
    for keys in keys.chunks(ROWS_PER_INSERT) {
        later_on_db!(&mut *tx, delete => {
            let mut listed = delete.push(FORGET).separated(", ");
            for key in keys {
                listed.push_bind(*key);
            }
            delete.push(")");
        })?;
    }
    Ok(())
}

async fn remember(tx: &mut Tx<'_>, found_by: &[(i64, &Draft)]) -> Result<(), DbError> {
    let rows = found_by.iter().flat_map(|(key, draft)| draft.entries.iter().map(|entry| (*key, entry)));
    let rows: Vec<(i64, &Entry)> = rows.collect();
    for rows in rows.chunks(ROWS_PER_INSERT) {
        later_on_db!(&mut *tx, insert => {
            insert.push(REMEMBER).push_values(rows, |mut row, (key, entry)| {
                row.push_bind(entry.space.as_i64())
                    .push_bind(&*entry.value)
                    .push_bind(*key)
                    .push_bind(entry.extra.as_deref().unwrap_or_default());
            });
            insert.push(ONCE);
        })?;
    }
    Ok(())
}

fn text_of(draft: &Draft, version: u64, at: Timestamp) -> Result<Vec<u8>, DbError> {
    let malformed = |_| DbError::inconsistent("resource", "content", &draft.id);
    resource::stamp(&draft.text, &draft.id, version, at).map_err(malformed)
}

/// FHIR clients see and send back whole milliseconds.
fn whole_millis(now: Timestamp) -> Timestamp {
    Timestamp::from_nanos(now.as_nanos() - now.as_nanos().rem_euclid(1_000_000))
}
