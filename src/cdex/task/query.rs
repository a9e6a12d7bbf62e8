//! The search that a data request asks for (cdex.md 6.3), confined to the patient whom the Task is about. Whatever
//! patient the text names, the search is about that one: a placeholder and an id of the requester's own are replaced,
//! and whoever answers looks up whether another name is that of somebody else.

use crate::fhir::datatype::Coding;
use crate::fhir::search::{self, Kind, reference::Target};
use crate::fhir::{address, resource_type};

/// Parameters that concern how an answer is written and cut into pages, which is not theirs to say: resources come
/// whole, all pages as one, and how many there are is always told.
const OF_THE_ANSWER: [&str; 6] = ["_format", "_pretty", "_summary", "_elements", "_total", "_cursor"];

/// Types whose resources name a patient and are not part of the record: requests, and who read what.
const NO_RECORDS: [&str; 2] = ["Task", "AuditEvent"];

/// How much of what matches is asked for; the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// How many there are, and none of them: `_summary=count`, and `_count=0`, which is the same (FHIR R4 search, Page
    /// Count).
    Number,
    /// The first so many, by their order (`_count`).
    First(u32),
    /// All of it.
    All,
}

/// A search of one patient's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PatientSearch {
    /// The type searched.
    pub(crate) resource_type: &'static str,
    /// What is asked for besides the patient, in order.
    parameters: Vec<(String, String)>,
    /// The parameter that names the patient.
    patient: &'static str,
    /// The ids by which the text names patients.
    named: Vec<String>,
    /// How much of it is asked for.
    pub(crate) extent: Extent,
}

/// Why a text is no search of one patient's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSearch {
    /// It is not `Type?parameters`.
    Form,
    /// There is no such type.
    Type,
    /// Resources of this type cannot be told apart by patient.
    Scope,
}

impl NoSearch {
    /// The same for people.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Form => "The query is not a search below the base: Type?parameters",
            Self::Type => "The query searches no resource type of FHIR R4",
            Self::Scope => "The query searches a type that is not part of a patient's record",
        }
    }
}

impl PatientSearch {
    /// Reads the text of a query. `base` is the gateway's own: what it says below that is meant here.
    pub(crate) fn parse(text: &str, base: &str) -> Result<Self, NoSearch> {
        let text = text.trim();
        let text = text.strip_prefix('/').unwrap_or(text);
        let (name, query) = text.split_once('?').unwrap_or((text, ""));
        if name.is_empty() || name.contains(['/', ':', '=', '&']) {
            return Err(NoSearch::Form);
        }
        let resource_type = resource_type(name).ok_or(NoSearch::Type)?;
        let patient = patient_parameter(resource_type).ok_or(NoSearch::Scope)?;
        let (mut named, mut extent) = (Vec::new(), Extent::All);
        let parameters = address::parameters(query).into_iter().filter(|(name, value)| {
            if names_patient(name, patient) {
                named.extend(value.split(',').filter_map(|value| patient_id(value, base)));
                return false;
            }
            if let Some(asked) = asked_extent(name, value) {
                // Of several the least: no more is told than each of them asks for.
                extent = extent.min(asked);
                return false;
            }
            !OF_THE_ANSWER.contains(&name.as_str())
        });
        let parameters = parameters.collect();
        named.sort_unstable();
        named.dedup();
        Ok(Self { resource_type, parameters, patient, named, extent })
    }

    /// The search for documents of these types; of each what is current, the latest first.
    pub(crate) fn of_documents(types: &[Coding<'_>]) -> Self {
        let tokens: Vec<String> = types.iter().filter_map(token).collect();
        let parameters = [
            ("status".to_owned(), "current".to_owned()),
            ("type".to_owned(), tokens.join(",")),
            ("_sort".to_owned(), "-period".to_owned()),
        ];
        Self {
            resource_type: "DocumentReference",
            parameters: parameters.into(),
            patient: "patient",
            named: Vec::new(),
            extent: Extent::All,
        }
    }

    /// The ids by which the text names somebody else than this patient, who may be known or not.
    pub(crate) fn others<'a>(&'a self, patient: &'a str) -> impl Iterator<Item = &'a str> {
        self.named.iter().map(String::as_str).filter(move |named| *named != patient)
    }

    /// The parameters, about this patient and nobody else.
    pub(crate) fn about(&self, patient: &str) -> Vec<(String, String)> {
        let value = match self.patient {
            "_id" => patient.to_owned(),
            _ => format!("Patient/{patient}"),
        };
        let scope = std::iter::once((self.patient.to_owned(), value));
        scope.chain(self.parameters.iter().cloned()).collect()
    }
}

/// How much a parameter asks for, if that is what it is about. What is no number stays, and is refused with the rest of
/// what cannot be applied.
fn asked_extent(name: &str, value: &str) -> Option<Extent> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match (name, value) {
        ("_summary", "count") => Some(Extent::Number),
        // More than a number can say is as much as there is.
        ("_count", _) if is_number => Some(match value.parse() {
            Ok(0) => Extent::Number,
            Ok(count) => Extent::First(count),
            Err(_) => Extent::All,
        }),
        _ => None,
    }
}

/// The parameter by which resources of a type are those of one patient.
fn patient_parameter(resource_type: &str) -> Option<&'static str> {
    if resource_type == "Patient" {
        return Some("_id");
    }
    if NO_RECORDS.contains(&resource_type) {
        return None;
    }
    ["patient", "subject"].into_iter().find(|code| {
        let parameter = search::parameter(resource_type, code);
        parameter.is_some_and(|it| it.kind == Kind::Reference && it.targets.contains(&"Patient"))
    })
}

/// Whether a parameter names the patient by id. By identifier, or by other traits, it says more about the one meant.
fn names_patient(name: &str, parameter: &str) -> bool {
    let names = if parameter == "_id" { &["_id"][..] } else { &["patient", "subject"] };
    let plain = name.strip_suffix(":Patient").unwrap_or(name);
    names.contains(&plain)
}

/// The id of a patient that a value of a reference, or of `_id`, names. A placeholder is not one.
fn patient_id(value: &str, base: &str) -> Option<String> {
    let id = match Target::of(value, base) {
        Target::Local { resource_type: "Patient", id } => id,
        Target::Local { .. } => return None,
        Target::Url(text) => text,
    };
    crate::fhir::datatype::is_id(id).then(|| id.to_owned())
}

fn token(coding: &Coding<'_>) -> Option<String> {
    let code = search::escaped(coding.code?);
    Some(match coding.system {
        Some(system) => format!("{}|{code}", search::escaped(system)),
        None => code.into(),
    })
}
