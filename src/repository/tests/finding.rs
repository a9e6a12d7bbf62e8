//! Searches and what comes along with them: what is found, in which order, how many, and nothing of others.

use super::super::criteria::{Criterion, Order};
use super::super::model::{Precondition, Search, StoredResource};
use super::super::{self as repository};
use super::{access, at, delete, draft, entry, everything, ids, is, keep, kind, search, search_for, space};
use crate::auth::Access;
use crate::db::Db;
use crate::db::testing::for_each_database;

fn everything_of(name: &str) -> Search {
    search_for(name, Criterion::All(Vec::new()))
}

/// That a Task is for a Patient of this name.
fn patient_is(name: &str) -> Criterion {
    let named = is(space("Patient", "name"), name);
    Criterion::Leads(space("Task", "patient"), vec![("Patient", kind("Patient"), named)])
}

/// That a Task of this status is for the Patient.
fn has_task(status: &str) -> Criterion {
    Criterion::Referred {
        from: space("Task", "patient"),
        source: kind("Task"),
        criterion: Box::new(is(space("Task", "status"), status)),
    }
}

/// One Patient and one Task of ours and of theirs; ours both refer to both Patients.
async fn fill_chains(db: &Db) {
    let (patient, name) = (space("Task", "patient"), space("Patient", "name"));
    let status = space("Task", "status");
    let mine = access();
    let refers = |status_is: &str| {
        vec![entry(patient, "Patient/mine"), entry(patient, "Patient/theirs"), entry(status, status_is)]
    };
    keep(db, &mine, vec![draft("Patient", "mine", 1, vec![entry(name, "ann")])], 1).await;
    keep(db, &everything(), vec![draft("Patient", "theirs", 1, vec![entry(name, "bob")])], 1).await;
    keep(db, &mine, vec![draft("Task", "mine", 1, refers("ready"))], 1).await;
    keep(db, &everything(), vec![draft("Task", "theirs", 1, refers("done"))], 1).await;
}

fn names(resources: &[StoredResource]) -> Vec<String> {
    resources.iter().map(|r| format!("{}/{}", r.resource_type, r.id)).collect()
}

