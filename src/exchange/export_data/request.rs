//! What a bulk export is asked for (Bulk Data Access 2.0, Query Parameters), read when it is asked for and kept with
//! the job. All that is wrong is told at once, and no text repeats what a client sent.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::exchange::gather_everything::SUPPORTING;
use crate::fhir::address::parameters;
use crate::fhir::search::{Query, Scope, patient_compartment, searched_types};
use crate::fhir::{self, Issue, IssueType};

/// The spellings of the only format that files have.
const FORMATS: [&str; 3] = ["application/fhir+ndjson", "application/ndjson", "ndjson"];

/// Whose data are exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Level {
    /// Everything.
    System,
    /// All patients.
    Patient,
    /// The members of the Group of this id.
    Group(String),
}

/// An export that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportRequest {
    /// Whose data.
    pub(super) level: Level,
    /// The types exported, in alphabetical order.
    pub(super) types: Vec<String>,
    /// Searches of a type, one of which a resource of that type must match (`_typeFilter`).
    pub(super) filters: Vec<(String, String)>,
    /// The elements wanted (`_elements`), of the type given with each or of all.
    pub(super) elements: Vec<(Option<String>, String)>,
    /// Only what was changed after this moment, in nanoseconds (`_since`).
    pub(super) since: Option<i64>,
    /// Only what was not changed after this one (`_until`).
    pub(super) until: Option<i64>,
    /// The only patients wanted, by id; all, if none.
    pub(super) patients: Vec<String>,
    /// The URL of the request.
    pub(crate) url: String,
    /// The FHIR base URL that the requester used.
    pub(crate) base: String,
}

/// A request that is being read.
struct Reader<'a> {
    base: &'a str,
    lenient: bool,
    issues: Vec<Issue>,
    request: ExportRequest,
}

impl ExportRequest {
    /// Reads the parameters of the URL and of the body, if there is one. With `lenient`, parameters that are not known
    /// and types that cannot be exported are left out.
    pub(super) fn read(
        level: Level,
        (url, base): (String, &str),
        in_url: &[(String, String)],
        body: Option<&Value>,
        lenient: bool,
    ) -> Result<Self, Vec<Issue>> {
        let request = Self {
            level,
            types: Vec::new(),
            filters: Vec::new(),
            elements: Vec::new(),
            since: None,
            until: None,
            patients: Vec::new(),
            url,
            base: base.to_owned(),
        };
        let mut reader = Reader { base, lenient, issues: Vec::new(), request };
        let mut named_types = BTreeSet::new();
        for (name, value) in in_url {
            match name.as_str() {
                // Ids of patients do not belong into URLs, which are logged everywhere.
                "patient" => reader.refuse(IssueType::NotSupported, "patient is only taken in a body"),
                name => reader.take(name, value, &mut named_types),
            }
        }
        if let Some(body) = body {
            reader.take_body(body, &mut named_types);
        }
        reader.choose_types(&named_types);
        reader.check_filters();
        if reader.issues.is_empty() { Ok(reader.request) } else { Err(reader.issues) }
    }

    /// The elements wanted of a type; all, if none.
    pub(super) fn elements_of(&self, resource_type: &str) -> Vec<String> {
        let of_type = |of: &Option<String>| of.as_deref().is_none_or(|of| of == resource_type);
        self.elements.iter().filter(|(of, _)| of_type(of)).map(|(_, name)| name.clone()).collect()
    }

    /// The searches one of which a resource of a type must match; all do, if there are none.
    pub(super) fn filters_of(&self, resource_type: &'static str) -> Vec<Query> {
        let of_type = self.filters.iter().filter(|(of, _)| of == resource_type);
        // They were read when the export was asked for.
        of_type
            .filter_map(|(_, text)| {
                Query::parse(Scope::Type(resource_type), &parameters(text), &self.base, true).ok()
            })
            .collect()
    }

    /// Whether a moment of change is one that is wanted.
    pub(super) fn wants(&self, last_updated: Timestamp) -> bool {
        self.since.is_none_or(|since| last_updated.as_nanos() > since)
            && self.until.is_none_or(|until| last_updated.as_nanos() <= until)
    }
}

