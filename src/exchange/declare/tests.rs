//! What is declared is well formed, complete, and made of the tables.

use std::collections::HashSet;

use super::*;
use crate::cdex::SUBMIT_ATTACHMENT;
use crate::cdex::documentation::larger_payload_advice;
use crate::config::Validation;
use crate::exchange::RestSettings;
use crate::fhir::search::{Scope, parameters, searched_types};
use crate::fhir::{Profiles, ScanLimits, Severity, StructureMode, check_structure};

fn settings() -> RestSettings {
    RestSettings {
        scan: ScanLimits::default(),
        update_creates: false,
        require_if_match: false,
        validation: Validation::Structure,
        partners: HashMap::new(),
        page_size: 20,
        max_page_size: 1000,
        bundle_entries: 100,
    }
}

fn at() -> Timestamp {
    Timestamp::from_nanos(1_746_453_802_000_000_000)
}

fn statement() -> Value {
    let facts = CapabilityFacts {
        public_url: "https://gateway.example",
        software_version: "1.2.3",
        payload_limit_bytes: 4_294_967_296,
        body_limit_bytes: 67_108_864,
        date: at(),
    };
    let profiles = Profiles::built_in().expect("the built-in rules");
    capability::statement(&facts, &settings(), &profiles)
}

fn of_type(name: &str) -> Value {
    let statement = statement();
    let resources = statement["rest"][0]["resource"].as_array().expect("a list");
    resources.iter().find(|member| member["type"] == name).expect("it is declared").clone()
}

#[track_caller]
fn assert_sound(resource: &Value) {
    let mut issues = check_structure(
        resource,
        resource["resourceType"].as_str().unwrap_or_default(),
        StructureMode::Strict,
    );
    issues.retain(|issue| issue.severity == Severity::Error);
    assert!(issues.is_empty(), "{issues:?}\n{resource}");
}

#[test]
fn the_statement_has_what_fhir_demands_of_an_instance() {
    let statement = statement();
    assert_sound(&statement);
    let facts = ["/date", "/kind", "/fhirVersion", "/format/0", "/implementation/url", "/rest/0/mode"]
        .map(|pointer| statement.pointer(pointer).and_then(Value::as_str).expect(pointer).to_owned());
    assert_eq!(
        facts,
        ["2025-05-05T14:03:22Z", "instance", "4.0.1", "json", "https://gateway.example/fhir", "server"]
    );
}

#[test]
fn conf_001_022_024_limit_final_and_the_way_around_the_limit_are_documented() {
    let statement = statement();
    let operations = statement["rest"][0]["operation"].as_array().expect("a list");
    let operation = operations.iter().find(|operation| operation["name"] == "submit-attachment");
    let operation = operation.expect("it is declared");
    assert_eq!(operation["definition"], SUBMIT_ATTACHMENT);
    let documentation = operation["documentation"].as_str().expect("a text");
    for fact in [
        "4294967296 bytes",
        "Final = false",
        "DocumentReference",
        "https://gateway.example/upload/files",
        &larger_payload_advice("https://gateway.example"),
    ] {
        assert!(documentation.contains(fact), "{fact}");
    }
}

#[test]
fn every_type_has_what_the_tables_and_settings_say() {
    let statement = statement();
    let resources = statement["rest"][0]["resource"].as_array().expect("a list");
    assert_eq!(resources.len(), searched_types().count());
    let task = of_type("Task");
    let codes: Vec<&str> = task["interaction"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|interaction| interaction["code"].as_str())
        .collect();
    assert_eq!(
        codes,
        [
            "read",
            "vread",
            "update",
            "patch",
            "delete",
            "history-instance",
            "history-type",
            "create",
            "search-type"
        ]
    );
    assert_eq!((&task["versioning"], &task["updateCreate"]), (&"versioned".into(), &false.into()));
    assert_eq!(task["searchParam"].as_array().map(Vec::len), Some(parameters("Task").len()));
    let has = |list: &Value, text: &str| list.as_array().is_some_and(|list| list.contains(&text.into()));
    assert!(has(&task["searchInclude"], "Task:output") && has(&task["searchInclude"], "Task:owner"));
    assert!(has(&of_type("Patient")["searchRevInclude"], "Observation:subject"));
    let profile = "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-task-attachment-request";
    assert!(has(&task["supportedProfile"], profile));
    let subscription = of_type("Subscription");
    let profile = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription";
    assert!(has(&subscription["supportedProfile"], profile));
    let operations: Vec<_> = of_type("Patient")["operation"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|operation| operation["name"].clone())
        .collect();
    assert_eq!(operations, ["validate", "match", "member-match", "everything", "export"]);
}

