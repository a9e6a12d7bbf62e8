//! Where a stored resource comes from, as an HRex Provenance: who sent it and for whom, when, because of what, for
//! which purpose, and what its signatures turned out to be. Pure: whoever keeps the targets keeps this with them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Identifier;
use super::signature::Verdict;
use crate::clock::Timestamp;
use crate::id::{SubmissionId, UploadId};

/// The profile.
pub(crate) const HREX_PROVENANCE: &str =
    "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition/hrex-provenance";

/// The extension with one line of the verdict on a signature: `rule`, `outcome` and `text`.
pub(crate) const SIGNATURE_CHECK: &str = "urn:cdex-gateway:signature-check";

/// The system of identifiers that are URIs.
const URI: &str = "urn:ietf:rfc:3986";

const AUTHOR: (&str, &str) = ("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "author");
const TRANSMITTER: (&str, &str) =
    ("http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type", "transmitter");

/// Where resources come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Origin {
    /// The resources, as `Type/id`.
    pub(crate) targets: Vec<String>,
    /// Who made them.
    pub(crate) author: Agent,
    /// Who sent them.
    pub(crate) transmitter: Agent,
    /// When they came.
    pub(crate) received_at: Timestamp,
    /// When this is recorded.
    pub(crate) recorded_at: Timestamp,
    /// What they may be used for: each a CodeableConcept.
    pub(crate) purposes: Vec<Value>,
    /// What they came with, and because of what.
    pub(crate) sources: Vec<Source>,
    /// What their signatures turned out to be, a line a rule.
    pub(crate) checks: Vec<SignatureCheck>,
}

/// Somebody who had a part in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Agent {
    who: Value,
    on_behalf_of: Option<Value>,
}

/// What resources came with, or because of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A `$submit-attachment`.
    Submission(SubmissionId),
    /// An earlier one, which this one amends.
    Amended(SubmissionId),
    /// An upload, whose bytes they are.
    Upload(UploadId),
    /// A resource here, as `Type/id`.
    Resource(String),
    /// Something that others know by this identifier.
    Identified(Identifier),
}

/// One line of the verdict on a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SignatureCheck {
    /// The rule, by its key.
    pub(crate) rule: String,
    /// What came of it, in one word.
    pub(crate) outcome: String,
    /// The same for a reader.
    pub(crate) text: String,
}

impl Agent {
    /// A practitioner, on behalf of an organization.
    pub(crate) fn practitioner(identifier: &Identifier, organization: Option<&Identifier>) -> Self {
        let mut who = logical(identifier);
        // provenance-1: whoever is called a Practitioner acts on somebody's behalf.
        if organization.is_some() {
            who["type"] = "Practitioner".into();
        }
        Self { who, on_behalf_of: organization.map(of_organization) }
    }

    /// An organization.
    pub(crate) fn organization(identifier: &Identifier) -> Self {
        Self { who: of_organization(identifier), on_behalf_of: None }
    }

    /// A client of the gateway, where nothing else says who it was.
    pub(crate) fn client(id: &str) -> Self {
        Self { who: json!({ "identifier": { "value": id } }), on_behalf_of: None }
    }

    /// Whoever a Reference in the content names.
    pub(crate) fn referenced(reference: Value) -> Self {
        Self { who: reference, on_behalf_of: None }
    }

    fn to_element(&self, (system, code): (&str, &str)) -> Value {
        let mut agent =
            json!({ "type": { "coding": [{ "system": system, "code": code }] }, "who": self.who });
        if let Some(organization) = &self.on_behalf_of {
            agent["onBehalfOf"] = organization.clone();
        }
        agent
    }
}

impl Source {
    /// The element `Provenance.entity`.
    pub(crate) fn to_element(&self) -> Value {
        let urn = |id: &dyn std::fmt::Display| json!({ "identifier": { "system": URI, "value": format!("urn:uuid:{id}") } });
        let (role, what) = match self {
            Self::Submission(id) => ("source", urn(id)),
            Self::Amended(id) => ("revision", urn(id)),
            Self::Upload(id) => ("source", urn(id)),
            Self::Resource(reference) => ("source", json!({ "reference": reference })),
            Self::Identified(identifier) => ("source", logical(identifier)),
        };
        json!({ "role": role, "what": what })
    }
}