#[tokio::test]
async fn chains_do_not_lead_through_what_the_caller_may_not_see() {
    for_each_database(|db| async move {
        fill_chains(&db).await;
        let cases = [
            (access(), "Task", patient_is("ann"), &["mine"][..]),
            (access(), "Task", patient_is("bob"), &[]),
            (access(), "Patient", has_task("ready"), &["mine"]),
            (access(), "Patient", has_task("done"), &[]),
            (everything(), "Task", patient_is("bob"), &["mine", "theirs"]),
            (everything(), "Patient", has_task("done"), &["mine", "theirs"]),
            (Access::of_worker("elsewhere"), "Task", patient_is("ann"), &[]),
        ];
        for (access, name, criterion, expected) in cases {
            let found = ids(&db, &access, &search_for(name, criterion.clone())).await;
            assert_eq!(found, expected, "{name}: {criterion:?}");
            // Where the chain is not what leads to the resources but is asked of each.
            let negated = Criterion::Not(Box::new(Criterion::Not(Box::new(criterion.clone()))));
            let negated =
                Criterion::All(vec![Criterion::Id(vec!["mine".to_owned(), "theirs".to_owned()]), negated]);
            assert_eq!(
                ids(&db, &access, &search_for(name, negated)).await,
                expected,
                "{name}: {criterion:?}"
            );
        }
        delete(&db, &access(), "Patient", "mine", Precondition::None, 2).await;
        assert!(ids(&db, &access(), &search_for("Task", patient_is("ann"))).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_comes_along_is_each_resource_once_and_none_of_others() {
    for_each_database(|db| async move {
        fill_chains(&db).await;
        let patient = space("Task", "patient");
        let more =
            vec![entry(patient, "Patient/mine"), entry(patient, "Task/mine"), entry(patient, "urn:uuid:1")];
        keep(&db, &access(), vec![draft("Task", "second", 1, more)], 1).await;
        let mut reader = db.reader().await.expect("a reader");
        let mut tx = reader.tx();
        let tasks =
            repository::search(&mut tx, &access(), &everything_of("Task")).await.expect("a page").resources;
        assert_eq!(names(&tasks), ["Task/mine", "Task/second"]);
        let keys: Vec<i64> = tasks.iter().map(|task| task.key).collect();
        let spaces = [patient, space("Task", "other")];
        let cases = [
            (access(), &keys[..], &[][..], 10, &["Patient/mine"][..]),
            (access(), &keys[1..], &[], 10, &["Patient/mine", "Task/mine"]),
            (access(), &keys[1..], &["Task"], 10, &["Task/mine"]),
            (everything(), &keys, &["Patient"], 10, &["Patient/mine", "Patient/theirs"]),
            (everything(), &keys, &["Patient"], 1, &["Patient/mine"]),
            (access(), &keys, &["Observation"], 10, &[]),
            (Access::of_worker("elsewhere"), &keys, &[], 10, &[]),
        ];
        for (access, keys, targets, limit, expected) in cases {
            let found = repository::referred(&mut tx, &access, keys, &spaces, targets, limit).await;
            assert_eq!(names(&found.expect("a read")), expected, "{keys:?} {targets:?}");
        }
        let references = ["Patient/mine", "Patient/theirs", "Patient/none"].map(str::to_owned);
        let cases = [
            (access(), 10, &["Task/mine", "Task/second"][..]),
            (access(), 1, &["Task/mine"]),
            (everything(), 10, &["Task/mine", "Task/theirs", "Task/second"]),
        ];
        for (access, limit, expected) in cases {
            let found = repository::referring(&mut tx, &access, &references, &spaces, limit).await;
            assert_eq!(names(&found.expect("a read")), expected, "{limit}");
        }
        assert!(repository::referring(&mut tx, &access(), &[], &spaces, 9).await.expect("a read").is_empty());
        assert!(
            repository::referred(&mut tx, &access(), &keys, &[], &[], 9).await.expect("a read").is_empty()
        );
    })
    .await;
}

#[tokio::test]
async fn what_has_no_value_of_a_sort_key_comes_last_either_way() {
    for_each_database(|db| async move {
        let (date, period) = (space("Task", "date"), space("Task", "period"));
        let drafts = vec![
            draft("Task", "none-1", 1, vec![]),
            draft("Task", "b", 1, vec![entry(date, "2")]),
            draft("Task", "a-and-d", 1, vec![entry(date, "1"), entry(date, "4")]),
            draft("Task", "none-2", 1, vec![]),
            draft("Task", "c", 1, vec![entry(date, "3")]),
            draft("Task", "b-too", 1, vec![entry(date, "2")]),
            draft("Task", "period", 1, vec![entry(period, "25"), entry(date, "9")]),
        ];
        keep(&db, &access(), drafts, 1).await;
        let by = |levels: Vec<Vec<_>>, descends| vec![(Order::Values(levels), descends)];
        let cases = [
            (by(vec![vec![date]], false), ["a-and-d", "b", "b-too", "c", "period", "none-1", "none-2"]),
            (by(vec![vec![date]], true), ["period", "a-and-d", "c", "b", "b-too", "none-1", "none-2"]),
            // The period where there is one, else the date.
            (
                by(vec![vec![period], vec![date]], false),
                ["a-and-d", "b", "b-too", "period", "c", "none-1", "none-2"],
            ),
            (vec![(Order::Id, true)], ["period", "none-2", "none-1", "c", "b-too", "b", "a-and-d"]),
        ];
        for (order, expected) in cases {
            for count in [2, 3, 10] {
                let mut wanted = Search { order: order.clone(), count, ..everything_of("Task") };
                let mut found = Vec::new();
                loop {
                    let page = search(&db, &access(), &wanted).await.expect("a page");
                    assert!(wanted.after.is_some() || page.total == Some(7), "{:?}", page.total);
                    found.extend(page.resources.into_iter().map(|resource| resource.id));
                    wanted.after = page.next;
                    if wanted.after.is_none() {
                        break;
                    }
                }
                assert_eq!(found, expected, "{order:?} in pages of {count}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn matches_are_counted_as_far_as_asked() {
    for_each_database(|db| async move {
        let status = space("Task", "status");
        let drafts = (0..7).map(|n| draft("Task", &format!("id-{n}"), 1, vec![entry(status, "x")]));
        keep(&db, &access(), drafts.collect(), 1).await;
        // How many on a page, counted up to, criterion: matches on the page, total.
        let has = || is(status, "x");
        let cases = [
            (3, 1000, has(), 3, Some(7)),
            (3, u64::MAX, has(), 3, Some(7)),
            (3, 7, has(), 3, Some(7)),
            (3, 6, has(), 3, None),
            (3, 0, has(), 3, None),
            (7, 1, has(), 7, None),
            (10, 0, has(), 7, None),
            (10, 1000, has(), 7, Some(7)),
            (0, 1000, has(), 0, Some(7)),
            (0, 0, has(), 0, None),
            (10, 1000, is(status, "y"), 0, Some(0)),
            (10, 1000, Criterion::Never, 0, Some(0)),
            (3, 1000, Criterion::All(vec![]), 3, Some(7)),
        ];
        for (count, count_to, criterion, on_page, total) in cases {
            let wanted = Search { count, count_to, ..search_for("Task", criterion) };
            let page = search(&db, &access(), &wanted).await.expect("a page");
            assert_eq!((page.resources.len(), page.total), (on_page, total), "{wanted:?}");
            assert_eq!(page.next.is_some(), count == 3, "{wanted:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_value_with_several_extras_is_found_once() {
    for_each_database(|db| async move {
        let name = space("Patient", "name");
        let with =
            |extra: &str| super::Entry { extra: Some(extra.as_bytes().to_vec()), ..entry(name, "ann") };
        let entries = vec![with("Ann"), with("ann"), entry(name, "ann"), with("ANN")];
        keep(&db, &access(), vec![draft("Patient", "a", 1, entries)], 1).await;
        assert_eq!(ids(&db, &access(), &search_for("Patient", is(name, "ann"))).await, ["a"]);
        let order = vec![(Order::Values(vec![vec![name]]), true)];
        assert_eq!(ids(&db, &access(), &Search { order, ..everything_of("Patient") }).await, ["a"]);
    })
    .await;
}

#[tokio::test]
async fn a_value_that_is_no_text_is_compared_as_bytes() {
    for_each_database(|db| async move {
        let patient = space("Task", "patient");
        // Cut in the middle of a character, as a long value may be.
        let odd = super::Entry { space: patient, value: b"Patient/\xc3".to_vec(), extra: None };
        keep(&db, &access(), vec![draft("Task", "a", 1, vec![odd])], 1).await;
        keep(&db, &access(), vec![draft("Patient", "b", 1, vec![])], 1).await;
        assert!(ids(&db, &access(), &search_for("Task", patient_is("x"))).await.is_empty());
        assert!(ids(&db, &access(), &search_for("Patient", has_task("x"))).await.is_empty());
        let known = Criterion::Leads(patient, vec![("Patient", kind("Patient"), Criterion::All(vec![]))]);
        assert!(ids(&db, &access(), &search_for("Task", known)).await.is_empty());
        let mut reader = db.reader().await.expect("a reader");
        let found = repository::referred(&mut reader.tx(), &access(), &[1, 2], &[patient], &[], 9).await;
        assert!(found.expect("a read").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_search_can_be_for_what_changed_in_a_time() {
    for_each_database(|db| async move {
        for (n, millis) in [10, 20, 30].into_iter().enumerate() {
            keep(&db, &access(), vec![draft("Task", &format!("id-{n}"), 1, vec![])], millis).await;
        }
        keep(&db, &access(), vec![draft("Task", "id-0", 2, vec![])], 40).await;
        let since = search_for("Task", Criterion::LastUpdated(Some(at(20)), None));
        assert_eq!(ids(&db, &access(), &since).await, ["id-0", "id-1", "id-2"]);
        let newest_first = Search { order: vec![(Order::LastUpdated, true)], ..since };
        assert_eq!(ids(&db, &access(), &newest_first).await, ["id-0", "id-2", "id-1"]);
        let stretch = search_for("Task", Criterion::LastUpdated(Some(at(20)), Some(at(30))));
        assert_eq!(ids(&db, &access(), &stretch).await, ["id-1"]);
    })
    .await;
}
