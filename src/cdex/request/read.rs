//! What is wanted, as the parameters of `Task/$request` say it. Everything that is wrong or missing is told at once.

use serde_json::{Value, json};

use super::build::{LINE_NUMBER, demographics, member_id_of};
use super::{Asked, Attachments, Needed, RequestFacts, TaskRequest, Wanted};
use crate::cdex::AttachTo;
use crate::cdex::operation::Inputs;
use crate::fhir::{Issue, IssueType, datatype};

/// How PAS 2.2 calls the extension that names a line of a claim.
const SERVICE_LINE_NUMBER: &str =
    "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-serviceLineNumber";

/// The id of the Patient of ours whose demographics a request for attachments needs and did not bring.
pub(crate) fn member_here(inputs: &Inputs) -> Option<&str> {
    inputs.element("tracking-id")?;
    let reference = inputs.element("patient")?.get("reference")?.as_str()?;
    reference.strip_prefix("Patient/").filter(|id| datatype::is_id(id))
}

/// Reads what is wanted. `facts.member` has the Patient that came with the request or is meant by it.
///
/// # Errors
/// All that is missing or contradicts itself, at once.
pub(crate) fn read(inputs: &Inputs, facts: &RequestFacts) -> Result<TaskRequest, Vec<Issue>> {
    let mut reading = Reading { inputs, facts, issues: Vec::new() };
    let asked = match inputs.element("tracking-id") {
        Some(tracking_id) => reading.attachments(tracking_id),
        None => reading.data(),
    };
    let requester = reading.requester();
    match (asked, requester) {
        (Some(asked), Some(requester)) if reading.issues.is_empty() => Ok(TaskRequest {
            asked,
            requester,
            reason: inputs.element("claim").map(|claim| named_by_us(claim, &facts.base)),
            authorizations: inputs
                .elements("authorization")
                .map(|authorization| named_by_us(authorization, &facts.base))
                .collect(),
            purpose_of_use: inputs.element("purpose-of-use").cloned(),
            needs_signature: inputs.flag("signature"),
            due: inputs.text("due").map(str::to_owned),
            work_queues: inputs.texts("work-queue").map(str::to_owned).collect(),
        }),
        _ => Err(reading.issues),
    }
}

struct Reading<'a> {
    inputs: &'a Inputs,
    facts: &'a RequestFacts,
    issues: Vec<Issue>,
}

