//! When care was given, as the operations that gather records ask for it: by the dates of care of each type, not by
//! when a record was made or changed (FHIR R4, Patient-everything; US Core, docref).

use super::Exchange;
use super::interaction::{InteractionError, Requester};
use super::store_resource::Criteria;
use crate::repository::criteria::Criterion;
use crate::repository::entry::Space;

/// The search parameters that tell when the care was that a resource is about; the first one that it has a value of
/// counts. Types that are missing here are about a patient's whole life, or about nothing that has a date: allergies,
/// conditions, goals, coverages, consents.
const CARE_DATES: &[(&str, &[&str])] = &[
    ("Account", &["period"]),
    ("AdverseEvent", &["date"]),
    ("Appointment", &["date"]),
    ("CarePlan", &["date"]),
    ("CareTeam", &["date"]),
    ("ChargeItem", &["occurrence"]),
    ("Claim", &["created"]),
    ("ClaimResponse", &["created"]),
    ("ClinicalImpression", &["date"]),
    ("Communication", &["sent", "received"]),
    ("CommunicationRequest", &["occurrence", "authored"]),
    ("Composition", &["period", "date"]),
    ("DetectedIssue", &["identified"]),
    ("DeviceRequest", &["event-date", "authored-on"]),
    ("DiagnosticReport", &["date"]),
    ("DocumentManifest", &["created"]),
    ("DocumentReference", &["period", "date"]),
    ("Encounter", &["date"]),
    ("EpisodeOfCare", &["date"]),
    ("ExplanationOfBenefit", &["created"]),
    ("ImagingStudy", &["started"]),
    ("Immunization", &["date"]),
    ("Invoice", &["date"]),
    ("MeasureReport", &["period"]),
    ("Media", &["created"]),
    ("MedicationAdministration", &["effective-time"]),
    ("MedicationDispense", &["whenhandedover", "whenprepared"]),
    ("MedicationRequest", &["authoredon"]),
    ("MedicationStatement", &["effective"]),
    ("NutritionOrder", &["datetime"]),
    ("Observation", &["date"]),
    ("Procedure", &["date"]),
    ("QuestionnaireResponse", &["authored"]),
    ("RequestGroup", &["authored"]),
    ("RiskAssessment", &["date"]),
    ("ServiceRequest", &["occurrence", "authored"]),
    ("Specimen", &["collected"]),
    ("SupplyRequest", &["date"]),
    ("Task", &["period", "authored-on"]),
    ("VisionPrescription", &["datewritten"]),
];

/// The care that is asked about. Either end may be open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Care<'a> {
    /// When it began.
    pub(super) start: Option<&'a str>,
    /// When it ended.
    pub(super) end: Option<&'a str>,
}

impl Care<'_> {
    /// Whether all care is meant.
    pub(super) fn is_any(self) -> bool {
        self.start.is_none() && self.end.is_none()
    }

    /// That a resource of one of these types is not about other care. What does not say when it was is not left out.
    pub(super) fn of_types(
        self,
        exchange: &Exchange,
        requester: &Requester,
        types: &[&'static str],
    ) -> Result<Criterion, InteractionError> {
        let mut all = Vec::new();
        if !self.is_any() {
            for name in types {
                let Some(codes) = codes(name) else { continue };
                let kind = Criterion::Type(Space::of_type(requester.caller.tenant(), name));
                let mut alternatives = self.alternatives(exchange, requester, name, codes)?;
                alternatives.extend([
                    Criterion::Not(Box::new(kind)),
                    dated(exchange, requester, name, missing(codes))?,
                ]);
                all.push(Criterion::Any(alternatives));
            }
        }
        Ok(Criterion::All(all))
    }

    /// That a document says that it is about this care.
    pub(super) fn of_documents(
        self,
        exchange: &Exchange,
        requester: &Requester,
    ) -> Result<Criterion, InteractionError> {
        let name = "DocumentReference";
        match codes(name) {
            Some(codes) if !self.is_any() => {
                Ok(Criterion::Any(self.alternatives(exchange, requester, name, codes)?))
            }
            _ => Ok(Criterion::All(Vec::new())),
        }
    }

    /// That the first parameter that has a value has one in the stretch: one alternative for each parameter.
    fn alternatives(
        self,
        exchange: &Exchange,
        requester: &Requester,
        name: &'static str,
        codes: &[&str],
    ) -> Result<Vec<Criterion>, InteractionError> {
        let bounds = [("ge", self.start), ("le", self.end)];
        (0..codes.len())
            .map(|index| {
                let inside = bounds.iter().filter_map(|(prefix, date)| {
                    Some((codes[index].to_owned(), format!("{prefix}{}", (*date)?)))
                });
                dated(exchange, requester, name, missing(&codes[..index]).chain(inside))
            })
            .collect()
    }
}

fn codes(name: &str) -> Option<&'static [&'static str]> {
    CARE_DATES.iter().find(|(own, _)| *own == name).map(|(_, codes)| *codes)
}

fn missing(codes: &[&str]) -> impl Iterator<Item = (String, String)> {
    codes.iter().map(|code| (format!("{code}:missing"), "true".to_owned()))
}

/// What a search by these parameters asks for.
fn dated(
    exchange: &Exchange,
    requester: &Requester,
    name: &'static str,
    parameters: impl Iterator<Item = (String, String)>,
) -> Result<Criterion, InteractionError> {
    let parameters: Vec<_> = parameters.collect();
    let Criteria { criterion, .. } = exchange.criteria(requester, name, &parameters)?;
    Ok(criterion)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::resource_type;
    use crate::fhir::search::{self, Kind};

    #[test]
    fn every_date_of_care_is_a_search_parameter_of_a_type() {
        for (name, codes) in CARE_DATES {
            assert!(resource_type(name).is_some(), "{name}");
            for code in *codes {
                let kind = search::parameter(name, code).map(|parameter| parameter.kind);
                assert_eq!(kind, Some(Kind::Date), "{name} {code}");
            }
        }
        assert!(CARE_DATES.is_sorted_by_key(|(name, _)| *name));
    }
}
