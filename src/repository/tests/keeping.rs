//! Versions: when a change makes one, when it is refused, and whose they are.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::super::criteria::Criterion;
use super::super::model::{Change, Deleted, Kept, Precondition, StoredResource};
use super::super::{self as repository, store};
use super::{
    access, at, delete, draft, entry, everything, ids, is, keep, keep_if, kind, read, search_for, space,
    write,
};
use crate::auth::Access;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::db::{Db, DbError};

fn number_in(resource: &StoredResource) -> u64 {
    let text = resource.content.as_deref().expect("content");
    let tree: serde_json::Value = serde_json::from_slice(text).expect("JSON");
    assert_eq!(tree["id"], resource.id);
    assert_eq!(tree["meta"]["versionId"], resource.version.to_string());
    assert_eq!(tree["meta"]["lastUpdated"], resource.last_updated.to_string());
    tree["number"].as_u64().expect("a number")
}

#[tokio::test]
async fn every_statement_prepares_on_the_databases_it_is_for() {
    for_each_database(|db| async move {
        let here = store::STATEMENTS.iter().filter(|(_, only)| only.is_none_or(|only| only == db.dialect()));
        assert_prepares(&db, &here.map(|(sql, _)| *sql).collect::<Vec<_>>()).await;
    })
    .await;
}

