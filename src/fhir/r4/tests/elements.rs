//! Derives `profiles/r4/elements.tsv` from the published StructureDefinitions.
//!
//! The published collection holds more than R4: elements of later releases and of a vendor stand among those of 4.0.1.
//! fhirbolt's tables, made from 4.0.1 as well, decide: what they do not know is left out, and what they know alone is
//! in [`MISSING`].

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use fhirbolt::FhirReleases;
use fhirbolt_shared::path::ElementPath;
use serde_json::Value;

use super::{assert_current, entries, last_part, structure_definitions, text};

/// Elements of 4.0.1 in whose place the collection has those of a later release (FHIR R4, EvidenceVariable).
const MISSING: &str = "\
EvidenceVariable.characteristic.definition[x]\t1..1\ts\t\
Reference(Group)|canonical(ActivityDefinition)|CodeableConcept|Expression|DataRequirement|TriggerDefinition\t
EvidenceVariable.characteristic.groupMeasure\t0..1\t\tcode\tgroup-measure
EvidenceVariable.characteristic.participantEffective[x]\t0..1\t\tdateTime|Period|Duration|Timing\t
EvidenceVariable.characteristic.timeFromStart\t0..1\t\tDuration\t
EvidenceVariable.characteristic.usageContext\t0..*\t\tUsageContext\t
";

/// What the collection has for [`MISSING`]: their names, one by one, which fhirbolt knows too.
const REPLACED: &str = "EvidenceVariable.characteristic.definition";

#[test]
fn the_table_of_elements_is_what_is_published() {
    let Some(definitions) = structure_definitions() else { return };
    let facts: HashMap<&str, String> = definitions
        .iter()
        .flat_map(|definition| entries(&definition["snapshot"], "element"))
        .map(|element| (text(element, "path"), columns(element)))
        .collect();
    let mut types: BTreeMap<&str, String> = BTreeMap::new();
    for definition in &definitions {
        let name = text(definition, "name");
        if !is_r4(name) {
            continue;
        }
        let flag = if definition["abstract"] == true { "a" } else { "" };
        let base = last_part(text(definition, "baseDefinition"));
        let mut lines = format!("{name}\t\t{flag}\t{base}\t\n");
        for element in &entries(&definition["snapshot"], "element")[1..] {
            let path = text(element, "path");
            let own = &facts[path];
            let (ancestor, _) = text(&element["base"], "path").split_once('.').unwrap_or_default();
            let inherited = facts.get(text(&element["base"], "path")).filter(|_| ancestor != name);
            // A type repeats what it inherits.
            if inherited != Some(own) && is_r4(path) && !path.starts_with(REPLACED) {
                let _ = writeln!(lines, "{path}\t{own}");
            }
        }
        if name == "EvidenceVariable" {
            lines.push_str(MISSING);
        }
        types.insert(name, lines);
    }
    let header = "# FHIR R4 (4.0.1): path, cardinality, flags, types, required value set. Derived by a test; see src/fhir/r4/table.rs.\n";
    let derived = types.values().fold(header.to_owned(), |all, lines| all + lines);
    assert_current("elements.tsv", &derived);
}

/// Cardinality, flags, types and binding of an element, as in the table.
fn columns(element: &Value) -> String {
    let mut line = format!("{}..{}\t", element["min"], text(element, "max"));
    if element["isSummary"] == true {
        line.push('s');
    }
    if element["isModifier"] == true {
        line.push('m');
    }
    line.push('\t');
    if let Some(other) = element["contentReference"].as_str() {
        line.push_str(other);
    } else {
        let types: Vec<String> =
            entries(element, "type").iter().map(|of_type| type_of(element, of_type)).collect();
        line.push_str(&types.join("|"));
    }
    line.push('\t');
    if element["binding"]["strength"] == "required" {
        let url = text(&element["binding"], "valueSet").split('|').next().unwrap_or_default();
        line.push_str(url.strip_prefix("http://hl7.org/fhir/ValueSet/").unwrap_or(url));
    }
    line
}

fn type_of(element: &Value, of_type: &Value) -> String {
    let code = text(of_type, "code");
    if code.starts_with("http://hl7.org/fhirpath/") {
        // The three attributes of XML. That `Resource.id` is an `id` is said in prose only (FHIR R4, Resource, id).
        let name = match (text(&element["base"], "path"), text(element, "path")) {
            ("Resource.id", _) => "id",
            (_, "Extension.url") => "uri",
            _ => "string",
        };
        return name.to_owned();
    }
    let of: Vec<&str> = ["targetProfile", "profile"]
        .into_iter()
        .flat_map(|name| entries(of_type, name))
        .map(|url| last_part(url.as_str().unwrap_or_default()))
        .filter(|target| *target != "Resource")
        .collect();
    if of.is_empty() { code.to_owned() } else { format!("{code}({})", of.join(",")) }
}

/// Whether fhirbolt's tables of 4.0.1 know the type or element of this path.
fn is_r4(path: &str) -> bool {
    let mut parts = path.split('.').peekable();
    let mut place = ElementPath::new(FhirReleases::R4);
    // Of abstract types they have none.
    if matches!(parts.peek(), Some(&("Resource" | "DomainResource" | "Element" | "BackboneElement"))) {
        return true;
    }
    place.push(parts.next().unwrap_or_default());
    if place.children().is_none() {
        return false;
    }
    for part in parts {
        let Some(children) = place.children() else { return false };
        let choice = part.strip_suffix("[x]");
        let is_it = |name: &str| choice.map_or(name == part, |choice| name.starts_with(choice));
        let known = children.iter().find(|name| is_it(name));
        let Some(known) = known else { return false };
        place.push(known);
    }
    true
}
