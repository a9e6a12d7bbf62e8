//! How the databases run the statements: every table is reached through an index, and what is walked in an order is
//! not sorted first. Asserted on a filled database, because what is small is rightly scanned.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::criteria::{self, Criterion, EntryTest, Order};
use super::super::entry::Entry;
use super::super::model::{Draft, History, HistoryOf, Position, Search};
use super::super::query::{self, Source, Sql};
use super::super::store::{self, Way};
use super::{access, at, draft, entry, is, keep, kind, search_for, space};
use crate::clock::Timestamp;
use crate::db::testing::for_each_database;
use crate::db::{Db, Dialect, Tx, on_db};

/// DocumentReferences of PATIENTS patients, in each half of them one status and one type.
const DOCUMENTS: usize = 12_000;
const PATIENTS: usize = 400;

fn documents(name: &str) -> super::Space {
    space("DocumentReference", name)
}

fn document(n: usize) -> Draft {
    let date = |n: usize| u64::try_from(n).unwrap_or(0).to_be_bytes().to_vec();
    let entries = vec![
        entry(documents("identifier"), &format!("{n}\0urn:documents")),
        entry(documents("patient"), &format!("Patient/p{}", n % PATIENTS)),
        entry(documents("status"), "current"),
        entry(
            documents("type"),
            if n.is_multiple_of(2) { "34133-9\0http://loinc.org" } else { "11506-3\0http://loinc.org" },
        ),
        Entry { space: documents("date"), value: date(n), extra: Some(date(n + 1)) },
    ];
    draft("DocumentReference", &format!("d{n}"), 1, entries)
}

fn patient(n: usize) -> Draft {
    let space = |code| space("Patient", code);
    let entries = vec![
        entry(space("identifier"), &format!("{n}\0urn:members")),
        entry(space("gender"), ["female", "male"][n % 2]),
    ];
    draft("Patient", &format!("p{n}"), 1, entries)
}

async fn fill(db: &Db) {
    keep(db, &access(), (0..PATIENTS).map(patient).collect(), 1).await;
    for part in 0..10 {
        let of = DOCUMENTS / 10;
        let drafts = (part * of..(part + 1) * of).map(document).collect();
        keep(db, &access(), drafts, i64::try_from(part).expect("small")).await;
    }
    if db.dialect() == Dialect::Postgres {
        let mut reader = db.reader().await.expect("a reader");
        on_db!(&mut reader.tx(), conn => sqlx::raw_sql("ANALYZE").execute(conn).await.map(drop))
            .expect("statistics");
    }
}

/// The indexes that pass all resources of a type.
const WALKS: [&str; 3] = ["resource_by_kind", "resource_by_time", "resource_deleted_by_time"];

/// What a plan does that it should not: scan a table, or pass all resources of a type unless it `walks`.
fn complaints(dialect: Dialect, plan: &[String], walks: bool) -> Vec<String> {
    match dialect {
        Dialect::Sqlite => plan
            .iter()
            .filter(|step| {
                // Entries and resources are named `e1`, `r2`; the rest are results on the way.
                let is_table = step.strip_prefix("SCAN ").is_some_and(|of| {
                    of.starts_with(['r', 'e']) && of[1..].starts_with(|c: char| c.is_ascii_digit())
                });
                let is_walk = WALKS.iter().any(|index| step.contains(&format!("{index} (kind=?)")));
                is_table || (is_walk && !walks)
            })
            .cloned()
            .collect(),
        Dialect::Postgres => {
            let plan: Value = serde_json::from_str(&plan.concat()).expect("a plan");
            let mut found = Vec::new();
            nodes(&plan[0]["Plan"], &mut |node| {
                let name = node["Node Type"].as_str().unwrap_or_default();
                let index = node["Index Name"].as_str().unwrap_or_default();
                let is_walk =
                    WALKS.contains(&index) && !node["Index Cond"].to_string().contains("last_updated");
                if name == "Seq Scan" || (is_walk && !walks) {
                    found.push(node.to_string());
                }
            });
            found
        }
    }
}

fn nodes(node: &Value, each: &mut dyn FnMut(&Value)) {
    each(node);
    for below in node["Plans"].as_array().into_iter().flatten() {
        nodes(below, each);
    }
}

