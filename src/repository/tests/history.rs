//! Histories: of a resource and of a type, newest first, in pages.

use super::super::model::{Change, History, HistoryOf, StoredResource};
use super::super::{self as repository, Precondition};
use super::{access, at, delete, draft, everything, keep};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::db::testing::for_each_database;

fn history_of(of: HistoryOf) -> History {
    History { of, since: None, at: None, count: 100, after: None }
}

fn instance(id: &str) -> HistoryOf {
    HistoryOf::Instance { resource_type: "Task", id: id.to_owned() }
}

async fn page(db: &Db, access: &Access, history: &History) -> (Vec<StoredResource>, bool) {
    let mut reader = db.reader().await.expect("a reader");
    repository::history(&mut reader.tx(), access, history).await.expect("a history")
}

fn names(versions: &[StoredResource]) -> Vec<(String, u64)> {
    versions.iter().map(|version| (version.id.clone(), version.version)).collect()
}

/// Three resources with versions 1 to 3 each, at 1 ms, 2 ms, …; the last of `b` is a deletion.
async fn fill(db: &Db) -> Vec<(String, u64)> {
    let mut made = Vec::new();
    let mut millis = 0;
    for version in 1..=3 {
        for id in ["a", "b", "c"] {
            millis += 1;
            if (id, version) == ("b", 3) {
                delete(db, &access(), "Task", id, Precondition::None, millis).await;
            } else {
                keep(db, &access(), vec![draft("Task", id, 1, vec![])], millis).await;
            }
            made.push((id.to_owned(), version));
        }
    }
    keep(db, &access(), vec![draft("Patient", "a", 1, vec![])], 5).await;
    keep(db, &everything(), vec![draft("Task", "of-others", 1, vec![])], 5).await;
    made.reverse();
    made
}

#[tokio::test]
async fn a_history_has_all_versions_newest_first_with_content() {
    for_each_database(|db| async move {
        let made = fill(&db).await;
        let (versions, is_more) = page(&db, &access(), &history_of(HistoryOf::Type("Task"))).await;
        assert_eq!((names(&versions), is_more), (made.clone(), false));
        for version in &versions {
            assert_eq!(version.content.is_none(), version.change == Change::Delete);
        }
        let (versions, is_more) = page(&db, &access(), &history_of(instance("b"))).await;
        assert!(!is_more);
        assert_eq!(names(&versions), made.into_iter().filter(|(id, _)| id == "b").collect::<Vec<_>>());
        let changes: Vec<_> = versions.iter().map(|version| version.change).collect();
        assert_eq!(changes, [Change::Delete, Change::Update, Change::Create]);
        for of in [instance("of-others"), instance("none"), HistoryOf::Type("Observation")] {
            assert_eq!(page(&db, &access(), &history_of(of)).await, (vec![], false));
        }
        let (versions, _) = page(&db, &everything(), &history_of(HistoryOf::Type("Task"))).await;
        assert_eq!(versions.len(), 10);
    })
    .await;
}

#[tokio::test]
async fn the_pages_of_a_history_are_the_history() {
    for_each_database(|db| async move {
        fill(&db).await;
        // All at one moment.
        let at_once = (0..5).map(|n| draft("Task", &format!("d{n}"), 1, vec![])).collect();
        keep(&db, &access(), at_once, 20).await;
        for of in [HistoryOf::Type("Task"), instance("a")] {
            let (whole, _) = page(&db, &access(), &history_of(of.clone())).await;
            for count in 1..=whole.len() + 1 {
                let mut found = Vec::new();
                let mut wanted =
                    History { count: u32::try_from(count).expect("small"), ..history_of(of.clone()) };
                loop {
                    let (versions, is_more) = page(&db, &access(), &wanted).await;
                    assert!(versions.len() == count || !is_more);
                    found.extend(versions);
                    let last = found.last().expect("a version");
                    wanted.after = Some((last.last_updated, last.key, last.version));
                    if !is_more {
                        break;
                    }
                }
                assert_eq!(found, whole, "{of:?} in pages of {count}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_history_can_be_narrowed_to_a_time() {
    for_each_database(|db| async move {
        fill(&db).await;
        let versions = |of: HistoryOf, since: Option<i64>, stretch: Option<(i64, i64)>| {
            let stretch = stretch.map(|(from, until)| -> (Timestamp, Timestamp) { (at(from), at(until)) });
            let wanted = History { since: since.map(at), at: stretch, ..history_of(of) };
            let db = &db;
            async move { names(&page(db, &access(), &wanted).await.0) }
        };
        let named = |names: &[(&str, u64)]| -> Vec<(String, u64)> {
            names.iter().map(|(id, version)| ((*id).to_owned(), *version)).collect()
        };
        let all = || HistoryOf::Type("Task");
        assert_eq!(versions(all(), Some(8), None).await, named(&[("c", 3), ("b", 3)]));
        assert_eq!(versions(instance("a"), Some(4), None).await, named(&[("a", 3), ("a", 2)]));
        // At the fifth millisecond `b` got its second version; that of `c` came with the sixth.
        assert_eq!(versions(all(), None, Some((5, 6))).await, named(&[("b", 2), ("a", 2), ("c", 1)]));
        assert_eq!(versions(instance("a"), None, Some((2, 8))).await, named(&[("a", 3), ("a", 2), ("a", 1)]));
        assert_eq!(versions(instance("b"), None, Some((100, 101))).await, named(&[("b", 3)]));
        assert_eq!(versions(all(), None, Some((0, 1))).await, named(&[]));
    })
    .await;
}
