//! What the fuzz target of searches in `tests/fuzz` calls. It is compiled for it only (`cfg(fuzzing)`).

use super::criteria;
use crate::clock::Timestamp;
use crate::fhir::search::{Compartment, Query, Scope};

/// Reads a search, `name=value` separated by `&`, at each of the places that have one; what is read must be something
/// that the index can be asked. Nothing that was sent may turn up in an issue.
pub fn search_query(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    };
    let parameters: Vec<_> = text.split('&').map(pair).collect();
    let patient = || Compartment { patient: "p".to_owned() };
    let scopes = [
        Scope::Type("Observation"),
        Scope::Type("DocumentReference"),
        Scope::System,
        Scope::Compartment(patient(), Some("Task")),
        Scope::Compartment(patient(), None),
    ];
    for scope in scopes {
        for strict in [true, false] {
            match Query::parse(scope.clone(), &parameters, "https://gateway.test/fhir", strict) {
                Ok(query) => {
                    assert!(!strict || query.ignored.is_empty());
                    criteria::of(&query, "tenant", Timestamp::from_nanos(0));
                    criteria::order(&query, "tenant");
                }
                Err(issues) => {
                    assert!(!issues.is_empty() && issues.iter().all(|issue| issue.text.is_ascii()))
                }
            }
        }
    }
}
