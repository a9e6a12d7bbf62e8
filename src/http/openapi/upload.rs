//! The paths of the tus and DEX doors and of whoever watches the gateway. Aliases of a path are not listed.

use serde_json::{Map, Value, json};

use super::{parameter, path, response, responses};

const PLAIN: &str = "text/plain";
const JSON: &str = "application/json";
const OFFSETS: &str = "application/offset+octet-stream";
const FORM: &str = "application/x-www-form-urlencoded";

/// Every path.
pub(super) fn paths() -> Map<String, Value> {
    let object = || json!({ "type": "object" });
    let plain = |description: &str| response(description, Some((PLAIN, json!({ "type": "string" }))));
    let refusals = || [("4XX", plain("What is wrong")), ("5XX", plain("What could not be done"))];
    let answers =
        |status: &'static str, answer: Value| responses([(status, answer)].into_iter().chain(refusals()));
    let id = || {
        let schema = json!({ "type": "string", "pattern": "^[0-9a-f]{32}$|^[0-9a-f-]{36}$" });
        parameter("path", "id", &schema, "An upload")
    };
    let get = |name: &str, summary: &str, parameters: Value, answer: Value| {
        json!({ "operationId": name, "summary": summary, "parameters": parameters,
            "responses": answers("200", answer) })
    };
    let json_answer = |description: &str| response(description, Some((JSON, object())));
    let mut checked =
        get("health", "The health of the gateway and its targets", json!([]), json_answer("Health"));
    checked["responses"]["503"] = json_answer("Something does not work");
    let mut ready = get("ready", "Whether requests are taken", json!([]), json!({ "description": "Ready" }));
    ready["responses"]["503"] = json!({ "description": "Not ready" });
    let word = json!({ "type": "string" });
    let filter = ["status", "target", "data_stream_id", "data_stream_route", "sender_id", "since", "until"];
    let parameters: Vec<Value> = filter
        .iter()
        .chain(&["after"])
        .map(|name| parameter("query", name, &word, "Which deliveries"))
        .chain([parameter("query", "limit", &json!({ "type": "integer", "minimum": 1 }), "How many")])
        .collect();
    let listed =
        get("deliveries", "Which deliveries stand where", parameters.into(), json_answer("A page of them"));
    let mut repeat: Map<String, Value> =
        filter.map(|name| (name.to_owned(), word.clone())).into_iter().collect();
    repeat.insert("limit".to_owned(), json!({ "type": "integer", "minimum": 1 }));
    repeat.insert("dry_run".to_owned(), json!({ "type": "boolean" }));
    let repeated = json!({
        "operationId": "redeliverMany",
        "summary": "Delivers what is dead once more, or what else is meant",
        "requestBody": { "content": { JSON: { "schema": { "type": "object", "properties": repeat } } } },
        "responses": answers("200", json_answer("What became of each")),
    });
    let paths = [
        ("/files", path([("post", create(&answers)), ("options", options())])),
        (
            "/files/{id}",
            path([
                ("head", head(id())),
                ("patch", append(id(), &answers)),
                ("delete", terminate(id(), &answers)),
                ("options", {
                    let mut options = options();
                    options["operationId"] = "uploadOptions".into();
                    options["parameters"] = json!([id()]);
                    options
                }),
            ]),
        ),
        (
            "/info/{id}",
            path([("get", {
                get("info", "What is known of an upload", json!([id()]), json_answer("What is known"))
            })]),
        ),
        (
            "/route/{id}",
            path([(
                "post",
                json!({
                    "operationId": "redeliver",
                    "summary": "Delivers a complete upload once more",
                    "parameters": [id()],
                    "requestBody": { "content": { JSON: { "schema": {
                        "type": "object",
                        "properties": { "target": { "type": "string" } },
                    } } } },
                    "responses": answers("200", json!({ "description": "It is queued", "content": { "*/*": {} } })),
                }),
            )]),
        ),
        ("/deliveries", path([("get", listed)])),
        ("/deliveries/redeliver", path([("post", repeated)])),
        ("/health", path([("get", checked)])),
        ("/version", path([("get", get("version", "The version", json!([]), json_answer("The version")))])),
        (
            "/health/live",
            path([("get", get("live", "Whether it runs", json!([]), json!({ "description": "It runs" })))]),
        ),
        ("/health/ready", path([("get", ready)])),
        (
            "/openapi.json",
            path([("get", get("openapi", "This document", json!([]), json_answer("OpenAPI")))]),
        ),
    ];
    paths.into_iter().map(|(template, item)| (template.to_owned(), item)).collect()
}

