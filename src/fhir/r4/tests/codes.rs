//! Derives `profiles/r4/codes.tsv` from the published ValueSets and CodeSystems.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use serde_json::Value;

use super::{assert_current, entries, text};
use crate::fhir::r4::{self, Binding};
use crate::fhir::testing;

/// Required value sets that nobody can list: their code systems are open or not published with R4.
const OPEN: [&str; 4] = [
    // Currencies (ISO 4217), media types (BCP 13), units (UCUM), kinds of genetic variant (LOINC).
    "http://hl7.org/fhir/ValueSet/currencies",
    "http://hl7.org/fhir/ValueSet/mimetypes",
    "http://hl7.org/fhir/ValueSet/ucum-units",
    "http://loinc.org/vs/LL379-9",
];

#[test]
fn the_table_of_codes_is_what_is_published() {
    let (Some(mut all), Some(more)) =
        (testing::r4_definitions("valuesets"), testing::r4_definitions("v3-codesystems"))
    else {
        return;
    };
    all.extend(more);
    let of_type = |name: &str| -> HashMap<&str, &Value> {
        let found = all.iter().filter(|resource| resource["resourceType"] == name);
        found.map(|resource| (text(resource, "url"), resource)).collect()
    };
    let (value_sets, code_systems) = (of_type("ValueSet"), of_type("CodeSystem"));
    let bound: BTreeSet<String> = r4::types()
        .iter()
        .flat_map(r4::Type::elements)
        .filter_map(|element| element.binding.as_ref().map(Binding::url))
        .collect();
    let mut derived =
        "# Value set, system, codes. Derived by a test; see src/fhir/r4/value_set.rs.\n".to_owned();
    let mut lines = BTreeMap::new();
    let mut open = Vec::new();
    for url in bound {
        match value_sets.get(url.as_str()).and_then(|set| codes(set, &code_systems)) {
            Some(systems) => {
                let name = url.strip_prefix("http://hl7.org/fhir/ValueSet/").unwrap_or(&url).to_owned();
                lines.insert(name, systems);
            }
            None => open.push(url),
        }
    }
    for (name, systems) in lines {
        for (system, codes) in systems {
            let codes: Vec<&str> = codes.into_iter().collect();
            assert!(codes.iter().all(|code| !code.is_empty() && !code.contains([' ', '\t'])), "{name}");
            let _ = writeln!(derived, "{name}\t{system}\t{}", codes.join(" "));
        }
    }
    assert_current("codes.tsv", &derived);
    assert_eq!(open, OPEN);
}

type Systems<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// The codes of a value set by system; `None` if one of its systems is not published.
fn codes<'a>(set: &'a Value, code_systems: &HashMap<&'a str, &'a Value>) -> Option<Systems<'a>> {
    let compose = &set["compose"];
    // No value set that R4 demands needs more; a new one that does must be noticed.
    assert!(entries(compose, "exclude").is_empty(), "{}", set["url"]);
    let mut systems = Systems::new();
    for include in entries(compose, "include") {
        assert!(include.get("filter").is_none() && include.get("valueSet").is_none(), "{}", set["url"]);
        let system = text(include, "system");
        let codes = systems.entry(system).or_default();
        let listed = entries(include, "concept");
        if listed.is_empty() {
            collect(entries(code_systems.get(system)?, "concept"), codes);
        } else {
            codes.extend(listed.iter().map(|concept| text(concept, "code")));
        }
    }
    Some(systems)
}

/// The codes of concepts and of those below them.
fn collect<'a>(concepts: &'a [Value], codes: &mut BTreeSet<&'a str>) {
    for concept in concepts {
        codes.insert(text(concept, "code"));
        collect(entries(concept, "concept"), codes);
    }
}
