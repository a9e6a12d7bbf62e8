//! US Core `DocumentReference/$docref`: the documents about a patient by type and dates of care. It is a search with
//! its own defaults; documents are found, never made.

use super::Exchange;
use super::care_date::Care;
use super::find_resource::{PageRequest, SearchPage};
use super::interaction::{InteractionError, Requester};
use crate::cdex::operation::Inputs;
use crate::db::Tx;
use crate::fhir::search::{Query, Scope};
use crate::fhir::{Issue, Place};
use crate::repository::criteria::{self, Criterion};

/// LOINC: Summary of episode note, which is what a CCD is.
const CCD: &str = "http://loinc.org|34133-9";

impl Exchange {
    /// Finds documents, the latest first.
    pub(super) async fn find_documents(
        &self,
        requester: &Requester,
        inputs: &Inputs,
    ) -> Result<SearchPage, InteractionError> {
        let care = Care { start: inputs.text("start"), end: inputs.text("end") };
        let types: Vec<&str> = inputs.texts("type").collect();
        let mut reader = self.db.reader().await?;
        let mut tx = reader.tx();
        let mut page = if !care.is_any() {
            self.documents(&mut tx, requester, inputs, care, &types, None).await?
        } else if types.is_empty() {
            let ccd = self.documents(&mut tx, requester, inputs, care, &[CCD], Some(1)).await?;
            if ccd.matches.is_empty() {
                self.documents(&mut tx, requester, inputs, care, &[], Some(1)).await?
            } else {
                ccd
            }
        } else {
            self.documents(&mut tx, requester, inputs, care, &types, Some(1)).await?
        };
        if care.is_any() {
            // The latest one is all that was asked for: there is no next page.
            page.total = Some(page.matches.len() as u64);
            page.next = None;
        }
        page.remarks.extend(inputs.ignored.iter().cloned());
        if inputs.flag("on-demand") == Some(true) {
            page.remarks
                .push(Issue::information("No documents are made on demand; those that are here are shown"));
        }
        if page.matches.is_empty() {
            page.remarks.push(Issue::information("No such document is here"));
        }
        Ok(page)
    }

    async fn documents(
        &self,
        tx: &mut Tx<'_>,
        requester: &Requester,
        inputs: &Inputs,
        care: Care<'_>,
        types: &[&str],
        count: Option<u32>,
    ) -> Result<SearchPage, InteractionError> {
        let profiles: Vec<&str> = inputs.texts("profile").collect();
        let patient = inputs.text("patient").unwrap_or_default();
        let parameters = [
            ("patient", patient.to_owned()),
            // What was superseded, or entered in error, is not what care rests on.
            ("status", "current".to_owned()),
            ("type", types.join(",")),
            ("_profile", profiles.join(",")),
            ("_sort", "-period".to_owned()),
            ("_count", count.map_or_else(String::new, |count| count.to_string())),
            ("_cursor", inputs.cursor.clone().unwrap_or_default()),
        ];
        // Empty ones ask for nothing.
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value));
        let mut query = Query::parse(Scope::Type("DocumentReference"), &parameters, &requester.base, true)
            .map_err(InteractionError::Malformed)?;
        query.applied = inputs.applied();
        let asked = criteria::of(&query, requester.caller.tenant(), self.clock.now());
        let criterion = Criterion::All(vec![asked, care.of_documents(self, requester)?]);
        let path = format!("/{}", Place::Type("DocumentReference").path_of("docref"));
        self.page(tx, requester, PageRequest { path, query, criterion, declared: Vec::new() }).await
    }
}
