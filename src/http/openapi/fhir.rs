//! The paths of the FHIR door: one for the searches and creates of each type, with all its search parameters, and
//! templates for what is the same for all types.

use serde_json::{Map, Value, json};

use super::{parameter, path, response, responses};
use crate::cdex::operation::{OPERATIONS, Operation, OperationDefinition};
use crate::fhir::PATCH_TYPES;
use crate::fhir::search::{Kind, parameters, patient_compartment, searched_types};

/// The media type of every body of this door.
const FHIR: &str = "application/fhir+json";
/// That of what cannot be read as FHIR by most tools.
const JSON: &str = "application/json";

/// The result parameters of a search.
const OF_RESULTS: [&str; 9] =
    ["_count", "_sort", "_total", "_summary", "_elements", "_include", "_revinclude", "_cursor", "_format"];

/// Every path.
pub(super) fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    let mut put = |template: String, item: Value| paths.insert(format!("/fhir{template}"), item);
    put(
        "/metadata".to_owned(),
        path([("get", get("capabilities", "The CapabilityStatement", vec![], "Resource"))]),
    );
    put(
        "/".to_owned(),
        path([
            ("get", get("searchSystem", "Searches the types that _type names", of_system(), "Bundle")),
            ("post", post("runBundle", "Does a batch or transaction", vec![], "Bundle", &[FHIR, JSON])),
        ]),
    );
    for name in searched_types() {
        let search = get(&format!("search{name}"), &format!("Searches {name}"), of_search(name), "Bundle");
        let mut create =
            post(&format!("create{name}"), &format!("Creates a {name}"), vec![], "Resource", &[FHIR, JSON]);
        if name == "Binary" {
            create["requestBody"]["content"]["*/*"] = json!({});
        }
        put(format!("/{name}"), path([("get", search), ("post", create)]));
    }
    let of_type = || vec![reference("type")];
    let of_instance = || vec![reference("type"), reference("id")];
    put(
        "/{type}/_search".to_owned(),
        path([("post", {
            let form = "application/x-www-form-urlencoded";
            post("searchByForm", "Searches by a form", of_type(), "Bundle", &[form])
        })]),
    );
    put(
        "/{type}/_history".to_owned(),
        path([(
            "get",
            get("historyOfType", "The history of a type", [of_type(), of_history()].concat(), "Bundle"),
        )]),
    );
    put(
        "/{type}/{id}".to_owned(),
        path([
            ("get", get("read", "Reads a resource", [of_instance(), of_view()].concat(), "Resource")),
            ("put", {
                let mut update =
                    post("update", "Updates a resource", of_instance(), "Resource", &[FHIR, JSON]);
                update["parameters"] = [of_instance(), vec![reference("If-Match")]].concat().into();
                update
            }),
            ("patch", post("patch", "Patches a resource", of_instance(), "Resource", &PATCH_TYPES)),
            ("delete", delete(of_instance())),
        ]),
    );
    put(
        "/Binary/{id}".to_owned(),
        path([("get", {
            let range = parameter("header", "Range", &json!({ "type": "string" }), "A part of them");
            let parameters = vec![reference("id"), range];
            let mut read = get("readBinary", "Reads a Binary as its bytes", parameters, "Resource");
            read["responses"]["200"]["content"] = json!({ "*/*": {} });
            read["responses"]["206"] = json!({ "description": "A part of them", "content": { "*/*": {} } });
            // A range that is not there is told by a header field alone.
            read["responses"]["416"] = json!({ "description": "No such part" });
            read
        })]),
    );
    put(
        "/{type}/{id}/_history".to_owned(),
        path([(
            "get",
            get("history", "The history of a resource", [of_instance(), of_history()].concat(), "Bundle"),
        )]),
    );
    put(
        "/{type}/{id}/_history/{vid}".to_owned(),
        path([(
            "get",
            get("vread", "Reads a version", [of_instance(), vec![reference("vid")]].concat(), "Resource"),
        )]),
    );
    put(
        "/Patient/{id}/{member}".to_owned(),
        path([("get", get("searchCompartment", "Searches what is a patient's", of_compartment(), "Bundle"))]),
    );
    for definition in OPERATIONS {
        for (template, item) in of_operation(definition) {
            put(template, item);
        }
    }
    paths
}

