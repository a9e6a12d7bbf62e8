//! The tables are what the published definitions say, and the model is what the tables say.

mod codes;
mod elements;
mod model;

use std::path::Path;

use serde_json::Value;

use crate::fhir::testing;

/// Compares a derived table with the file of that name in `profiles/r4`, or writes it there when
/// `CDEX_REWRITE_TABLES` says so.
fn assert_current(name: &str, derived: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/r4").join(name);
    if testing::variable("CDEX_REWRITE_TABLES").is_some() {
        std::fs::write(&path, derived).expect("the table can be written");
        return;
    }
    let current = std::fs::read_to_string(&path).expect("the table is a file of the project");
    let difference = current.lines().zip(derived.lines()).position(|(current, derived)| current != derived);
    assert!(
        current == derived,
        "{name} is out of date from line {difference:?} on: set CDEX_REWRITE_TABLES=1"
    );
}

/// The StructureDefinitions of R4's resources and datatypes; profiles, primitives and logical models are left out.
fn structure_definitions() -> Option<Vec<Value>> {
    let mut all = testing::r4_definitions("profiles-resources")?;
    all.extend(testing::r4_definitions("profiles-types")?);
    all.retain(|found| {
        found["resourceType"] == "StructureDefinition"
            && found["derivation"] != "constraint"
            && matches!(found["kind"].as_str(), Some("resource" | "complex-type"))
    });
    Some(all)
}

/// An array of a definition, empty where it is absent.
fn entries<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The last part of a canonical URL, without the version.
fn last_part(url: &str) -> &str {
    let url = url.split('|').next().unwrap_or_default();
    url.rsplit('/').next().unwrap_or_default()
}
