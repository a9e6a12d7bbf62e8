//! The definitions of what is served, as resources: a SearchParameter for each parameter of the search tables, an
//! OperationDefinition for each operation of theirs, and the CompartmentDefinition of the patient. They have the
//! canonical URLs of the standards; what they say is what is done here.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{last_part, pascal_case, put_list};
use crate::cdex::operation::{OPERATIONS, OperationDefinition, ParameterDefinition, ParameterKind};
use crate::fhir::search::{
    Kind, SearchParameter, comparators, modifiers, parameter, parameters, patient_compartment, searched_types,
};

/// The types of which there are definitions.
pub(super) const TYPES: [&str; 3] = ["CompartmentDefinition", "OperationDefinition", "SearchParameter"];

/// More types than this are written as `Resource`: a parameter of all of them.
const ALL: &str = "Resource";

/// Every definition with its type and id, in their order.
pub(super) fn all() -> impl Iterator<Item = (&'static str, String, Value)> {
    let mut by_url: BTreeMap<&str, Vec<&'static SearchParameter>> = BTreeMap::new();
    for parameter in searched_types().flat_map(parameters).filter(|parameter| !parameter.url.is_empty()) {
        by_url.entry(&parameter.url).or_default().push(parameter);
    }
    let mut operations: Vec<_> = OPERATIONS.iter().collect();
    operations.sort_by_key(|definition| last_part(definition.url));
    let mut all = vec![("CompartmentDefinition", "patient".to_owned(), patient_definition())];
    all.extend(operations.into_iter().map(|definition| {
        let id = last_part(definition.url).to_owned();
        ("OperationDefinition", id, operation_definition(definition))
    }));
    let mut searched: Vec<_> = by_url
        .into_iter()
        .map(|(url, of_types)| {
            ("SearchParameter", last_part(url).to_owned(), search_parameter(url, &of_types))
        })
        .collect();
    searched.sort_by(|left, right| left.1.cmp(&right.1));
    all.into_iter().chain(searched)
}

/// A search parameter of some types, which all call it so.
fn search_parameter(url: &str, of_types: &[&'static SearchParameter]) -> Value {
    let [first, ..] = of_types else { return Value::Null };
    let id = last_part(url);
    let base: Vec<&str> = if of_types.len() == searched_types().count() {
        vec![ALL]
    } else {
        of_types.iter().map(|parameter| parameter.resource_type).collect()
    };
    let mut expressions: Vec<&str> = of_types.iter().map(|parameter| parameter.expression).collect();
    expressions.dedup();
    let mut definition = json!({
        "resourceType": "SearchParameter",
        "id": id,
        "url": url,
        "name": pascal_case(id),
        "status": "active",
        "description": format!("Finds resources by their {} ({})", first.code, first.kind.as_code()),
        "code": first.code,
        "base": base,
        "type": first.kind.as_code(),
        "expression": expressions.join(" | "),
        "multipleOr": true,
        "multipleAnd": true,
    });
    if first.kind == Kind::Reference {
        let mut targets: Vec<_> =
            of_types.iter().flat_map(|parameter| parameter.targets.iter().copied()).collect();
        targets.sort_unstable();
        targets.dedup();
        put_list(&mut definition, "target", targets.into_iter().map(Value::from).collect());
    }
    put_list(&mut definition, "comparator", comparators(first).map(Value::from).collect());
    put_list(&mut definition, "modifier", modifiers(first).map(Value::from).collect());
    let components = components(first);
    put_list(&mut definition, "component", components);
    definition
}

/// What a composite consists of. R4 names the parameters that are its components; their codes are parts of its own.
fn components(composite: &SearchParameter) -> Vec<Value> {
    let codes = component_codes(composite.code);
    let named = composite.components.iter().zip(codes).filter_map(|(component, code)| {
        let definition = &parameter(composite.resource_type, &code)?.url;
        Some(json!({ "definition": definition, "expression": component.expression }))
    });
    named.collect()
}

fn component_codes(code: &str) -> Vec<String> {
    let all = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
    match code {
        "relationship" => all(&["relation", "relatesto"]),
        "characteristic-value" => all(&["characteristic", "value"]),
        "context-type-quantity" => all(&["context-type", "context-quantity"]),
        "context-type-value" => all(&["context-type", "context"]),
        code => {
            if let Some((of, what)) = code.strip_suffix("-coordinate").and_then(|code| code.rsplit_once('-'))
            {
                return vec![of.to_owned(), format!("{what}-start"), format!("{what}-end")];
            }
            let parts = code.split_once("code-value-");
            parts.map_or(Vec::new(), |(of, kind)| vec![format!("{of}code"), format!("{of}value-{kind}")])
        }
    }
}

fn operation_definition(definition: &OperationDefinition) -> Value {
    let id = last_part(definition.url);
    let resources: &[&str] = if definition.types.is_empty() { &[ALL] } else { definition.types };
    let parameters: Vec<Value> = definition.parameters.iter().map(operation_parameter).collect();
    let mut written = json!({
        "resourceType": "OperationDefinition",
        "id": id,
        "url": definition.url,
        "name": pascal_case(id),
        "status": "active",
        "kind": "operation",
        "affectsState": definition.affects_state,
        "description": definition.description,
        "code": definition.code,
        "resource": resources,
        "system": definition.levels.system,
        "type": definition.levels.resource_type,
        "instance": definition.levels.instance,
    });
    put_list(&mut written, "parameter", parameters);
    written
}

fn operation_parameter(parameter: &ParameterDefinition) -> Value {
    let mut written = json!({
        "name": parameter.name,
        "use": if parameter.is_output { "out" } else { "in" },
        "min": u8::from(parameter.is_required),
        "max": if parameter.repeats { "*" } else { "1" },
        "documentation": parameter.documentation,
    });
    match parameter.kind {
        ParameterKind::Parts(parts) => {
            let parts = parts.iter().map(|part| {
                let mut part = operation_parameter(part);
                // A part is given or comes back as the whole does.
                part["use"] = written["use"].clone();
                part
            });
            let parts = parts.collect();
            put_list(&mut written, "part", parts);
        }
        kind => written["type"] = kind.type_name().into(),
    }
    written
}

fn patient_definition() -> Value {
    let resources: Vec<Value> = searched_types()
        .map(|name| {
            let mut member = json!({ "code": name });
            let codes = patient_compartment(name).iter().map(|code| Value::from(*code)).collect();
            put_list(&mut member, "param", codes);
            member
        })
        .collect();
    json!({
        "resourceType": "CompartmentDefinition",
        "id": "patient",
        "url": "http://hl7.org/fhir/CompartmentDefinition/patient",
        "name": "PatientCompartment",
        "status": "active",
        "description": "What is a patient's: the resources that refer to the patient in one of these ways",
        "code": "Patient",
        "search": true,
        "resource": resources,
    })
}