impl SignatureCheck {
    /// The lines of a verdict: what the signature is worth, then each rule.
    pub(crate) fn of(verdict: &Verdict) -> Vec<Self> {
        let check = |rule: &str, outcome: &str, text: &str| Self {
            rule: rule.to_owned(),
            outcome: outcome.to_owned(),
            text: text.to_owned(),
        };
        let judgement = verdict.judgement;
        let lines = verdict.lines.iter().map(|line| check(line.rule, line.result.as_code(), line.text));
        std::iter::once(check("signature", judgement.as_code(), judgement.text())).chain(lines).collect()
    }

    fn to_element(&self) -> Value {
        json!({ "url": SIGNATURE_CHECK, "extension": [
            { "url": "rule", "valueString": self.rule },
            { "url": "outcome", "valueString": self.outcome },
            { "url": "text", "valueString": self.text },
        ] })
    }
}

impl Origin {
    /// The Provenance, without an id.
    pub(crate) fn to_resource(&self) -> Value {
        let mut resource = json!({ "resourceType": "Provenance", "meta": { "profile": [HREX_PROVENANCE] } });
        let list = |values: Vec<Value>| (!values.is_empty()).then_some(Value::Array(values));
        let targets = self.targets.iter().map(|target| json!({ "reference": target })).collect();
        let elements = [
            ("extension", list(self.checks.iter().map(SignatureCheck::to_element).collect())),
            ("target", list(targets)),
            ("occurredDateTime", Some(self.received_at.to_string().into())),
            ("recorded", Some(self.recorded_at.to_string().into())),
            ("reason", list(self.purposes.clone())),
            (
                "agent",
                Some(json!([self.author.to_element(AUTHOR), self.transmitter.to_element(TRANSMITTER)])),
            ),
            ("entity", list(self.sources.iter().map(Source::to_element).collect())),
        ];
        for (name, element) in elements {
            if let Some(element) = element {
                resource[name] = element;
            }
        }
        resource
    }
}

/// A Reference by identifier alone.
pub(crate) fn logical(identifier: &Identifier) -> Value {
    match &identifier.system {
        Some(system) => json!({ "identifier": { "system": system, "value": identifier.value } }),
        None => json!({ "identifier": { "value": identifier.value } }),
    }
}

fn of_organization(identifier: &Identifier) -> Value {
    let mut reference = logical(identifier);
    reference["type"] = "Organization".into();
    reference
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::{self, Issue, Profiles, StructureMode};

    fn npi(value: &str) -> Identifier {
        Identifier { system: Some("http://hl7.org/fhir/sid/us-npi".to_owned()), value: value.to_owned() }
    }

    fn origin(author: Agent, transmitter: Agent) -> Origin {
        Origin {
            targets: vec!["DocumentReference/1".to_owned(), "Binary/2".to_owned()],
            author,
            transmitter,
            received_at: Timestamp::from_nanos(1_700_000_000_000_000_000),
            recorded_at: Timestamp::from_nanos(1_700_000_001_250_000_000),
            purposes: vec![json!({ "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "CLMATTCH" }] })],
            sources: vec![
                Source::Submission(SubmissionId::new()),
                Source::Amended(SubmissionId::new()),
                Source::Upload(UploadId::new()),
                Source::Resource("Task/3".to_owned()),
                Source::Identified(Identifier { system: None, value: "t".to_owned() }),
            ],
            checks: vec![SignatureCheck {
                rule: "CONF-055".to_owned(),
                outcome: "pass".to_owned(),
                text: "sigT is Signature.when".to_owned(),
            }],
        }
    }

    #[test]
    fn conf_008_a_provenance_keeps_the_hrex_profile_whoever_had_a_part() {
        let profiles = Profiles::built_in().expect("the built-in rules");
        let organization = npi("1407071236");
        let agents = [
            Agent::practitioner(&npi("9941339108"), Some(&organization)),
            Agent::practitioner(&npi("9941339108"), None),
            Agent::organization(&organization),
            Agent::client("acme-ehr"),
            Agent::referenced(json!({ "reference": "Organization/1" })),
        ];
        for (author, transmitter) in agents.iter().zip(agents.iter().rev()) {
            let full = origin(author.clone(), transmitter.clone());
            let bare = Origin { purposes: vec![], sources: vec![], checks: vec![], ..full.clone() };
            for resource in [full.to_resource(), bare.to_resource()] {
                let mut issues = fhir::check_structure(&resource, "Provenance", StructureMode::Strict);
                issues.extend(fhir::validate(&resource, HREX_PROVENANCE, &profiles));
                issues.retain(Issue::is_error);
                assert_eq!(issues, [], "{resource}");
            }
        }
    }
}