/// The paths where clients of DEX get their tokens.
pub(super) fn oauth_paths() -> Map<String, Value> {
    let object = || json!({ "type": "object" });
    let token = |name: &str, summary: &str, fields: &[&str]| {
        let properties: Map<String, Value> =
            fields.iter().map(|field| ((*field).to_owned(), json!({ "type": "string" }))).collect();
        let form = json!({ "type": "object", "properties": properties, "required": fields });
        let asked = json!({
            "operationId": name,
            "summary": summary,
            "requestBody": { "content": { FORM: { "schema": form } } },
            "responses": responses([
                ("200", response("A token", Some((JSON, object())))),
                ("4XX", response("What is wrong", Some((JSON, object())))),
                ("5XX", response("The identity provider gave none", Some((JSON, object())))),
            ]),
        });
        path([("post", asked)])
    };
    let login = token("login", "A token for a user name and a password", &["username", "password"]);
    let refresh = token("refresh", "A token for what came with the last one", &["refresh_token"]);
    [("/oauth", login), ("/oauth/refresh", refresh)]
        .into_iter()
        .map(|(template, item)| (template.to_owned(), item))
        .collect()
}

fn resumable() -> Value {
    let mut version =
        parameter("header", "Tus-Resumable", &json!({ "const": "1.0.0" }), "The protocol's version");
    version["required"] = true.into();
    version
}

fn create(answers: &dyn Fn(&'static str, Value) -> Value) -> Value {
    let length = json!({ "type": "integer", "minimum": 0 });
    let metadata = json!({ "type": "string" });
    let mut created = answers(
        "201",
        json!({
            "description": "The upload exists",
            "headers": { "Location": { "schema": { "type": "string" } } },
        }),
    );
    // A manifest that breaks its stream's rules is told field by field.
    created["4XX"]["content"][JSON] = json!({ "schema": { "type": "object" } });
    created["2XX"] = json!({ "description": "The upload exists" });
    json!({
        "operationId": "createUpload",
        "summary": "Creates an upload (tus creation, creation-with-upload, creation-defer-length, concatenation)",
        "parameters": [
            resumable(),
            parameter("header", "Upload-Length", &length, "How long it is"),
            parameter("header", "Upload-Defer-Length", &json!({ "const": "1" }), "That its length is told later"),
            parameter("header", "Upload-Concat", &metadata, "That it is a part, or what it is made of"),
            parameter("header", "Upload-Metadata", &metadata, "The sender manifest"),
        ],
        "responses": created,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "what is made for a call is written in it")]
fn head(id: Value) -> Value {
    // An answer to HEAD has no body, whatever it says.
    json!({
        "operationId": "uploadOffset",
        "summary": "How much of an upload is here",
        "parameters": [id, resumable()],
        "responses": responses([
            ("200", json!({
                "description": "Its offset",
                "headers": { "Upload-Offset": { "schema": { "type": "integer", "minimum": 0 } } },
            })),
            ("4XX", response("What is wrong", None)),
            ("5XX", response("What could not be done", None)),
        ]),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "what is made for a call is written in it")]
fn append(id: Value, answers: &dyn Fn(&'static str, Value) -> Value) -> Value {
    let mut offset = parameter(
        "header",
        "Upload-Offset",
        &json!({ "type": "integer", "minimum": 0 }),
        "Where the bytes belong",
    );
    offset["required"] = true.into();
    json!({
        "operationId": "appendToUpload",
        "summary": "Appends bytes to an upload",
        "parameters": [id, resumable(), offset],
        "requestBody": { "content": { OFFSETS: { "schema": { "type": "string", "format": "binary" } } } },
        "responses": answers("204", response("The bytes are kept", None)),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "what is made for a call is written in it")]
fn terminate(id: Value, answers: &dyn Fn(&'static str, Value) -> Value) -> Value {
    let force = json!({ "type": "boolean" });
    json!({
        "operationId": "terminateUpload",
        "summary": "Removes an upload (tus termination)",
        "parameters": [
            id,
            resumable(),
            parameter("query", "force", &force, "Whether deliveries that are under way are called off"),
        ],
        "responses": answers("204", response("It is gone", None)),
    })
}

fn options() -> Value {
    json!({
        "operationId": "options",
        "summary": "What of tus is spoken",
        "responses": responses([("200", response("Versions and extensions", None))]),
    })
}
