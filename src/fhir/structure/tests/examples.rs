//! The published examples of R4 and CDex: what is right in them is accepted, and what is wrong in them is known.

use super::{Mode, PUBLISHED, check};
use crate::fhir::Severity;

/// The published examples that break rules of R4, with the only issues that they may have: the end of a path, the
/// start of a text.
const WRONG: [(&str, &[(&str, &str)]); 4] = [
    // Generated, one for each resource type and vital sign: their items of type display have no linkId, others have the
    // same one twice, and some groups are empty.
    ("-questionnaire.json", &[(".linkId", "The element is required"), ("R", "que-2:"), ("]", "que-1:")]),
    // DeviceMetric.parent is a Device, not a DeviceDefinition.
    ("devicemetric-example.json", &[("R.parent.reference", "The reference points to a type")]),
    // DeviceUseStatement.reasonReference is none of a Procedure.
    (
        "deviceusestatement-example.json",
        &[("R.reasonReference[0].reference", "The reference points to a type")],
    ),
    // Observation.performer is no Encounter.
    (
        "observation-example-clinical-gender.json",
        &[("R.performer[0].reference", "The reference points to a type")],
    ),
];

#[test]
fn every_published_example_passes_but_those_known_to_be_wrong() {
    let mut refused = Vec::new();
    for (name, resource) in PUBLISHED.iter() {
        let known = WRONG.iter().filter(|(wrong, _)| name.ends_with(wrong)).flat_map(|(_, issues)| *issues);
        for issue in check(resource, "R", Mode::Strict) {
            let path = issue.expression.unwrap_or_default();
            if !known.clone().any(|(end, start)| path.ends_with(end) && issue.text.starts_with(start)) {
                refused.push(format!("{name}: {path} {}", issue.text));
            }
        }
    }
    assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n"));
}

#[test]
fn what_is_known_to_be_wrong_is_found_and_is_no_error_where_partners_are_lenient() {
    let wrong = |name: &str| WRONG.iter().any(|(wrong, _)| name.ends_with(wrong));
    for (name, resource) in PUBLISHED.iter().filter(|(name, _)| wrong(name)) {
        assert!(!check(resource, "R", Mode::Strict).is_empty(), "{name}");
        let lenient = check(resource, "R", Mode::Lenient);
        assert!(lenient.iter().all(|issue| issue.severity == Severity::Warning), "{name}");
        assert_eq!(check(resource, "R", Mode::Shape), [], "{name}");
    }
}
