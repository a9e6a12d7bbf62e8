//! Who a Task is about: named by a reference to a Patient here, or by an identifier alone (CONF-007).

use super::{NoAnswer, Seeker};
use crate::cdex::task::{CdexTask, reference_of};
use crate::exchange::Exchange;
use crate::exchange::interaction::InteractionError;
use crate::fhir::datatype::Identifier;
use crate::fhir::search::{escaped, reference::Target};
use crate::repository;
use crate::upstream::{Search, UpstreamError};

/// Who is meant.
pub(super) enum Patient {
    /// This one.
    One(String),
    /// Nobody who is known.
    Unknown,
    /// More than one.
    Several,
}

impl Exchange {
    /// The patient whom a Task is about. A reference is believed where the data of whom it names are searched anyway;
    /// with an identifier beside it only if there is such a Patient.
    pub(super) async fn patient_of(&self, seeker: &Seeker, task: &CdexTask<'_>) -> Result<Patient, NoAnswer> {
        let Some(patient) = task.patient() else { return Ok(Patient::Unknown) };
        let identifier = patient.get("identifier").map(Identifier::of);
        if let Some(text) = reference_of(patient)
            && let Target::Local { resource_type: "Patient", id } = Target::of(text, &seeker.requester.base)
            && (identifier.is_none() || self.is_known_patient(seeker, id).await?)
        {
            return Ok(Patient::One(id.to_owned()));
        }
        match identifier {
            Some(Identifier { system, value: Some(value) }) => {
                let token = match system {
                    Some(system) => format!("{}|{}", escaped(system), escaped(value)),
                    None => escaped(value).into_owned(),
                };
                Ok(self.patients_with(seeker, token).await?)
            }
            _ => Ok(Patient::Unknown),
        }
    }

    async fn patients_with(&self, seeker: &Seeker, token: String) -> Result<Patient, InteractionError> {
        let parameters = [("identifier".to_owned(), token)];
        let upstream = self.upstream.as_deref().filter(|upstream| upstream.serves("Patient"));
        let mut ids: Vec<String> = if let Some(upstream) = upstream {
            let search =
                Search { resource_type: "Patient", parameters: &parameters, count: Some(2), cursor: None };
            let page = upstream.search(&seeker.view(None), &search).await?;
            let matches = page.entries.iter().filter(|entry| entry["search"]["mode"] != "include");
            matches.filter_map(|entry| Some(entry["resource"]["id"].as_str()?.to_owned())).collect()
        } else {
            let mut reader = self.db.reader().await?;
            let found = self.look_up(&mut reader.tx(), &seeker.requester, "Patient", &parameters, 2).await?;
            found.into_iter().map(|patient| patient.id).collect()
        };
        Ok(match (ids.pop(), ids.is_empty()) {
            (None, _) => Patient::Unknown,
            (Some(id), true) => Patient::One(id),
            (Some(_), false) => Patient::Several,
        })
    }

    /// Whether there is a Patient of this id.
    pub(super) async fn is_known_patient(&self, seeker: &Seeker, id: &str) -> Result<bool, NoAnswer> {
        if let Some(upstream) = self.upstream.as_deref().filter(|upstream| upstream.serves("Patient")) {
            return match upstream.read(&seeker.view(None), "Patient", id).await {
                Ok(_) => Ok(true),
                Err(UpstreamError::NotFound | UpstreamError::Gone) => Ok(false),
                Err(error) => Err(InteractionError::from(error).into()),
            };
        }
        let mut reader = self.db.reader().await?;
        let there = repository::read(&mut reader.tx(), &seeker.access, "Patient", id).await?;
        Ok(there.is_some_and(|there| there.content.is_some()))
    }
}
