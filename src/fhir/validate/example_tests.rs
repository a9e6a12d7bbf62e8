//! The published examples of CDex: each keeps the profiles that it claims, as `cdex.md` 6.11 has it.

use serde_json::Value;

use super::{Surroundings, keeps_within, validate};
use crate::fhir::testing::{published, published_names};
use crate::fhir::{Profiles, Severity};

#[test]
fn the_published_examples_keep_the_profiles_that_they_claim() {
    let profiles = Profiles::built_in().expect("the built-in rules");
    let (mut claims, mut broken) = (0, Vec::new());
    for name in published_names("cdex/examples") {
        let Some(resource) = published(&format!("cdex/examples/{name}")) else { return };
        for profile in profiles.of(&resource) {
            claims += 1;
            broken.extend(
                validate(&resource, &profile.url, &profiles).into_iter().map(|issue| (name.clone(), issue)),
            );
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(claims == 0 || claims > 35, "{claims} claims of profiles were looked at");
}

#[test]
fn an_electronic_signature_is_no_digital_one() {
    let profiles = Profiles::built_in().expect("the built-in rules");
    let url = "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-digital-signature";
    for (name, is_digital) in
        [("cdex-searchbundle-digital-sig-example", true), ("cdex-electronic-sig-example", false)]
    {
        let Some(bundle) = published(&format!("cdex/examples/{name}.json")) else { return };
        let is_kept = keeps_within(&bundle["signature"], url, &profiles, Surroundings::of(&bundle));
        assert_eq!(is_kept, is_digital, "{name}");
    }
}

#[test]
fn a_cdex_request_does_not_pass_for_one_of_hrex() {
    let Some(task) = published("cdex/examples/cdex-task-example1.json") else { return };
    let profiles = Profiles::built_in().expect("the built-in rules");
    let hrex = "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-task-data-request";
    let issues = validate(&task, hrex, &profiles);
    let found: Vec<_> = issues.iter().map(|issue| (issue.severity, issue.expression.as_deref())).collect();
    assert_eq!(found, [(Severity::Error, Some("Task.code"))]);
    assert_eq!(profiles.of(&Value::Null).len(), 0);
}