impl Reading<'_> {
    fn data(&mut self) -> Option<Asked> {
        for name in ["attachment-code", "admin-ref-number", "service-date", "multiple-submits", "claim-use"] {
            if self.inputs.element(name).is_some() || self.inputs.text(name).is_some() {
                let text = format!("{name} belongs to a request for attachments, which has a tracking-id");
                self.refuse(IssueType::BusinessRule, text);
            }
        }
        let wanted = self.wanted();
        let patient = self.patient();
        let owner = self.owner();
        let reason = self.inputs.text("reason").map(str::to_owned);
        Some(Asked::Data { patient: patient?, owner: owner?, wanted: wanted?, reason })
    }

    /// The one thing that is wanted.
    fn wanted(&mut self) -> Option<Wanted> {
        let inputs = self.inputs;
        let mut wanted: Vec<Wanted> = Vec::new();
        wanted.extend(inputs.text("query").map(|query| Wanted::Query(query.to_owned())));
        wanted.extend(inputs.element("code").map(|code| Wanted::Code(code.clone())));
        wanted.extend(inputs.text("text").map(|text| Wanted::Text(text.to_owned())));
        wanted.extend(inputs.texts("questionnaire").map(|url| Wanted::Questionnaire(url.to_owned())));
        let one = wanted.pop();
        if one.is_none() || !wanted.is_empty() {
            let text = "A request for data has one of query, code, text and questionnaire";
            self.refuse(IssueType::BusinessRule, text.to_owned());
            return None;
        }
        one
    }

    /// The patient, as the Data Source knows them: by its own resource, by the member id, or by both.
    fn patient(&mut self) -> Option<Value> {
        let mut patient = self.inputs.element("patient").cloned();
        if let Some(member_id) = self.inputs.element("member-id") {
            patient.get_or_insert_with(|| json!({}))["identifier"] = member_id.clone();
        }
        if patient.is_none() {
            self.refuse(IssueType::Required, "The request needs patient, member-id or both".to_owned());
        }
        patient
    }

    /// Whoever is asked for data: a practitioner if one is named, else the organization.
    fn owner(&mut self) -> Option<Value> {
        let practitioner = self.inputs.element("practitioner");
        let named =
            practitioner.map(|identifier| json!({ "type": "Practitioner", "identifier": identifier }));
        let owner = named.or_else(|| {
            let organization = self.organization()?;
            Some(json!({ "type": "Organization", "identifier": organization }))
        });
        if owner.is_none() {
            let text = "The request needs practitioner or organization: the partner has no identifiers here";
            self.refuse(IssueType::Required, text.to_owned());
        }
        owner
    }

    fn organization(&self) -> Option<&Value> {
        self.inputs.element("organization").or(self.facts.owner.as_ref())
    }

    fn requester(&mut self) -> Option<Value> {
        let identifier = self.inputs.element("requester").or(self.facts.requester.as_ref());
        if identifier.is_none() {
            let text = "The request needs requester: this gateway has no fhir.identifier";
            self.refuse(IssueType::Required, text.to_owned());
        }
        identifier.map(|identifier| json!({ "type": "Organization", "identifier": identifier }))
    }

    fn attachments(&mut self, tracking_id: &Value) -> Option<Asked> {
        let inputs = self.inputs;
        for name in ["query", "text", "reason"] {
            if inputs.text(name).is_some() {
                let text = format!("{name} belongs to a request for data, which has no tracking-id");
                self.refuse(IssueType::BusinessRule, text);
            }
        }
        if inputs.element("code").is_some() {
            let text = "code belongs to a request for data; attachments are asked for by attachment-code";
            self.refuse(IssueType::BusinessRule, text.to_owned());
        }
        let needed = self.needed();
        let attach_to = self.attach_to();
        let patient = self.demographics();
        let practitioner = inputs.element("practitioner");
        let organization = self.organization().cloned();
        // cdex-3
        if practitioner.is_none() && organization.is_none() {
            let text = "The request needs practitioner or organization: the partner has no identifiers here";
            self.refuse(IssueType::Required, text.to_owned());
        }
        if inputs.element("claim").is_none_or(|claim| claim.get("identifier").is_none()) {
            let text = "A request for attachments needs claim with the identifier of the claim or prior authorization";
            self.refuse(IssueType::Required, text.to_owned());
        }
        let service_date = inputs.text("service-date");
        // cdex-1, cdex-2
        if attach_to == Some(AttachTo::Claim) && service_date.is_none() {
            let text = "A request for attachments to a claim needs service-date";
            self.refuse(IssueType::Required, text.to_owned());
        }
        if service_date.is_some_and(|date| date.len() != "2026-01-01".len()) {
            self.refuse(IssueType::Value, "service-date is precise to the day".to_owned());
        }
        Some(Asked::Attachments(Box::new(Attachments {
            tracking_id: tracking_id.clone(),
            admin_ref_number: inputs.element("admin-ref-number").cloned(),
            attach_to: attach_to?,
            patient: patient?,
            practitioner: practitioner.cloned(),
            organization,
            needed: needed?,
            payer_url: inputs.text("payer-url").unwrap_or(&self.facts.payer_url).to_owned(),
            service_date: service_date.map(str::to_owned),
            multiple_submits: inputs.flag("multiple-submits"),
        })))
    }

    fn attach_to(&mut self) -> Option<AttachTo> {
        let Some(code) = self.inputs.text("claim-use") else { return Some(AttachTo::Claim) };
        let attach_to = AttachTo::from_code(code);
        if attach_to.is_none() {
            self.refuse(IssueType::CodeInvalid, "claim-use is claim or preauthorization".to_owned());
        }
        attach_to
    }

    fn needed(&mut self) -> Option<Needed> {
        let codes: Vec<_> = self.inputs.elements("attachment-code").map(with_lines).collect();
        let urls: Vec<_> = self.inputs.texts("questionnaire").map(str::to_owned).collect();
        match (codes.is_empty(), urls.is_empty()) {
            (false, true) => Some(Needed::Codes(codes)),
            (true, false) => Some(Needed::Questionnaires(urls)),
            // cdex-4, cdex-5, cdex-6
            (true, true) | (false, false) => {
                let text = "A request for attachments has either attachment-code or questionnaire";
                self.refuse(IssueType::BusinessRule, text.to_owned());
                None
            }
        }
    }

    fn demographics(&mut self) -> Option<Value> {
        let Some(member) = &self.facts.member else {
            let text =
                "A request for attachments needs member, or patient as a reference to a Patient kept here";
            self.refuse(IssueType::Required, text.to_owned());
            return None;
        };
        let Some(member_id) = self.inputs.element("member-id").or_else(|| member_id_of(member)) else {
            let text = "A request for attachments needs member-id: the patient has no identifier of type MB";
            self.refuse(IssueType::Required, text.to_owned());
            return None;
        };
        Some(demographics(member, member_id, self.inputs.element("patient-account")))
    }

    fn refuse(&mut self, code: IssueType, text: String) {
        self.issues.push(Issue::refusal(code, text));
    }
}

/// What is asked for, and the lines of the claim that its extensions name.
fn with_lines(code: &Value) -> (Value, Vec<u32>) {
    let mut code = code.clone();
    let mut lines = Vec::new();
    if let Some(extensions) = code.get_mut("extension").and_then(Value::as_array_mut) {
        extensions.retain(|extension| {
            let is_line = extension["url"] == LINE_NUMBER || extension["url"] == SERVICE_LINE_NUMBER;
            let number =
                extension["valueInteger"].as_u64().or_else(|| extension["valuePositiveInt"].as_u64());
            match number.and_then(|number| u32::try_from(number).ok()).filter(|_| is_line) {
                Some(number) => {
                    lines.push(number);
                    false
                }
                None => true,
            }
        });
        if extensions.is_empty()
            && let Some(code) = code.as_object_mut()
        {
            code.remove("extension");
        }
    }
    (code, lines)
}

/// A reference to something of ours, by an URL that means the same to others.
fn named_by_us(reference: &Value, base: &str) -> Value {
    let mut reference = reference.clone();
    if let Some(Value::String(target)) = reference.get_mut("reference")
        && !crate::fhir::reference::is_absolute(target)
        && !target.starts_with('#')
    {
        *target = format!("{base}/{}", target.trim_start_matches('/'));
    }
    reference
}
