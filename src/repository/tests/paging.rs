//! Pages while others write: what was there all the time comes exactly once.

use std::collections::BTreeSet;

use super::super::criteria::{Criterion, Order};
use super::super::model::{Precondition, Search};
use super::{access, delete, draft, entry, keep, search, search_for, space};
use crate::db::Db;
use crate::db::testing::for_each_database;

/// Before each page but the first, a change around where the page before ended.
async fn change(db: &Db, round: usize) {
    let (date, status) = (space("Task", "date"), space("Task", "status"));
    let access = access();
    let entries = |date_is: &str| vec![entry(date, date_is), entry(status, "x")];
    let id = |prefix: &str| format!("{prefix}-{round}");
    // What comes new, at both ends of any order and in the middle.
    for (prefix, date_is) in [("first", "0"), ("middle", "50"), ("last", "99")] {
        keep(db, &access, vec![draft("Task", &id(prefix), 1, entries(date_is))], 1000).await;
    }
    // What goes, and what changes without moving.
    delete(db, &access, "Task", &format!("gone-{round}"), Precondition::None, 1000).await;
    let kept = format!("stays-{:02}", round * 7 % 40);
    keep(db, &access, vec![draft("Task", &kept, 2, entries(&format!("{:02}", round * 7 % 40 + 10)))], 1000)
        .await;
}

#[tokio::test]
async fn a_resource_that_stays_where_it_is_comes_once_however_others_move() {
    let date = || space("Task", "date");
    let is_x = super::is(space("Task", "status"), "x");
    let by_date = |descends| vec![(Order::Values(vec![vec![date()]]), descends)];
    let cases = [
        (Vec::new(), is_x.clone()),
        (Vec::new(), Criterion::All(Vec::new())),
        (by_date(false), is_x.clone()),
        (by_date(true), Criterion::All(Vec::new())),
        (vec![(Order::Id, true)], is_x),
    ];
    for (order, criterion) in cases {
        for_each_database(|db| {
            let (order, criterion) = (order.clone(), criterion.clone());
            async move {
                let entries = |n: usize| {
                    vec![entry(date(), &format!("{:02}", n + 10)), entry(space("Task", "status"), "x")]
                };
                let stays = (0..40).map(|n| draft("Task", &format!("stays-{n:02}"), 1, entries(n)));
                let goes = (0..20).map(|n| draft("Task", &format!("gone-{n}"), 1, entries(n * 2)));
                let drafts = stays.zip(goes.map(Some).chain(std::iter::repeat(None)));
                let drafts = drafts.flat_map(|(stays, goes)| [Some(stays), goes]).flatten().collect();
                keep(&db, &access(), drafts, 1).await;
                let mut wanted = Search { order, count: 5, ..search_for("Task", criterion) };
                let mut found = Vec::new();
                for round in 0.. {
                    let page = search(&db, &access(), &wanted).await.expect("a page");
                    found.extend(page.resources.into_iter().map(|resource| resource.id));
                    wanted.after = page.next;
                    // New ones at the end would make it endless.
                    if wanted.after.is_none() || round > 100 {
                        break;
                    }
                    if round < 20 {
                        change(&db, round).await;
                    }
                }
                let once: BTreeSet<_> = found.iter().collect();
                assert_eq!(once.len(), found.len(), "one came twice: {found:?}");
                for n in 0..40 {
                    assert!(once.contains(&format!("stays-{n:02}")), "{n} was lost");
                }
            }
        })
        .await;
    }
}