/// Parameters that several paths have, by name.
pub(super) fn shared_parameters() -> Value {
    // What is read as bytes has a path of its own.
    let types: Vec<&str> = searched_types().filter(|name| *name != "Binary").collect();
    let text = |name: &str, description: &str| {
        (name.to_owned(), parameter("query", name, &json!({ "type": "string" }), description))
    };
    let id = json!({ "type": "string", "pattern": "^[A-Za-z0-9\\-.]{1,64}$" });
    let shared = [
        ("type".to_owned(), parameter("path", "type", &json!({ "enum": types }), "A resource type")),
        ("id".to_owned(), parameter("path", "id", &id, "A logical id")),
        (
            "vid".to_owned(),
            parameter("path", "vid", &json!({ "type": "integer", "minimum": 1 }), "A version"),
        ),
        ("If-Match".to_owned(), {
            let schema = json!({ "type": "string", "pattern": "^W/\"[1-9][0-9]{0,17}\"$" });
            parameter("header", "If-Match", &schema, "The version that is meant")
        }),
        ("_count".to_owned(), {
            let schema = json!({ "type": "integer", "minimum": 0 });
            parameter("query", "_count", &schema, "Entries of a page")
        }),
        ("_total".to_owned(), {
            let schema = json!({ "enum": ["none", "estimate", "accurate"] });
            parameter("query", "_total", &schema, "Whether matches are counted")
        }),
        ("_summary".to_owned(), {
            let schema = json!({ "enum": ["true", "text", "data", "count", "false"] });
            parameter("query", "_summary", &schema, "How much is shown")
        }),
        text("_sort", "Search parameters, a minus before those that descend"),
        text("_elements", "The elements that are shown"),
        text("_include", "What comes along because a match refers to it"),
        text("_revinclude", "What comes along because it refers to a match"),
        text("_cursor", "What the links of pages carry"),
        text("_format", "The format of the answer, before Accept"),
        text("_since", "Only versions since this moment"),
        text("_at", "Only versions that were current then"),
    ];
    Value::Object(shared.into_iter().collect())
}

/// Responses that several paths have.
pub(super) fn shared_responses() -> Value {
    let outcome = json!({ "$ref": "#/components/schemas/OperationOutcome" });
    json!({
        "Refused": response("What is wrong with the request", Some((FHIR, outcome.clone()))),
        "Failed": response("What could not be done", Some((FHIR, outcome))),
    })
}