#[test]
fn every_parameter_and_operation_that_is_declared_has_a_sound_definition() {
    let definitions = Definitions::new(at());
    let mut urls = HashSet::new();
    for definition in &definitions.resources {
        let content = definition.content.as_ref().expect("it has content");
        let resource: Value = serde_json::from_slice(content).expect("it is JSON");
        assert_sound(&resource);
        let components = resource["component"].as_array().map_or(0, Vec::len);
        assert_eq!(components > 1, resource["type"] == "composite", "{}", definition.id);
        assert!(crate::fhir::datatype::is_id(&definition.id), "{}", definition.id);
        assert!(urls.insert(resource["url"].as_str().expect("a URL").to_owned()), "{}", definition.id);
    }
    assert_eq!(definitions.by_name.len(), definitions.resources.len(), "no id stands twice");
    let statement = statement();
    let rest = &statement["rest"][0];
    let lists = rest["resource"].as_array().expect("a list").iter().chain([rest]);
    for member in lists.flat_map(|of| [&of["searchParam"], &of["operation"]]).filter_map(Value::as_array) {
        for declared in member {
            let url = declared["definition"].as_str().expect("a URL");
            assert!(urls.contains(url), "{url}");
        }
    }
}

#[test]
fn definitions_are_found_like_stored_resources() {
    let declared = Declared::new(at());
    let found = |name, query: &str| -> Vec<String> {
        let parameters = crate::fhir::address::parameters(query);
        let query = Query::parse(Scope::Type(name), &parameters, "http://gateway.example/fhir", true);
        let query = query.expect("a query");
        declared.search(&query, at()).into_iter().map(|found| found.id).collect()
    };
    let by_url = "url=http://hl7.org/fhir/SearchParameter/Task-owner";
    assert_eq!(found("SearchParameter", by_url), ["Task-owner"]);
    assert_eq!(found("SearchParameter", "base=Task&code=owner"), ["Task-owner"]);
    assert_eq!(found("OperationDefinition", "code=match"), ["Patient-match"]);
    assert_eq!(found("CompartmentDefinition", "code=Patient"), ["patient"]);
    assert_eq!(found("SearchParameter", "code=unheard-of"), [""; 0]);
    assert_eq!(found("Patient", ""), [""; 0]);
    let mut sorted = found("OperationDefinition", "_sort=-code");
    assert_eq!(sorted.first().map(String::as_str), Some("Resource-validate"));
    sorted.sort();
    assert_eq!(sorted, found("OperationDefinition", "_sort=_id"));
}

#[test]
fn conf_067_068_the_topic_is_advertised() {
    let statement = statement();
    let resources = statement["rest"][0]["resource"].as_array().expect("a list");
    let subscription =
        resources.iter().find(|resource| resource["type"] == "Subscription").expect("it is kept");
    let url = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/\
               capabilitystatement-subscriptiontopic-canonical";
    let topic = "http://hl7.org/fhir/us/davinci-hrex/SubscriptionTopic/Task";
    assert_eq!(subscription["extension"], serde_json::json!([{"url": url, "valueCanonical": topic}]));
    let operations = subscription["operation"].as_array().expect("a list");
    let named = |name: &str| operations.iter().any(|operation| operation["name"] == name);
    assert!(named("status") && named("events"));
}
