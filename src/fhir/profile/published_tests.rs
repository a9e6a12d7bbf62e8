//! Our rule files against the published definitions: element by element, and code by code. What is only explained
//! there is left out here; what is ruled otherwise is listed with its reason.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{BUILT_IN, Profiles, without_version};
use crate::fhir::testing::published;

/// Each published definition of which we have rules.
const PUBLISHED: [&str; 9] = [
    "structuredefinition-cdex-digital-signature",
    "structuredefinition-cdex-parameters-submit-attachment",
    "structuredefinition-cdex-patient-demographics",
    "structuredefinition-cdex-practitionerrole",
    "structuredefinition-cdex-sdc-questionnaireresponse",
    "structuredefinition-cdex-signature-bundle",
    "structuredefinition-cdex-task-attachment-request",
    "structuredefinition-cdex-task-data-request",
    "hrex-structuredefinition-task-data-request",
];

/// Elements that we rule otherwise than published.
const DEVIATIONS: [(&str, &[&str]); 3] = [
    // A payer's code is looked for in the value, which is what the binding means (cdex.md 10, 14).
    (
        "structuredefinition-cdex-task-attachment-request",
        &["Task.input:AttachmentsNeeded", "Task.input:AttachmentsNeeded.value[x]"],
    ),
    // Extensions beside the line number are tolerated (cdex.md 10, 15): they belong to no slice.
    (
        "structuredefinition-cdex-task-attachment-request",
        &[
            "Task.input:AttachmentsNeeded.extension",
            "Task.input:AttachmentsNeeded.extension.url",
            "Task.input:AttachmentsNeeded.extension.value[x]",
            "Task.input:AttachmentsNeeded.extension:lineNumber",
            "Task.input:AttachmentsNeeded.extension:lineNumber.url",
            "Task.input:AttachmentsNeeded.extension:lineNumber.value[x]",
            "Task.input:QuestionnaireContext.extension",
            "Task.input:QuestionnaireContext.extension.url",
            "Task.input:QuestionnaireContext.extension.value[x]",
            "Task.input:QuestionnaireContext.extension:lineNumber",
            "Task.input:QuestionnaireContext.extension:lineNumber.url",
            "Task.input:QuestionnaireContext.extension:lineNumber.value[x]",
        ],
    ),
    // The published slices have their URL from SDC, of which we have no file.
    (
        "structuredefinition-cdex-sdc-questionnaireresponse",
        &["QuestionnaireResponse.extension:signature", "QuestionnaireResponse.item.extension:ItemSignature"],
    ),
];

fn is_deviation(definition: &str, id: &str) -> bool {
    DEVIATIONS.iter().any(|(of, ids)| *of == definition && ids.contains(&id))
}

fn definition(name: &str) -> Option<Value> {
    published(&format!("cdex/definitions/{name}.json"))
}

fn built_in(resource_type: &str, url: &Value) -> Value {
    let files = BUILT_IN.iter().map(|(_, text)| serde_json::from_str::<Value>(text).expect("JSON"));
    let ours = files.into_iter().find(|json| json["url"] == *url && json["resourceType"] == resource_type);
    ours.unwrap_or_else(|| panic!("no rule file for {url}"))
}

/// URLs without their versions, each once: one version of each rule is in force.
fn unversioned(urls: &Value) -> BTreeSet<String> {
    let urls = urls.as_array().into_iter().flatten().filter_map(Value::as_str);
    urls.map(|url| without_version(url).to_owned()).collect()
}

/// What an element rules, by key; everything that only explains is left out.
fn rules(structure: &Value) -> BTreeMap<String, BTreeMap<String, Value>> {
    let elements = structure["differential"]["element"].as_array().expect("a differential");
    let mut all = BTreeMap::new();
    for element in elements {
        let mut rules = BTreeMap::new();
        for (key, value) in element.as_object().expect("an element") {
            let rule = match key.as_str() {
                "min" | "max" | "sliceName" => value.clone(),
                "type" => types(value),
                "slicing" => json!([value["discriminator"], value["rules"]]),
                "binding" => binding(value),
                "constraint" => {
                    let constraints = value.as_array().expect("constraints").iter();
                    constraints.map(|constraint| json!([constraint["key"], constraint["severity"]])).collect()
                }
                _ if key.starts_with("fixed") || key.starts_with("pattern") => value.clone(),
                _ => continue,
            };
            rules.insert(key.clone(), rule);
        }
        if !rules.is_empty() {
            all.insert(element["id"].as_str().expect("an id").to_owned(), rules);
        }
    }
    all
}

