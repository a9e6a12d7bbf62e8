//! The Parameters of `$submit-attachment` that answer an attachment request, as text: what comes before, between and
//! after the contents, in the order of the operation's definition. The contents themselves may be of any length and are
//! never here.

use serde_json::{Value, json};

use super::{AttachmentRequest, Needed, What};
use crate::cdex::submission::Identifier;

impl AttachmentRequest {
    /// The text up to the first Attachment.
    pub(crate) fn opening(&self) -> String {
        let identifier = |name: &str, identifier: &Identifier| {
            let mut value = json!({ "value": identifier.value });
            if let Some(system) = &identifier.system {
                value["system"] = system.as_str().into();
            }
            json!({ "name": name, "valueIdentifier": value })
        };
        let mut parameters = vec![identifier("TrackingId", &self.tracking_id)];
        parameters.extend(self.admin_ref_number.iter().map(|id| identifier("AdminRefNumber", id)));
        parameters.push(json!({ "name": "AttachTo", "valueCode": self.attach_to.as_code() }));
        parameters.extend(self.payer_id.iter().map(|id| identifier("PayerId", id)));
        parameters.extend(self.organization_id.iter().map(|id| identifier("OrganizationId", id)));
        parameters.extend(self.provider_id.iter().map(|id| identifier("ProviderId", id)));
        parameters.push(identifier("MemberId", &self.member_id));
        parameters.extend(
            self.service_date.iter().map(|date| json!({ "name": "ServiceDate", "valueDateTime": date })),
        );
        format!("{{\"resourceType\":\"Parameters\",\"parameter\":[{}", joined(&parameters))
    }

    /// The text after the last Attachment. `Final` is always said: some receivers demand it (fhir-peers, Aidbox).
    pub(crate) fn closing(is_last: bool) -> String {
        format!(",{}]}}", json!({ "name": "Final", "valueBoolean": is_last }))
    }
}

impl Needed {
    /// The text of an Attachment up to the resource of its Content. An answer to a Questionnaire has no Code: its
    /// content names the Questionnaire.
    pub(crate) fn opening(&self) -> String {
        let mut parts: Vec<Value> =
            self.line_items.iter().map(|line| json!({ "name": "LineItem", "valueString": line })).collect();
        if let What::Attachment(code) = &self.what {
            parts.push(json!({ "name": "Code", "valueCodeableConcept": code }));
        }
        let mut text = String::from(",{\"name\":\"Attachment\",\"part\":[");
        text.push_str(&joined(&parts));
        if !parts.is_empty() {
            text.push(',');
        }
        text.push_str("{\"name\":\"Content\",\"resource\":");
        text
    }

    /// The text of an Attachment after the resource of its Content.
    pub(crate) const CLOSING: &'static str = "}]}";
}

fn joined(values: &[Value]) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join(",")
}
