//! Writes the Task of a request by its profile, and completes one that the caller wrote. What breaks the profile all
//! the same, a patient without a name for one, is found when the Task is held to it.

use serde_json::{Map, Value, json};

use super::{Asked, Attachments, Needed, RequestFacts, TaskRequest, Wanted, concept};
use crate::cdex::task::{CDEX_TEMP, CdexTask, Input, TaskKind};
use crate::fhir::datatype::codings;
use crate::fhir::{Issue, IssueType};

/// The extension that names a line of a claim (cdex §4.3).
pub(super) const LINE_NUMBER: &str =
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-paLineNumber";

/// The types of identifiers of HL7 v2.
const IDENTIFIER_TYPES: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";

/// The Task that asks for what is wanted.
pub(crate) fn build(request: &TaskRequest, facts: &RequestFacts) -> Value {
    match &request.asked {
        Asked::Data { patient, owner, wanted, reason } => {
            let (kind, wanted) = match wanted {
                Wanted::Query(query) => (TaskKind::DataQuery, input(Input::Query, query.as_str())),
                Wanted::Code(code) => (TaskKind::DataCode, input(Input::Code, code.clone())),
                Wanted::Text(text) => (TaskKind::DataCode, input(Input::Code, json!({ "text": text }))),
                Wanted::Questionnaire(url) => {
                    (TaskKind::DataQuestionnaire, input(Input::Questionnaire, url.as_str()))
                }
            };
            let mut inputs = vec![wanted];
            inputs.extend(common_inputs(request));
            let mut task = head(request, kind, vec![facts.own_identifier()]);
            put(&mut task, "code", concept(kind.code()));
            put(&mut task, "for", patient.clone());
            put_moments(&mut task, facts);
            put(&mut task, "requester", request.requester.clone());
            put(&mut task, "owner", owner.clone());
            if let Some(reason) = reason {
                put(&mut task, "reasonCode", json!({ "text": reason }));
            }
            tail(&mut task, request, inputs);
            Value::Object(task)
        }
        Asked::Attachments(attachments) => attachment_request(request, attachments, facts),
    }
}

fn attachment_request(request: &TaskRequest, attachments: &Attachments, facts: &RequestFacts) -> Value {
    let mut identifiers = vec![typed(&attachments.tracking_id, CDEX_TEMP, "tracking-id")];
    if let Some(number) = &attachments.admin_ref_number {
        identifiers.push(typed(number, CDEX_TEMP, "admin-ref-number"));
    }
    identifiers.push(facts.own_identifier());
    let mut inputs: Vec<Value> = Vec::new();
    let kind = match &attachments.needed {
        Needed::Codes(codes) => {
            inputs.extend(codes.iter().map(|(code, lines)| attachment_input(code, lines)));
            TaskKind::AttachmentCode
        }
        Needed::Questionnaires(urls) => {
            inputs.extend(urls.iter().map(|url| input(Input::QuestionnaireContext, url.as_str())));
            TaskKind::AttachmentQuestionnaire
        }
    };
    inputs.push(input(Input::PayerUrl, attachments.payer_url.as_str()));
    inputs.extend(attachments.service_date.as_deref().map(|date| input(Input::ServiceDate, date)));
    inputs.extend(common_inputs(request));
    inputs.extend(attachments.multiple_submits.map(|flag| input(Input::MultipleSubmits, flag)));
    let attach_to = attachments.attach_to.as_code();
    let mut task = head(request, kind, identifiers);
    let provider = practitioner_role(attachments);
    put(&mut task, "contained", json!([attachments.patient, provider]));
    put(&mut task, "code", concept(kind.code()));
    put(&mut task, "for", json!({ "reference": "#patient" }));
    put_moments(&mut task, facts);
    put(&mut task, "requester", request.requester.clone());
    put(&mut task, "owner", json!({ "reference": "#practitionerrole" }));
    let mut reason = concept(("http://hl7.org/fhir/claim-use", attach_to));
    reason["text"] = attach_to.into();
    put(&mut task, "reasonCode", reason);
    tail(&mut task, request, inputs);
    Value::Object(task)
}

/// What every Task of ours begins with.
fn head(request: &TaskRequest, kind: TaskKind, identifiers: Vec<Value>) -> Map<String, Value> {
    let mut meta = json!({ "profile": [kind.profile()] });
    let tags: Vec<Value> =
        request.work_queues.iter().map(|code| json!({ "system": CDEX_TEMP, "code": code })).collect();
    if !tags.is_empty() {
        meta["tag"] = tags.into();
    }
    let mut task = Map::new();
    put(&mut task, "resourceType", "Task".into());
    put(&mut task, "meta", meta);
    put(&mut task, "identifier", identifiers.into());
    if !request.authorizations.is_empty() {
        put(&mut task, "basedOn", request.authorizations.clone().into());
    }
    put(&mut task, "status", "requested".into());
    put(&mut task, "intent", "order".into());
    task
}

/// What every Task of ours ends with.
fn tail(task: &mut Map<String, Value>, request: &TaskRequest, inputs: Vec<Value>) {
    if let Some(reason) = &request.reason {
        put(task, "reasonReference", reason.clone());
    }
    if let Some(due) = &request.due {
        put(task, "restriction", json!({ "period": { "end": due } }));
    }
    put(task, "input", inputs.into());
}

fn put_moments(task: &mut Map<String, Value>, facts: &RequestFacts) {
    let now = facts.now.to_string();
    put(task, "authoredOn", now.as_str().into());
    put(task, "lastModified", now.into());
}

