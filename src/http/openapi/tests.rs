//! The document is sound in itself: what it refers to is there, and every operation has a name of its own.

use std::collections::HashSet;

use super::*;
use crate::cdex::operation::OPERATIONS;
use crate::fhir::search::searched_types;

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
    let document = document("http://gateway.example", true);
    let mut names = HashSet::new();
    let mut left = vec![&document];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(members) => {
                if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                    let pointer = target.strip_prefix('#').expect("references stay within the document");
                    assert!(document.pointer(pointer).is_some(), "{target}");
                }
                if let Some(name) = members.get("operationId").and_then(Value::as_str) {
                    assert!(names.insert(name), "{name} stands twice");
                }
                left.extend(members.values());
            }
            Value::Array(items) => left.extend(items),
            _ => {}
        }
    }
}

#[test]
fn every_template_has_its_parameters() {
    let document = document("http://gateway.example", true);
    for (template, item) in document["paths"].as_object().expect("paths") {
        for operation in item.as_object().expect("operations").values() {
            let given = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            let given: Vec<&Value> = given
                .iter()
                .map(|given| match given["$ref"].as_str() {
                    Some(target) => document.pointer(&target[1..]).expect("it is there"),
                    None => given,
                })
                .collect();
            let in_path: HashSet<&str> = given
                .iter()
                .filter(|given| given["in"] == "path")
                .filter_map(|given| given["name"].as_str())
                .collect();
            let wanted: HashSet<&str> =
                template.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect();
            assert_eq!(in_path, wanted, "{template}");
        }
    }
}

#[test]
fn the_fhir_door_has_a_path_for_each_type_and_operation() {
    let document = document("http://gateway.example", true);
    let paths = document["paths"].as_object().expect("paths");
    assert!(searched_types().all(|name| paths.contains_key(&format!("/fhir/{name}"))));
    for definition in OPERATIONS {
        let end = format!("${}", definition.code);
        assert!(paths.keys().any(|template| template.ends_with(&end)), "{end}");
    }
    let parameters = paths["/fhir/Task"]["get"]["parameters"].as_array().expect("a list");
    assert!(parameters.iter().any(|parameter| parameter["name"] == "owner"));
}

#[test]
fn oauth_is_told_of_only_where_there_is_an_identity_provider() {
    for has_oauth in [true, false] {
        let document = document("http://gateway.example", has_oauth);
        let paths = document["paths"].as_object().expect("paths");
        let told = ["/oauth", "/oauth/refresh"].map(|template| paths.contains_key(template));
        assert_eq!(told, [has_oauth; 2]);
    }
}