fn types(types: &Value) -> Value {
    let types = types.as_array().expect("types").iter();
    types
        .map(|kind| {
            let urls = ["profile", "targetProfile"].map(|key| unversioned(&kind[key]));
            json!([kind["code"], urls, kind["aggregation"]])
        })
        .collect()
}

fn binding(binding: &Value) -> Value {
    let additional = binding.pointer("/extension/0/extension").and_then(Value::as_array);
    let value_set = additional.into_iter().flatten().find(|part| part["url"] == "valueSet");
    let url = without_version(binding["valueSet"].as_str().expect("a value set"));
    json!([binding["strength"], url, value_set.map(|part| &part["valueCanonical"])])
}

#[test]
fn our_profiles_rule_element_by_element_what_the_published_ones_do() {
    for name in PUBLISHED {
        let Some(published) = definition(name) else { return };
        let ours = built_in("StructureDefinition", &published["url"]);
        assert_eq!(ours["type"], published["type"]);
        assert_eq!(
            without_version(ours["baseDefinition"].as_str().expect("a base")),
            without_version(published["baseDefinition"].as_str().expect("a base")),
        );
        let (ours, published) = (rules(&ours), rules(&published));
        let ids: BTreeSet<&String> = ours.keys().chain(published.keys()).collect();
        for id in ids.into_iter().filter(|id| !is_deviation(name, id)) {
            assert_eq!(ours.get(id), published.get(id), "{name}: {id}");
        }
    }
}

#[test]
fn every_deviation_is_one() {
    for (name, ids) in DEVIATIONS {
        let Some(published) = definition(name) else { return };
        let ours = rules(&built_in("StructureDefinition", &published["url"]));
        let published = rules(&published);
        for id in ids {
            assert_ne!(ours.get(*id), published.get(*id), "{name}: {id}");
        }
    }
}

#[test]
fn our_value_sets_have_the_codes_of_the_published_ones() {
    for name in [
        "hrex-valueset-task-status",
        "pas-valueset-pastaskcodes",
        "valueset-cdex-POU",
        "valueset-cdex-claim-use",
        "valueset-cdex-data-request-task-code",
        "valueset-cdex-identifier-types",
        "valueset-cdex-loinc-attachment-codes",
        "valueset-cdex-pwk01-attachment-report-type-code",
        "valueset-cdex-work-queue",
    ] {
        let Some(published) = definition(name) else { return };
        let ours = built_in("ValueSet", &published["url"]);
        let codes = |value_set: &Value| -> BTreeSet<(String, Option<String>)> {
            let includes = value_set["compose"]["include"].as_array().expect("includes").iter();
            includes
                .flat_map(|include| {
                    let system = include["system"].as_str().expect("a system").to_owned();
                    match include.get("concept").and_then(Value::as_array) {
                        None => vec![(system, None)],
                        Some(concepts) => concepts
                            .iter()
                            .map(|c| (system.clone(), c["code"].as_str().map(str::to_owned)))
                            .collect(),
                    }
                })
                .collect()
        };
        assert_eq!(codes(&ours), codes(&published), "{name}");
    }
}

#[test]
fn the_published_definitions_can_be_read_as_they_are() {
    // The slices of this one have no URL of their own: they are SDC's.
    let readable = PUBLISHED.iter().filter(|name| !name.ends_with("cdex-sdc-questionnaireresponse"));
    for name in readable {
        let Some(published) = definition(name) else { return };
        let text = published.to_string();
        let profiles = Profiles::with_files([(*name, text.as_str())]);
        let profiles = profiles.unwrap_or_else(|errors| panic!("{errors:#?}"));
        assert!(profiles.structure(published["url"].as_str().expect("a URL")).is_some());
    }
}