async fn assert_uses_indexes(tx: &mut Tx<'_>, what: &str, sql: &Sql, walks: bool) {
    let plan = store::explain(tx, sql).await;
    let complaints = complaints(tx.dialect(), &plan, walks);
    assert!(complaints.is_empty(), "{what}\n{}\n{complaints:#?}\n{plan:#?}", sql.text());
}

/// A search, how it is to be answered, and where its resources are to come from.
type Case = (&'static str, Search, Way, Source);

fn cases() -> Vec<Case> {
    let of =
        |conjuncts| Search { count_to: 1000, ..search_for("DocumentReference", Criterion::All(conjuncts)) };
    let sorted = |search, order| Search { order, ..search };
    let by_date = || vec![(Order::Values(vec![vec![documents("date")]]), true)];
    let of_patient = || is(documents("patient"), "Patient/p7");
    let of_type = || is(documents("type"), "34133-9\0http://loinc.org");
    let current = || is(documents("status"), "current");
    let since = |millis| Criterion::LastUpdated(Some(at(millis)), None);
    let chain = |code, value| {
        let target = ("Patient", kind("Patient"), is(space("Patient", code), value));
        Criterion::Leads(documents("patient"), vec![target])
    };
    let range = EntryTest {
        value: criteria::Bytes::Range(
            Some(5_u64.to_be_bytes().to_vec()),
            Some(50_u64.to_be_bytes().to_vec()),
        ),
        extra: criteria::Bytes::Any,
    };
    let date_in_range = Criterion::Has(documents("date"), vec![range]);
    let has = Criterion::Referred {
        from: documents("patient"),
        source: kind("DocumentReference"),
        criterion: Box::new(is(documents("identifier"), "17\0urn:documents")),
    };
    vec![
        (
            "patient, type, by date",
            sorted(of(vec![of_patient(), of_type()]), by_date()),
            Way::Gathered,
            Source::Set(0),
        ),
        ("type, patient", of(vec![of_type(), of_patient()]), Way::Gathered, Source::Set(1)),
        ("id", of(vec![Criterion::Id(vec!["d5".to_owned()])]), Way::Gathered, Source::Set(0)),
        (
            "identifier",
            of(vec![is(documents("identifier"), "5\0urn:documents")]),
            Way::Walked,
            Source::Value(0),
        ),
        ("status", of(vec![current()]), Way::Walked, Source::Value(0)),
        ("status, date", of(vec![current(), date_in_range]), Way::Gathered, Source::Set(1)),
        ("status, by date", sorted(of(vec![current()]), by_date()), Way::Sorted, Source::Value(0)),
        ("by date", sorted(of(vec![]), by_date()), Way::Sorted, Source::Kind),
        ("newest first", sorted(of(vec![]), vec![(Order::LastUpdated, true)]), Way::Sorted, Source::Kind),
        ("by id", sorted(of(vec![]), vec![(Order::Id, false)]), Way::Sorted, Source::Kind),
        ("changed since", of(vec![since(100)]), Way::Gathered, Source::Set(0)),
        // What polling asks for: the few that have changed, of a party that all have.
        ("changed since, of a status", of(vec![current(), since(9)]), Way::Gathered, Source::Set(1)),
        (
            "changed since long ago, oldest first",
            sorted(of(vec![since(0)]), vec![(Order::LastUpdated, false)]),
            Way::Sorted,
            Source::Kind,
        ),
        ("nothing", of(vec![]), Way::Walked, Source::Kind),
        ("chain", of(vec![chain("identifier", "7\0urn:members")]), Way::Gathered, Source::Set(0)),
        ("wide chain", of(vec![chain("gender", "male")]), Way::Gathered, Source::Set(0)),
        (
            "status, chain",
            of(vec![current(), chain("identifier", "7\0urn:members")]),
            Way::Gathered,
            Source::Set(1),
        ),
        ("_has", search_for("Patient", has), Way::Gathered, Source::Set(0)),
        ("not", of(vec![Criterion::Not(Box::new(of_type()))]), Way::Walked, Source::Kind),
        (
            "missing",
            of(vec![Criterion::Not(Box::new(Criterion::Has(documents("date"), vec![])))]),
            Way::Walked,
            Source::Kind,
        ),
    ]
}

fn position(order: &[(Order, bool)]) -> Position {
    let value = |(order, _): &(Order, bool)| match order {
        Order::Id => Some(b"d500".to_vec()),
        Order::LastUpdated => Some(at(5).as_nanos().to_be_bytes().to_vec()),
        Order::Values(_) => Some(6000_u64.to_be_bytes().to_vec()),
    };
    Position { values: order.iter().map(value).collect(), key: 6000 }
}

#[tokio::test]
async fn every_search_goes_through_indexes_and_by_the_plan_that_suits_it() {
    for_each_database(|db| async move {
        fill(&db).await;
        let mut reader = db.reader().await.expect("a reader");
        let mut tx = reader.tx();
        for (what, search, way, source) in cases() {
            let plan = store::plan(&mut tx, &access(), &search).await.expect("a plan");
            assert_eq!((plan.way, plan.branches[0].1), (way, source), "{what}");
            for after in [None, Some(position(&search.order))] {
                let search = Search { after, ..search.clone() };
                let pages = store::pages(tx.dialect(), &access(), &search, &plan);
                let walks = plan.way != Way::Gathered;
                for sql in &pages {
                    assert_uses_indexes(&mut tx, what, sql, walks).await;
                }
                let sources: Vec<_> =
                    plan.branches.iter().map(|(branch, source)| (branch, *source)).collect();
                let count = query::count(tx.dialect(), &access(), &sources, Some(1000));
                assert_uses_indexes(&mut tx, what, &count, walks).await;
            }
        }
    })
    .await;
}

/// Polling costs by what has changed and not by what is stored, also where both are more than is counted at first.
#[tokio::test]
async fn what_has_changed_is_taken_by_its_time_however_many_have_the_value() {
    for_each_database(|db| async move {
        fill(&db).await;
        let mut reader = db.reader().await.expect("a reader");
        let mut tx = reader.tx();
        let of_status = is(documents("status"), "current");
        let since = Criterion::LastUpdated(Some(at(1)), None);
        let search = search_for("DocumentReference", Criterion::All(vec![of_status, since]));
        let plan = store::plan(&mut tx, &access(), &search).await.expect("a plan");
        assert_eq!((plan.way, plan.branches[0].1), (Way::Gathered, Source::Set(1)));
    })
    .await;
}

#[tokio::test]
async fn histories_and_what_comes_along_go_through_indexes() {
    for_each_database(|db| async move {
        fill(&db).await;
        for _ in 0..3 {
            keep(&db, &access(), (0..1000).map(document).collect(), 50).await;
        }
        let mut reader = db.reader().await.expect("a reader");
        let mut tx = reader.tx();
        let dialect = tx.dialect();
        let instance = HistoryOf::Instance { resource_type: "DocumentReference", id: "d5".to_owned() };
        for of in [instance, HistoryOf::Type("DocumentReference")] {
            let stretch: (Timestamp, Timestamp) = (at(1), at(100));
            let pages = [(None, None, None), (Some(at(1)), Some(stretch), Some((at(51), 2000, 2)))];
            for (since, at, after) in pages {
                let walks = matches!(of, HistoryOf::Type(_));
                let history = History { of: of.clone(), since, at, count: 10, after };
                let sql = store::history_page(Sql::new(dialect), &access(), &history);
                assert_uses_indexes(&mut tx, "history", &sql, walks).await;
            }
        }
        let (keys, spaces) = ((1..20).collect::<Vec<i64>>(), [documents("patient"), documents("author")]);
        let sql = store::references(Sql::new(dialect), &keys, &spaces);
        assert_uses_indexes(&mut tx, "values of references", &sql, false).await;
        let names: Vec<String> = (0..20).map(|n| format!("p{n}")).collect();
        let wanted = BTreeMap::from([
            (kind("Patient").as_i64(), names),
            (kind("Group").as_i64(), vec!["g".to_owned()]),
        ]);
        let sql = store::resources(Sql::new(dialect), &access(), &keys, &wanted, 100);
        assert_uses_indexes(&mut tx, "include", &sql, false).await;
        let references: Vec<String> = (0..20).map(|n| format!("Patient/p{n}")).collect();
        let sql = store::referring_resources(Sql::new(dialect), &access(), &references, &spaces, 100);
        assert_uses_indexes(&mut tx, "reverse include", &sql, false).await;
    })
    .await;
}