#[tokio::test]
async fn each_change_makes_a_version_that_can_be_read() {
    for_each_database(|db| async move {
        let access = access();
        let [first] = &keep(&db, &access, vec![draft("Task", "a", 1, vec![])], 1000).await[..] else {
            panic!()
        };
        assert_eq!((first.version, first.change, first.last_updated), (1, Change::Create, at(1000)));
        let [second] = &keep(&db, &access, vec![draft("Task", "a", 2, vec![])], 2000).await[..] else {
            panic!()
        };
        assert_eq!((second.version, second.change, second.key), (2, Change::Update, first.key));
        let Deleted::Now(third) = delete(&db, &access, "Task", "a", Precondition::None, 3000).await else {
            panic!()
        };
        assert_eq!((third.version, third.change, third.content.as_ref()), (3, Change::Delete, None));
        assert_eq!(delete(&db, &access, "Task", "a", Precondition::None, 3500).await, Deleted::Before);
        assert_eq!(read(&db, &access, "Task", "a").await.as_ref(), Some(&third));
        let again =
            keep_if(&db, &access, draft("Task", "a", 4, vec![]), Precondition::None, true, 4000).await;
        let Kept::Created(fourth) = again else { panic!("{again:?}") };
        assert_eq!((fourth.version, fourth.change), (4, Change::Create));
        let mut reader = db.reader().await.expect("a reader");
        for version in [first, second, &third, &fourth] {
            let read =
                repository::read_version(&mut reader.tx(), &access, "Task", "a", version.version).await;
            assert_eq!(read.expect("a read").as_ref(), Some(version));
        }
        assert_eq!([first, second, &fourth].map(number_in), [1, 2, 4]);
        for version in [0, 5, u64::MAX] {
            let read = repository::read_version(&mut reader.tx(), &access, "Task", "a", version).await;
            assert_eq!(read.expect("a read"), None, "{version}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_happens_only_if_its_precondition_holds_of_what_is_there() {
    use Precondition::{Absent, None, Present, Version};
    for_each_database(|db| async move {
        let access = access();
        // What there is before: nothing, version 1, or a deletion that is version 2.
        let cases = [
            ("nothing", None, true, "created"),
            ("nothing", Absent, true, "created"),
            ("nothing", Present, true, "mismatch"),
            ("nothing", Version(vec![1]), true, "mismatch"),
            ("nothing", None, false, "missing"),
            ("nothing", Version(vec![1]), false, "missing"),
            ("version 1", None, true, "updated"),
            ("version 1", None, false, "updated"),
            ("version 1", Present, true, "updated"),
            ("version 1", Version(vec![7, 1]), true, "updated"),
            ("version 1", Version(vec![1]), false, "updated"),
            ("version 1", Version(vec![2]), true, "mismatch"),
            ("version 1", Version(vec![]), true, "mismatch"),
            ("version 1", Absent, true, "mismatch"),
            ("deleted", None, true, "created"),
            ("deleted", Absent, true, "created"),
            ("deleted", Present, true, "mismatch"),
            ("deleted", Version(vec![2]), true, "mismatch"),
            ("deleted", None, false, "missing"),
        ];
        for (n, (before, precondition, may_create, expected)) in cases.into_iter().enumerate() {
            let id = format!("case-{n}");
            if before != "nothing" {
                keep(&db, &access, vec![draft("Task", &id, 1, vec![])], 1).await;
            }
            if before == "deleted" {
                delete(&db, &access, "Task", &id, None, 2).await;
            }
            let known = read(&db, &access, "Task", &id).await;
            let kept =
                keep_if(&db, &access, draft("Task", &id, 2, vec![]), precondition.clone(), may_create, 3)
                    .await;
            let outcome = match &kept {
                Kept::Created(_) => "created",
                Kept::Updated(_) => "updated",
                Kept::Mismatch => "mismatch",
                Kept::Missing => "missing",
                Kept::Foreign => "foreign",
            };
            assert_eq!(outcome, expected, "{before}, {precondition:?}, {may_create}");
            let now = read(&db, &access, "Task", &id).await;
            let is_changed = matches!(kept, Kept::Created(_) | Kept::Updated(_));
            assert_eq!(now != known, is_changed, "{before}, {precondition:?}, {may_create}");
        }
        let cases = [(Version(vec![9]), "mismatch"), (Absent, "mismatch"), (Version(vec![1]), "now")];
        keep(&db, &access, vec![draft("Task", "d", 1, vec![])], 1).await;
        for (precondition, expected) in cases {
            let outcome = match delete(&db, &access, "Task", "d", precondition, 2).await {
                Deleted::Now(_) => "now",
                Deleted::Before => "before",
                Deleted::Mismatch => "mismatch",
            };
            assert_eq!(outcome, expected);
        }
        assert_eq!(delete(&db, &access, "Task", "none", Present, 2).await, Deleted::Mismatch);
    })
    .await;
}

#[tokio::test]
async fn versions_are_in_whole_milliseconds_and_each_is_later_than_the_one_before() {
    for_each_database(|db| async move {
        let access = access();
        let mut last = None;
        // The clock stands still, and then goes back.
        for (n, millis) in [500, 500, 100].into_iter().enumerate() {
            let kept = keep(&db, &access, vec![draft("Task", "a", 1, vec![])], millis).await;
            assert!(last < Some(kept[0].last_updated), "version {}", n + 1);
            last = Some(kept[0].last_updated);
        }
        let odd = crate::clock::Timestamp::from_nanos(7_999_999);
        let kept: Vec<Kept> = write!(db, odd, |odd, tx| async {
            let draft = [(draft("Task", "b", 1, vec![]), Precondition::None)];
            repository::keep(tx, &super::access(), &draft, true, *odd).await
        });
        assert!(matches!(&kept[..], [Kept::Created(resource)] if resource.last_updated == at(7)), "{kept:?}");
    })
    .await;
}

#[tokio::test]
async fn many_drafts_are_kept_at_once_and_answered_in_order() {
    for_each_database(|db| async move {
        let access = access();
        let status = space("Task", "status");
        keep(&db, &access, vec![draft("Task", "id-3", 1, vec![entry(status, "old")])], 1).await;
        let drafts = (0..2500).map(|n| {
            let id = format!("id-{n}");
            draft("Task", &id, n, vec![entry(status, if n % 500 == 3 { "rare" } else { "common" })])
        });
        let kept = keep(&db, &access, drafts.collect(), 2).await;
        for (n, resource) in kept.iter().enumerate() {
            assert_eq!(resource.id, format!("id-{n}"));
            assert_eq!(resource.version, if n == 3 { 2 } else { 1 });
        }
        let rare = ids(&db, &access, &search_for("Task", is(status, "rare"))).await;
        assert_eq!(rare, ["id-3", "id-503", "id-1003", "id-1503", "id-2003"]);
        assert!(ids(&db, &access, &search_for("Task", is(status, "old"))).await.is_empty());
        // The same id twice: one after the other.
        let twice = vec![
            draft("Task", "twice", 1, vec![entry(status, "first")]),
            draft("Task", "twice", 2, vec![entry(status, "second")]),
        ];
        let kept = keep(&db, &access, twice, 3).await;
        assert_eq!(kept.iter().map(|resource| resource.version).collect::<Vec<_>>(), [1, 2]);
        assert!(ids(&db, &access, &search_for("Task", is(status, "first"))).await.is_empty());
        assert_eq!(ids(&db, &access, &search_for("Task", is(status, "second"))).await, ["twice"]);
    })
    .await;
}

#[tokio::test]
async fn resources_of_others_are_not_there_and_their_ids_are_taken() {
    for_each_database(|db| async move {
        let mine = access();
        let worker = everything();
        let status = space("Task", "status");
        // A worker's resources belong to nobody that a caller could be.
        keep(&db, &worker, vec![draft("Task", "theirs", 1, vec![entry(status, "x")])], 1).await;
        assert_eq!(read(&db, &mine, "Task", "theirs").await, None);
        let mut reader = db.reader().await.expect("a reader");
        let version = repository::read_version(&mut reader.tx(), &mine, "Task", "theirs", 1).await;
        assert_eq!(version.expect("a read"), None);
        for precondition in [Precondition::None, Precondition::Absent, Precondition::Present] {
            let kept = keep_if(&db, &mine, draft("Task", "theirs", 2, vec![]), precondition, true, 2).await;
            assert_eq!(kept, Kept::Foreign);
        }
        assert_eq!(delete(&db, &mine, "Task", "theirs", Precondition::None, 2).await, Deleted::Before);
        assert_eq!(ids(&db, &worker, &search_for("Task", is(status, "x"))).await, ["theirs"]);
        assert!(ids(&db, &mine, &search_for("Task", is(status, "x"))).await.is_empty());
        // Another tenant has its own ids.
        let elsewhere = Access::of_worker("elsewhere");
        assert_eq!(read(&db, &elsewhere, "Task", "theirs").await, None);
        assert_eq!(keep(&db, &elsewhere, vec![draft("Task", "theirs", 1, vec![])], 3).await[0].version, 1);
    })
    .await;
}

#[tokio::test]
async fn updates_at_the_same_time_all_become_versions() {
    for_each_database(|db| async move {
        let access = access();
        let ids = ["one", "two", "three"];
        let changes = (0..60).map(|n| {
            let access = &access;
            let db = &db;
            async move { keep(db, access, vec![draft("Task", ids[n % 3], 1, vec![])], 1).await.remove(0) }
        });
        let kept = join_all(changes).await;
        for id in ids {
            let versions: BTreeSet<_> =
                kept.iter().filter(|r| r.id == id).map(|r| (r.version, r.last_updated)).collect();
            let numbers: Vec<_> = versions.iter().map(|(version, _)| *version).collect();
            assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
            let times: BTreeSet<_> = versions.iter().map(|(_, time)| *time).collect();
            assert_eq!(times.len(), 20);
        }
    })
    .await;
}

/// Creates a Task with an identifier unless there is one.
async fn create_unless_there(db: &Db, id: String) -> bool {
    write!(db, id, |id, tx| async {
        let identifier = space("Task", "identifier");
        let found = repository::matches(tx, &access(), kind("Task"), &is(identifier, "1\0urn:x")).await?;
        if !found.is_empty() {
            return Ok::<_, DbError>(false);
        }
        let draft = draft("Task", id, 1, vec![entry(identifier, "1\0urn:x")]);
        repository::keep(tx, &access(), &[(draft, Precondition::None)], true, at(1)).await?;
        Ok(true)
    })
}

#[tokio::test]
async fn of_conditional_creates_at_the_same_time_one_creates() {
    for_each_database(|db| async move {
        let created = join_all((0..20).map(|n| create_unless_there(&db, format!("id-{n}")))).await;
        assert_eq!(created.into_iter().filter(|created| *created).count(), 1);
        assert_eq!(ids(&db, &access(), &search_for("Task", Criterion::All(vec![]))).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_conditional_interaction_is_told_of_two_matches_at_most() {
    for_each_database(|db| async move {
        let status = space("Task", "status");
        let drafts = (0..5).map(|n| draft("Task", &format!("id-{n}"), 1, vec![entry(status, "x")]));
        keep(&db, &access(), drafts.collect(), 1).await;
        let mut reader = db.reader().await.expect("a reader");
        let found = repository::matches(&mut reader.tx(), &access(), kind("Task"), &is(status, "x")).await;
        assert_eq!(found.expect("a read").len(), 2);
        let found = repository::matches(&mut reader.tx(), &access(), kind("Task"), &is(status, "y")).await;
        assert_eq!(found.expect("a read").len(), 0);
    })
    .await;
}
