//! The CapabilityStatement: what the tables of types, interactions, search parameters, operations and profiles have,
//! under the settings in force. What CDex wants documented in words is [`crate::cdex`]'s.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::put_list;
use crate::cdex::operation::{OPERATIONS, OperationDefinition};
use crate::cdex::{CapabilityFacts, documentation};
use crate::exchange::RestSettings;
use crate::exchange::interaction::Method;
use crate::fhir::search::{Kind, SearchParameter, included_only, parameters, searched_types};
use crate::fhir::{Address, PATCH_TYPES, Profiles};
use crate::subscription::TASK_TOPIC;

/// Where an interaction with a type would be.
type Place = fn(&'static str) -> Address;

/// The interactions of FHIR R4 with a type or an instance, and where each would be.
const OF_TYPE: [(&str, Method, Place); 9] = [
    ("read", Method::Get, |name| Address::Instance(name, String::new())),
    ("vread", Method::Get, |name| Address::Version(name, String::new(), None)),
    ("update", Method::Put, |name| Address::Instance(name, String::new())),
    ("patch", Method::Patch, |name| Address::Instance(name, String::new())),
    ("delete", Method::Delete, |name| Address::Instance(name, String::new())),
    ("history-instance", Method::Get, |name| Address::InstanceHistory(name, String::new())),
    ("history-type", Method::Get, |name| Address::TypeHistory(name)),
    ("create", Method::Post, |name| Address::Type(name)),
    ("search-type", Method::Get, |name| Address::Type(name)),
];

/// Those with the whole system.
const OF_SYSTEM: [(&str, Method, Address); 3] = [
    ("transaction", Method::Post, Address::System),
    ("batch", Method::Post, Address::System),
    ("search-system", Method::Get, Address::System),
];

/// What the CDex statements of capabilities say of a server is true of this one: of the Data Source direct queries, of
/// the Data Consumer attachments; and what the backport says of one with Subscriptions.
const INSTANTIATES: [&str; 3] = [
    "http://hl7.org/fhir/us/davinci-cdex/CapabilityStatement/data-source-server",
    "http://hl7.org/fhir/us/davinci-cdex/CapabilityStatement/data-consumer-server",
    "http://hl7.org/fhir/uv/subscriptions-backport/CapabilityStatement/backport-subscription-server-r4",
];

/// The guides whose profiles and operations are in force.
const GUIDES: [&str; 4] = [
    "http://hl7.org/fhir/us/davinci-cdex/ImplementationGuide/hl7.fhir.us.davinci-cdex|2.1.0",
    "http://hl7.org/fhir/us/davinci-hrex/ImplementationGuide/hl7.fhir.us.davinci-hrex|1.1.0",
    "http://hl7.org/fhir/us/core/ImplementationGuide/hl7.fhir.us.core|7.0.0",
    "http://hl7.org/fhir/uv/subscriptions-backport/ImplementationGuide/hl7.fhir.uv.subscriptions-backport|1.1.0",
];

/// Where the topics of Subscriptions are advertised (CONF-068).
const TOPIC_CANONICAL: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/\
     capabilitystatement-subscriptiontopic-canonical";

/// The CapabilityStatement resource.
pub(super) fn statement(facts: &CapabilityFacts<'_>, settings: &RestSettings, profiles: &Profiles) -> Value {
    let referring = referring();
    let resources = searched_types().map(|name| of_type(name, settings, profiles, &referring));
    let interactions = OF_SYSTEM.iter().filter(|(_, method, address)| method.is_allowed(address));
    let operations = OPERATIONS.iter().filter(|definition| definition.levels.system);
    json!({
        "resourceType": "CapabilityStatement",
        "name": "CdexGateway",
        "title": "cdex-gateway",
        "status": "active",
        "date": facts.date.to_string(),
        "kind": "instance",
        "instantiates": INSTANTIATES,
        "software": { "name": "cdex-gateway", "version": facts.software_version },
        "implementation": {
            "description": "Takes attachments for claims and prior authorizations, delivers them to their targets, \
                            and keeps FHIR resources",
            "url": format!("{}/fhir", facts.public_url),
        },
        "fhirVersion": "4.0.1",
        "format": ["json", "application/fhir+json"],
        "patchFormat": PATCH_TYPES,
        "implementationGuide": GUIDES,
        "rest": [{
            "mode": "server",
            "documentation": documentation::of_rest(facts),
            "security": { "description": documentation::SECURITY },
            "resource": resources.collect::<Vec<_>>(),
            "interaction": interactions.map(|(code, ..)| json!({ "code": code })).collect::<Vec<_>>(),
            "searchParam": of_all_types(),
            "operation": operations.map(|definition| operation(definition, facts)).collect::<Vec<_>>(),
            "compartment": ["http://hl7.org/fhir/CompartmentDefinition/patient"],
        }],
    })
}

fn of_type(
    name: &'static str,
    settings: &RestSettings,
    profiles: &Profiles,
    referring: &BTreeMap<&str, Vec<String>>,
) -> Value {
    let interactions = OF_TYPE.iter().filter(|(_, method, address)| method.is_allowed(&address(name)));
    let mut member = json!({
        "type": name,
        "profile": format!("http://hl7.org/fhir/StructureDefinition/{name}"),
        "interaction": interactions.map(|(code, ..)| json!({ "code": code })).collect::<Vec<_>>(),
        "versioning": if settings.require_if_match { "versioned-update" } else { "versioned" },
        "readHistory": true,
        "updateCreate": settings.update_creates,
        "conditionalCreate": true,
        "conditionalRead": "full-support",
        "conditionalUpdate": true,
        "conditionalDelete": "single",
        "referencePolicy": ["literal", "logical"],
    });
    if let Some(text) = documentation::of_type(name) {
        member["documentation"] = text.into();
    }
    if name == "Subscription" {
        member["extension"] = json!([{ "url": TOPIC_CANONICAL, "valueCanonical": TASK_TOPIC }]);
    }
    let supported = profiles.of_type(name).into_iter();
    put_list(&mut member, "supportedProfile", supported.map(Value::from).collect());
    put_list(&mut member, "searchInclude", includes(name));
    let including = referring.get(name).into_iter().flatten();
    put_list(&mut member, "searchRevInclude", including.map(|code| Value::from(code.as_str())).collect());
    let searched = parameters(name).iter().map(search_parameter);
    put_list(&mut member, "searchParam", searched.collect());
    let operations = OPERATIONS.iter().filter(|definition| {
        definition.is_about(name) && (definition.levels.resource_type || definition.levels.instance)
    });
    let operations = operations.map(reference_to).collect();
    put_list(&mut member, "operation", operations);
    member
}

/// What `_include` takes for a type.
fn includes(name: &'static str) -> Vec<Value> {
    let named = references(name).map(|parameter| format!("{name}:{}", parameter.code));
    let mut includes: Vec<Value> = named.map(Value::from).collect();
    if !includes.is_empty() {
        includes.insert(0, "*".into());
    }
    includes
}

/// What `_revinclude` takes for each type.
fn referring() -> BTreeMap<&'static str, Vec<String>> {
    let mut referring: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for parameter in searched_types().flat_map(references) {
        for target in &parameter.targets {
            let code = format!("{}:{}", parameter.resource_type, parameter.code);
            referring.entry(*target).or_default().push(code);
        }
    }
    referring
}

fn references(name: &'static str) -> impl Iterator<Item = &'static SearchParameter> {
    let all = parameters(name).iter().chain(included_only(name));
    all.filter(|parameter| parameter.kind == Kind::Reference)
}

fn search_parameter(parameter: &SearchParameter) -> Value {
    json!({ "name": parameter.code, "definition": parameter.url, "type": parameter.kind.as_code() })
}

/// The parameters that all types have.
fn of_all_types() -> Vec<Value> {
    let Some(first) = searched_types().next() else { return Vec::new() };
    let is_common = |parameter: &&SearchParameter| {
        searched_types().all(|name| parameters(name).iter().any(|other| other.url == parameter.url))
    };
    parameters(first).iter().filter(is_common).map(search_parameter).collect()
}

fn reference_to(definition: &OperationDefinition) -> Value {
    json!({ "name": definition.code, "definition": definition.url, "documentation": definition.description })
}

fn operation(definition: &OperationDefinition, facts: &CapabilityFacts<'_>) -> Value {
    let mut member = reference_to(definition);
    if definition.url == crate::cdex::SUBMIT_ATTACHMENT {
        member["documentation"] = documentation::of_submit_attachment(facts).into();
    }
    member
}