impl Reader<'_> {
    fn refuse(&mut self, code: IssueType, text: &str) {
        self.issues.push(Issue::refusal(code, text.to_owned()));
    }

    fn take_body(&mut self, body: &Value, types: &mut BTreeSet<&'static str>) {
        let listed = body.get("parameter").and_then(Value::as_array).into_iter().flatten();
        for parameter in listed {
            let name = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
            let members = parameter.as_object().into_iter().flatten();
            let value = members.into_iter().find(|(name, _)| name.starts_with("value")).map(|(_, it)| it);
            match (name, value) {
                ("patient", Some(reference)) => {
                    let reference = reference.get("reference").and_then(Value::as_str).unwrap_or_default();
                    self.take_patient(reference);
                }
                (name, Some(Value::String(text))) => self.take(name, text, types),
                (name, Some(value)) => self.take(name, &value.to_string(), types),
                (name, None) => self.take(name, "", types),
            }
        }
    }

    fn take_patient(&mut self, reference: &str) {
        let local = reference.strip_prefix(self.base).map_or(reference, |rest| rest.trim_start_matches('/'));
        match local.strip_prefix("Patient/").filter(|id| fhir::datatype::is_id(id)) {
            _ if self.request.level == Level::System => {
                self.refuse(IssueType::NotSupported, "patient is not taken by an export of the whole system");
            }
            Some(id) => self.request.patients.push(id.to_owned()),
            None => self.refuse(IssueType::Value, "patient is no reference to a Patient here"),
        }
    }

    fn take(&mut self, name: &str, value: &str, types: &mut BTreeSet<&'static str>) {
        match name {
            // A `+` in a query is a space once decoded.
            "_outputFormat" if FORMATS.contains(&value.replace(' ', "+").as_str()) => {}
            "_outputFormat" => {
                self.refuse(IssueType::NotSupported, "_outputFormat names a format that is not written here");
            }
            "_since" => self.request.since = self.instant(value, "_since is no instant"),
            "_until" => self.request.until = self.instant(value, "_until is no instant"),
            "_type" => {
                for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                    match fhir::resource_type(name) {
                        Some(known) => {
                            types.insert(known);
                        }
                        None if self.lenient => {}
                        None => {
                            self.refuse(IssueType::Value, "_type names something that is no resource type");
                        }
                    }
                }
            }
            "_elements" => {
                for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                    self.request.elements.push(match name.split_once('.') {
                        Some((of, name)) => (Some(of.to_owned()), name.to_owned()),
                        None => (None, name.to_owned()),
                    });
                }
            }
            "_typeFilter" => {
                for filter in filters(value) {
                    match filter.split_once('?') {
                        Some((of, query)) if fhir::resource_type(of).is_some() => {
                            self.request.filters.push((of.to_owned(), query.to_owned()));
                        }
                        _ => self.refuse(IssueType::Value, "_typeFilter is no search of a resource type"),
                    }
                }
            }
            // How the answers of this server look.
            "_format" | "_pretty" => {}
            _ if self.lenient => {}
            "includeAssociatedData" | "organizeOutputBy" | "allowPartialManifests" => {
                self.refuse(IssueType::NotSupported, &format!("{name} is not supported"));
            }
            _ => self.refuse(IssueType::NotSupported, "A parameter of the export is not known"),
        }
    }

    fn instant(&mut self, value: &str, problem: &str) -> Option<i64> {
        // A `+` of a time zone is a space once decoded.
        let moment = Timestamp::parse_rfc3339(&value.replace(' ', "+"));
        if moment.is_none() {
            self.refuse(IssueType::Value, problem);
        }
        moment.map(Timestamp::as_nanos)
    }

    /// What is exported: the types named, or all but Binary, whose bytes documents refer to.
    fn choose_types(&mut self, named: &BTreeSet<&'static str>) {
        let by_patient = self.request.level != Level::System;
        let fits = |name: &str| {
            !by_patient || is_of_patients(name) || (named.contains(name) && SUPPORTING.contains(&name))
        };
        if !self.lenient && named.iter().any(|name| !fits(name)) {
            self.refuse(IssueType::NotSupported, "_type names a type that does not belong to patients");
        }
        let is_wanted =
            |name: &&'static str| if named.is_empty() { *name != "Binary" } else { named.contains(name) };
        let types: BTreeSet<&str> = searched_types().filter(|name| is_wanted(name) && fits(name)).collect();
        self.request.types = types.into_iter().map(str::to_owned).collect();
    }

    fn check_filters(&mut self) {
        for (of, text) in self.request.filters.clone() {
            let Some(of) = fhir::resource_type(&of) else { continue };
            if !self.request.types.iter().any(|name| name == of) && !self.lenient {
                self.refuse(IssueType::Value, "_typeFilter is about a type that is not exported");
            }
            match Query::parse(Scope::Type(of), &parameters(&text), self.base, true) {
                Ok(query)
                    if !query.sort.is_empty() || !query.includes.is_empty() || query.count.is_some() =>
                {
                    self.refuse(IssueType::NotSupported, "_typeFilter only says which resources are wanted");
                }
                Ok(_) => {}
                Err(issues) => self.issues.extend(issues),
            }
        }
    }
}

