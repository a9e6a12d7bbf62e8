//! Whatever is stored and whatever is asked, the databases find what reading every resource finds.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::super::testing::{BASE, Sample, now, samples, searches};
use super::super::{criteria, index, naive};
use super::*;
use crate::db::testing::for_each_database;
use crate::fhir::search::{Query, Scope};

/// Sets of resources, each in a tenant of its own.
const SETS: usize = 12;
/// Searches in each set.
const SEARCHES: usize = 60;

fn one<S: Strategy>(runner: &mut TestRunner, strategy: &S) -> S::Value {
    strategy.new_tree(runner).expect("a value").current()
}

/// Keeps the resources in their order, each at its own time.
async fn fill(db: &Db, access: &Access, samples: &[Sample]) {
    for sample in samples {
        let Sample { resource_type, id, last_updated, resource } = sample.clone();
        let entries = index::entries(access.tenant(), resource_type, &resource, BASE);
        let draft = Draft {
            resource_type,
            id,
            text: resource.to_string().into(),
            entries,
            bytes: None,
            errands: Vec::new(),
        };
        let state = (access.clone(), vec![(draft, Precondition::None)], last_updated);
        let kept: Vec<Kept> = super::write!(db, state, |(access, drafts, at), tx| {
            super::super::keep(tx, access, drafts, true, *at)
        });
        assert!(matches!(kept.as_slice(), [Kept::Created(_)]), "{kept:?}");
    }
}

async fn found(db: &Db, access: &Access, query: &Query, samples: &[Sample]) -> Vec<usize> {
    let tenant = access.tenant();
    let search = Search {
        types: query.types.iter().map(|name| Space::of_type(tenant, name)).collect(),
        criterion: criteria::of(query, tenant, now()),
        order: criteria::order(query, tenant),
        count: 1_000,
        after: None,
        count_to: 0,
    };
    let mut reader = db.reader().await.expect("a reader");
    let page = super::super::search(&mut reader.tx(), access, &search).await.expect("a page");
    let place = |resource: &StoredResource| {
        let is_it = |sample: &Sample| {
            (sample.resource_type, &*sample.id) == (&*resource.resource_type, &*resource.id)
        };
        samples.iter().position(is_it).expect("what is found was stored")
    };
    page.resources.iter().map(place).collect()
}

#[tokio::test]
async fn a_search_finds_on_both_databases_what_reading_every_resource_finds() {
    for_each_database(|db| async move {
        let mut runner = TestRunner::deterministic();
        for set in 0..SETS {
            let samples = one(&mut runner, &samples());
            let access = Access::of_owner(&format!("tenant-{set}"), "owner");
            fill(&db, &access, &samples).await;
            for _ in 0..SEARCHES {
                let (name, parameters) = one(&mut runner, &searches());
                let query = Query::parse(Scope::Type(name), &parameters, BASE, true);
                let query = query.unwrap_or_else(|issues| panic!("{parameters:?}: {issues:?}"));
                let expected = naive::search(&query, &samples);
                assert_eq!(
                    found(&db, &access, &query, &samples).await,
                    expected,
                    "{name} {parameters:?} in {samples:?}"
                );
            }
        }
    })
    .await;
}
