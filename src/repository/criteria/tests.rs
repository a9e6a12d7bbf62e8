//! What queries ask.

use super::{Criterion, of};
use crate::auth::DEFAULT_TENANT;
use crate::clock::Timestamp;
use crate::fhir::search::{Compartment, Query, Scope};

#[test]
fn each_type_of_a_compartment_is_asked_in_its_own_ways_alone() {
    let scope = Scope::Compartment(Compartment { patient: "p".to_owned() }, None);
    let query = Query::parse(scope, &[], "http://h/fhir", true).expect("it is right");
    let Criterion::Any(ways) = of(&query, DEFAULT_TENANT, Timestamp::from_nanos(0)) else {
        panic!("one alternative for each type");
    };
    assert_eq!(ways.len(), query.types.len());
    for way in ways {
        let is_of_a_type = matches!(&way, Criterion::All(parts) if matches!(parts[0], Criterion::Type(_)));
        assert!(is_of_a_type, "{way:?}");
    }
}
