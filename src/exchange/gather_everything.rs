//! `Patient/[id]/$everything`: a patient's compartment page by page, and with each page what its resources refer to
//! directly. It is a search of the compartment with dates of care.

use super::Exchange;
use super::care_date::Care;
use super::find_resource::{PageRequest, SearchPage, present, supporting};
use super::interaction::{InteractionError, Requester};
use crate::cdex::operation::Inputs;
use crate::fhir::search::{Compartment, Query, Scope};
use crate::fhir::{self, Issue, IssueType, Place};
use crate::repository::criteria::{self, Criterion};

/// The types outside the compartment whose resources come along. They tell of those who gave the care, and of where
/// and with what, and never of another patient.
pub(super) const SUPPORTING: [&str; 10] = [
    "Device",
    "Endpoint",
    "HealthcareService",
    "InsurancePlan",
    "Location",
    "Medication",
    "Organization",
    "Practitioner",
    "PractitionerRole",
    "Substance",
];

impl Exchange {
    /// Gathers a page of everything about a patient.
    pub(super) async fn gather_everything(
        &self,
        requester: &Requester,
        id: String,
        inputs: &Inputs,
    ) -> Result<SearchPage, InteractionError> {
        let wanted = wanted_types(inputs)?;
        let is_wanted = |name: &str| wanted.is_empty() || wanted.contains(&name);
        let mut reader = self.db.reader().await?;
        let mut tx = reader.tx();
        present(&mut tx, &requester.access(), "Patient", &id).await?;

        let parameters = [
            ("_lastUpdated", inputs.text("_since").map(|since| format!("ge{since}"))),
            ("_count", inputs.text("_count").map(str::to_owned)),
            ("_cursor", inputs.cursor.clone()),
        ];
        let parameters: Vec<(String, String)> =
            parameters.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let scope = Scope::Compartment(Compartment { patient: id.clone() }, None);
        let mut query =
            Query::parse(scope, &parameters, &requester.base, true).map_err(InteractionError::Malformed)?;
        query.applied = inputs.applied();
        // What comes along is found from the compartment, even if nothing else of it is wanted.
        let is_shown = query.types.iter().any(|name| is_wanted(name));
        if is_shown {
            query.types.retain(|name| is_wanted(name));
        }
        let care = Care { start: inputs.text("start"), end: inputs.text("end") };
        let care = care.of_types(self, requester, &query.types)?;
        let criterion =
            Criterion::All(vec![criteria::of(&query, requester.caller.tenant(), self.clock.now()), care]);
        let path = format!("/{}", Place::Instance("Patient", id).path_of("everything"));
        let mut page = self
            .page(&mut tx, requester, PageRequest { path, query, criterion, declared: Vec::new() })
            .await?;

        let targets: Vec<&str> = SUPPORTING.into_iter().filter(|name| is_wanted(name)).collect();
        page.included =
            supporting(&mut tx, &requester.caller, &page.matches, &targets, &mut page.remarks).await?;
        page.remarks.extend(inputs.ignored.iter().cloned());
        if !is_shown {
            page.matches.clear();
            page.total = None;
        }
        Ok(page)
    }
}

/// The types that are wanted; all, if none is named.
fn wanted_types(inputs: &Inputs) -> Result<Vec<&'static str>, InteractionError> {
    let wanted: Option<Vec<&'static str>> = inputs.texts("_type").map(fhir::resource_type).collect();
    wanted.ok_or_else(|| {
        let text = "_type names something that is no resource type";
        InteractionError::Malformed(vec![Issue::refusal(IssueType::Value, text)])
    })
}