/// Whether resources of a type belong to patients.
pub(super) fn is_of_patients(resource_type: &str) -> bool {
    resource_type == "Patient" || !patient_compartment(resource_type).is_empty()
}

/// The searches of one `_typeFilter`. A comma parts them only where the next one begins: values have commas too.
fn filters(value: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for part in value.split(',') {
        let begins = part.split_once('?').is_some_and(|(of, _)| fhir::resource_type(of.trim()).is_some());
        match found.last_mut() {
            Some(last) if !begins => {
                last.push(',');
                last.push_str(part);
            }
            _ => found.push(part.trim().to_owned()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BASE: &str = "http://gateway.example/fhir";

    fn read(level: Level, url: &str, lenient: bool) -> Result<ExportRequest, Vec<Issue>> {
        ExportRequest::read(level, (String::new(), BASE), &parameters(url), None, lenient)
    }

    #[test]
    fn what_cannot_be_exported_is_refused_unless_the_client_is_lenient() {
        for (level, url, strict, lenient) in [
            (Level::System, "", true, true),
            (Level::System, "_type=Patient,Task&_type=Binary", true, true),
            (Level::System, "_type=Patient,Pat", false, true),
            (
                Level::System,
                "_outputFormat=application/fhir+ndjson&_since=2026-01-01T00:00:00+02:00",
                true,
                true,
            ),
            (Level::System, "_outputFormat=csv", false, false),
            (Level::System, "_since=2026-01-01", false, false),
            (Level::System, "includeAssociatedData=LatestProvenanceResources", false, true),
            (Level::System, "_typeFilter=Patient?active=true,false,Task?status=ready", true, true),
            (Level::System, "_typeFilter=Patient?unheard=1", false, false),
            (Level::System, "_typeFilter=Patient?_sort=family", false, false),
            (Level::System, "_type=Task&_typeFilter=Patient?active=true", false, true),
            (Level::Patient, "_type=Practitioner,Condition", true, true),
            (Level::Patient, "_type=Subscription", false, true),
            (Level::Patient, "patient=Patient/1", false, false),
        ] {
            assert_eq!(read(level.clone(), url, false).is_ok(), strict, "{url}");
            assert_eq!(read(level, url, true).is_ok(), lenient, "{url}, lenient");
        }
    }

    #[test]
    fn a_comma_parts_filters_only_where_a_search_begins() {
        let found = filters("Patient?active=true,false,Task?status=a,b");
        assert_eq!(found, ["Patient?active=true,false", "Task?status=a,b"]);
    }

    #[test]
    fn without_types_all_are_meant_but_binary_and_for_patients_only_theirs() {
        let all = read(Level::System, "", false).expect("it is sound").types;
        assert!(all.contains(&"Organization".to_owned()) && !all.contains(&"Binary".to_owned()));
        let of_patients = read(Level::Patient, "", false).expect("it is sound").types;
        assert!(of_patients.contains(&"Observation".to_owned()), "{of_patients:?}");
        assert!(!of_patients.contains(&"Organization".to_owned()), "{of_patients:?}");
    }

    #[test]
    fn patients_are_named_in_a_body() {
        let body = json!({"resourceType": "Parameters", "parameter": [
            {"name": "patient", "valueReference": {"reference": "Patient/a"}},
            {"name": "patient", "valueReference": {"reference": "http://gateway.example/fhir/Patient/b"}},
            {"name": "_type", "valueString": "Condition"},
            {"name": "_elements", "valueString": "id,Condition.code"},
        ]});
        let read = |level| ExportRequest::read(level, (String::new(), BASE), &[], Some(&body), false);
        let request = read(Level::Patient).expect("it is sound");
        assert_eq!((request.patients.len(), &*request.types), (2, ["Condition".to_owned()].as_slice()));
        assert_eq!(request.elements_of("Condition"), ["id", "code"]);
        assert_eq!(request.elements_of("Patient"), ["id"]);
        assert!(read(Level::System).is_err());
    }
}
