//! Whatever is stored and whatever is asked, the index and the criteria find what reading every resource finds.

use proptest::prelude::*;

use super::criteria;
use super::entry::Space;
use super::memory::{self, Row};
use super::naive;
use super::testing::{BASE, Sample, now, samples, searches};
use crate::fhir::search::{Compartment, Query, Scope};

const TENANT: &str = "tenant";

fn rows(samples: &[Sample]) -> Vec<Row> {
    let row = |sample: &Sample| {
        let address = (sample.resource_type, &*sample.id);
        Row::new(TENANT, address, sample.last_updated, &sample.resource, BASE)
    };
    samples.iter().map(row).collect()
}

fn found(query: &Query, samples: &[Sample]) -> Vec<usize> {
    let types: Vec<_> = query.types.iter().map(|name| Space::of_type(TENANT, name)).collect();
    let criterion = criteria::of(query, TENANT, now());
    memory::search(&rows(samples), &types, &criterion, &criteria::order(query, TENANT))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_iters: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_reading_every_resource_finds((name, parameters) in searches(), samples in samples()) {
        let query = Query::parse(Scope::Type(name), &parameters, BASE, true);
        let query = query.map_err(|issues| TestCaseError::fail(format!("{issues:?}")))?;
        prop_assert_eq!(found(&query, &samples), naive::search(&query, &samples));
    }

    #[test]
    fn a_compartment_holds_what_refers_to_its_patient(
        (name, parameters) in searches(),
        samples in samples(),
        is_whole: bool,
    ) {
        let scope = Scope::Compartment(Compartment { patient: "a".to_owned() }, Some(name).filter(|_| !is_whole));
        // Not every type is in a compartment, nor does every type have the parameter.
        if let Ok(query) = Query::parse(scope, &parameters, BASE, false) {
            prop_assert_eq!(found(&query, &samples), naive::search(&query, &samples));
        }
    }
}