/// The shapes of bodies, as far as clients of another standard need them.
pub(super) fn schemas() -> Value {
    let resource = |fixed: Option<&str>| match fixed {
        Some(name) => json!({ "type": "object", "required": ["resourceType"],
            "properties": { "resourceType": { "const": name } } }),
        None => json!({ "type": "object", "required": ["resourceType"],
            "properties": { "resourceType": { "type": "string" } } }),
    };
    let mut outcome = resource(Some("OperationOutcome"));
    outcome["properties"]["issue"] = json!({ "type": "array", "minItems": 1 });
    outcome["required"] = json!(["resourceType", "issue"]);
    json!({ "Resource": resource(None), "Bundle": resource(Some("Bundle")), "OperationOutcome": outcome })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

fn of_view() -> Vec<Value> {
    ["_summary", "_elements", "_format"].map(reference).into()
}

fn of_history() -> Vec<Value> {
    ["_count", "_since", "_at", "_cursor", "_format"].map(reference).into()
}

fn of_system() -> Vec<Value> {
    let types = parameter("query", "_type", &json!({ "type": "string" }), "The types that are searched");
    std::iter::once(types).chain(OF_RESULTS.map(reference)).collect()
}

fn of_search(name: &str) -> Vec<Value> {
    let own = parameters(name).iter().map(|searched| {
        let schema = match searched.kind {
            Kind::Number => json!({ "type": "string", "pattern": "^([a-z]{2})?-?[0-9]+(\\.[0-9]+)?$" }),
            Kind::Date => {
                json!({ "type": "string", "pattern": "^([a-z]{2})?[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$" })
            }
            _ => json!({ "type": "string" }),
        };
        parameter(
            "query",
            searched.code,
            &schema,
            &format!("{}: {}", searched.kind.as_code(), searched.expression),
        )
    });
    own.chain(OF_RESULTS.map(reference)).collect()
}

fn of_compartment() -> Vec<Value> {
    let members: Vec<&str> =
        searched_types().filter(|name| !patient_compartment(name).is_empty()).chain(["*"]).collect();
    let member = parameter("path", "member", &json!({ "enum": members }), "A type, or * for all");
    [reference("id"), member].into_iter().chain(OF_RESULTS.map(reference)).collect()
}

/// Where an operation is called, and how.
fn of_operation(definition: &OperationDefinition) -> Vec<(String, Value)> {
    let code = definition.code;
    let mut places = Vec::new();
    if definition.levels.system {
        places.push((format!("/${code}"), "system", vec![]));
    }
    let types: Vec<(String, Vec<Value>)> = match definition.types {
        [] => vec![("{type}".to_owned(), vec![reference("type")])],
        types => types.iter().map(|name| ((*name).to_owned(), vec![])).collect(),
    };
    for (name, parameters) in types {
        if definition.levels.resource_type {
            places.push((format!("/{name}/${code}"), "type", parameters.clone()));
        }
        if definition.levels.instance {
            let parameters = [parameters, vec![reference("id")]].concat();
            places.push((format!("/{name}/{{id}}/${code}"), "instance", parameters));
        }
    }
    let item = |(template, level, of_path): (String, &str, Vec<Value>)| {
        let id = format!("{code}-{level}");
        let description = definition.description;
        let mut called = post(&format!("post-{id}"), description, of_path.clone(), "Resource", &[FHIR, JSON]);
        if definition.operation == Operation::Export {
            called["responses"]["202"] = taken();
        }
        let mut methods = vec![("post", called)];
        if definition.is_called_by_get() {
            let inputs = definition.inputs().filter(|input| input.kind.fits_a_url()).map(|input| {
                let mut given =
                    parameter("query", input.name, &json!({ "type": "string" }), input.documentation);
                given["required"] = input.is_required.into();
                given
            });
            let parameters = of_path.into_iter().chain(inputs).collect();
            let mut called = get(&format!("get-{id}"), description, parameters, "Resource");
            if definition.operation == Operation::Export {
                called["responses"]["202"] = taken();
            }
            methods.push(("get", called));
        }
        (template, path(methods))
    };
    places.into_iter().map(item).collect()
}

/// The answer to an order: Content-Location has the rest.
fn taken() -> Value {
    let outcome = json!({ "$ref": "#/components/schemas/OperationOutcome" });
    response("The order is taken", Some((FHIR, outcome)))
}

#[expect(clippy::needless_pass_by_value, reason = "what is made for a call is written in it")]
fn get(id: &str, summary: &str, parameters: Vec<Value>, schema: &str) -> Value {
    let body = response(summary, Some((FHIR, json!({ "$ref": format!("#/components/schemas/{schema}") }))));
    json!({
        "operationId": id,
        "summary": summary,
        "parameters": parameters,
        "responses": with_refusals([("200", body), ("304", response("The client has it", None))]),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "what is made for a call is written in it")]
fn post(id: &str, summary: &str, parameters: Vec<Value>, schema: &str, media_types: &[&str]) -> Value {
    let answer =
        || response(summary, Some((FHIR, json!({ "$ref": format!("#/components/schemas/{schema}") }))));
    let body = |media_type: &&str| {
        let is_object = !media_type.contains("form") && !media_type.contains("json-patch");
        let schema = if is_object { json!({ "$ref": "#/components/schemas/Resource" }) } else { json!({}) };
        ((*media_type).to_owned(), json!({ "schema": schema }))
    };
    let content: Map<String, Value> = media_types.iter().map(body).collect();
    json!({
        "operationId": id,
        "summary": summary,
        "parameters": parameters,
        "requestBody": { "content": content },
        "responses": with_refusals([("200", answer()), ("201", answer())]),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "what is made for a call is written in it")]
fn delete(parameters: Vec<Value>) -> Value {
    let outcome = json!({ "$ref": "#/components/schemas/OperationOutcome" });
    json!({
        "operationId": "delete",
        "summary": "Deletes a resource",
        "parameters": parameters,
        "responses": with_refusals([
            ("200", response("It is deleted, told at length", Some((FHIR, outcome)))),
            ("204", response("It is deleted", None)),
        ]),
    })
}

fn with_refusals<const N: usize>(each: [(&str, Value); N]) -> Value {
    let refusals = [
        ("4XX", json!({ "$ref": "#/components/responses/Refused" })),
        ("5XX", json!({ "$ref": "#/components/responses/Failed" })),
    ];
    responses(each.into_iter().chain(refusals))
}