fn put(task: &mut Map<String, Value>, name: &str, value: Value) {
    task.insert(name.to_owned(), value);
}

/// An input of a slice, with its value.
fn input(slice: Input, value: impl Into<Value>) -> Value {
    let mut input = json!({ "type": concept(slice.code()) });
    input[slice.value()] = value.into();
    input
}

/// The inputs that both kinds of request may have.
fn common_inputs(request: &TaskRequest) -> impl Iterator<Item = Value> {
    let signature = request.needs_signature.map(|flag| input(Input::Signature, flag));
    let purpose = request.purpose_of_use.as_ref().map(|purpose| input(Input::PurposeOfUse, purpose.clone()));
    signature.into_iter().chain(purpose)
}

/// The lines are an extension of the input itself (cdex §3.2).
fn attachment_input(code: &Value, lines: &[u32]) -> Value {
    let mut input = input(Input::AttachmentsNeeded, code.clone());
    if !lines.is_empty() {
        input["extension"] =
            lines.iter().map(|line| json!({ "url": LINE_NUMBER, "valueInteger": line })).collect();
    }
    input
}

/// The provider as CDex PractitionerRole.
fn practitioner_role(attachments: &Attachments) -> Value {
    let mut role = json!({ "resourceType": "PractitionerRole", "id": "practitionerrole" });
    for (name, identifier) in
        [("practitioner", &attachments.practitioner), ("organization", &attachments.organization)]
    {
        if let Some(identifier) = identifier {
            role[name] = json!({ "identifier": identifier });
        }
    }
    role
}

/// An identifier with the type that makes it what it is; other types stay beside it.
fn typed(identifier: &Value, system: &str, code: &str) -> Value {
    let mut identifier = identifier.clone();
    let is_typed =
        codings(&identifier["type"]).any(|coding| (coding.system, coding.code) == (Some(system), Some(code)));
    if !is_typed {
        let mut all = vec![json!({ "system": system, "code": code })];
        all.extend(identifier["type"]["coding"].as_array().cloned().unwrap_or_default());
        identifier["type"] = json!({ "coding": all });
    }
    identifier
}

/// The patient as CDex Patient Demographics: what identifies, and no more.
pub(super) fn demographics(patient: &Value, member_id: &Value, account: Option<&Value>) -> Value {
    let mut identifiers = vec![typed(member_id, IDENTIFIER_TYPES, "MB")];
    if let Some(account) = account {
        let system = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBIdentifierType";
        identifiers.push(typed(account, system, "pat"));
    }
    let mut written = json!({ "resourceType": "Patient", "id": "patient", "identifier": identifiers });
    // The profile has one name: the one in use, else the first.
    let names = patient["name"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(name) = names.iter().find(|name| name["use"] == "official").or_else(|| names.first()) {
        written["name"] = json!([name]);
    }
    for element in ["gender", "birthDate"] {
        if let Some(value) = patient.get(element) {
            written[element] = value.clone();
        }
    }
    written
}

/// The member id that a Patient bears, as an Identifier.
pub(super) fn member_id_of(patient: &Value) -> Option<&Value> {
    let is_member_id = |identifier: &&Value| {
        codings(&identifier["type"])
            .any(|coding| (coding.system, coding.code) == (Some(IDENTIFIER_TYPES), Some("MB")))
    };
    patient["identifier"].as_array()?.iter().find(is_member_id)
}

/// A Task that the caller wrote, as it is sent: with the profile of its code, the request's identifier and, where it
/// has none, the moment. Everything else stays as it is.
///
/// # Errors
/// It asks for nothing that CDex knows, or it is not new.
pub(crate) fn complete(mut task: Value, at: &str, facts: &RequestFacts) -> Result<Value, Vec<Issue>> {
    let mut issues = Vec::new();
    let Some(profile) = CdexTask::read(&task).map(|task| task.kind.profile()) else {
        let text = "The code is none by which CDex asks for data or attachments";
        return Err(vec![Issue::error(IssueType::CodeInvalid, format!("{at}.code"), text)]);
    };
    match task["status"].as_str() {
        None => task["status"] = "requested".into(),
        Some("requested") => {}
        Some(_) => {
            let text = "A Task that is to be sent is requested";
            issues.push(Issue::error(IssueType::BusinessRule, format!("{at}.status"), text));
        }
    }
    for element in ["output", "statusReason", "businessStatus"] {
        if task.get(element).is_some() {
            let text = "What the answer will say is not there before it is asked for";
            issues.push(Issue::error(IssueType::BusinessRule, format!("{at}.{element}"), text));
        }
    }
    if !issues.is_empty() {
        return Err(issues);
    }
    if let Some(task) = task.as_object_mut() {
        task.remove("id");
        let now = facts.now.to_string();
        task.entry("authoredOn").or_insert_with(|| now.as_str().into());
    }
    if let Some(meta) = task.get_mut("meta").and_then(Value::as_object_mut) {
        meta.remove("versionId");
        meta.remove("lastUpdated");
    }
    append(&mut task, "/meta/profile", profile.into());
    append(&mut task, "/identifier", facts.own_identifier());
    Ok(task)
}

/// Appends to the list at a pointer of at most two names, unless it is there.
fn append(resource: &mut Value, pointer: &str, value: Value) {
    let mut place = resource;
    for name in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[name];
    }
    match place {
        Value::Array(list) if list.contains(&value) => {}
        Value::Array(list) => list.push(value),
        place => *place = json!([value]),
    }
}
