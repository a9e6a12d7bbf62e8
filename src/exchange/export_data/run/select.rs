//! Which resources an export has: what the index is asked for, and what is looked at afterwards because the index does
//! not know it, or would have to be asked too much at once.

use std::collections::HashSet;

use serde_json::Value;

use super::Run;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::exchange::export_data::Level;
use crate::exchange::export_data::request::is_of_patients;
use crate::fhir;
use crate::fhir::search::patient_compartment;
use crate::repository::criteria::{self, Bytes, Criterion, EntryTest};
use crate::repository::entry::{Space, Spaces};
use crate::repository::{self, StoredResource, index};

/// Up to how many patients the index is asked for each of them; for more, all of the type are looked at.
const FEW_PATIENTS: usize = 200;

/// Whose resources are exported.
pub(super) enum Patients {
    /// Everything is, whether it belongs to a patient or not.
    Ignored,
    /// Those of all patients.
    All,
    /// Those of the patients of these ids.
    These(HashSet<String>),
}

impl Run<'_> {
    /// Whose resources are exported, as of the moment of the export.
    pub(super) async fn patients_of(&self, tx: &mut Tx<'_>) -> Result<Patients, DbError> {
        let asked: HashSet<String> = self.job.request.patients.iter().cloned().collect();
        match &self.job.request.level {
            Level::System => Ok(Patients::Ignored),
            Level::Patient if asked.is_empty() => Ok(Patients::All),
            Level::Patient => Ok(Patients::These(asked)),
            Level::Group(id) => {
                let group = repository::read(tx, &self.access, "Group", id).await?;
                let group = match group {
                    Some(group) => self.as_of(tx, "Group", group).await?,
                    None => None,
                };
                let content = group.and_then(|group| group.content).unwrap_or_default();
                let group = fhir::parse(&content).unwrap_or_default();
                let mut members = self.members(&group);
                if !asked.is_empty() {
                    members.retain(|id| asked.contains(id));
                }
                Ok(Patients::These(members))
            }
        }
    }

    /// The patients who are members of a Group.
    fn members(&self, group: &Value) -> HashSet<String> {
        let members = group.get("member").and_then(Value::as_array).into_iter().flatten();
        let active = members.filter(|member| member.get("inactive") != Some(&Value::Bool(true)));
        let references = active.filter_map(|member| member.pointer("/entity/reference")?.as_str());
        let local = references.map(|reference| {
            reference
                .strip_prefix(&self.job.request.base)
                .map_or(reference, |rest| rest.trim_start_matches('/'))
        });
        // A reference may name a version; the patient is meant all the same.
        let ids = local.filter_map(|local| local.strip_prefix("Patient/")?.split('/').next());
        ids.map(str::to_owned).collect()
    }

    /// What the index is asked for of a type. It may give more than is wanted.
    pub(super) fn criterion(&self, resource_type: &'static str) -> Criterion {
        let tenant = &self.job.tenant;
        let mut parts = Vec::new();
        if let Some(since) = self.job.request.since {
            let first = Timestamp::from_nanos(since.saturating_add(1));
            parts.push(Criterion::LastUpdated(Some(first), None));
        }
        let few = match &self.patients {
            Patients::These(ids) if ids.len() <= FEW_PATIENTS => Some(ids),
            _ => None,
        };
        match (&self.patients, few) {
            (Patients::Ignored, _) => {}
            // What comes along with patients' resources if it is asked for.
            _ if !is_of_patients(resource_type) => {}
            (_, Some(ids)) if resource_type == "Patient" => {
                parts.push(Criterion::Id(ids.iter().cloned().collect()));
            }
            (_, None) if resource_type == "Patient" => {}
            (_, few) => {
                let test = |value| EntryTest { value, extra: Bytes::Any };
                let tests = match few {
                    Some(ids) => ids
                        .iter()
                        .map(|id| test(Bytes::Equal(["Patient/", id].concat().into_bytes())))
                        .collect(),
                    // From `Patient/` on to the character after the slash.
                    None => {
                        vec![test(Bytes::Range(Some(b"Patient/".to_vec()), Some(b"Patient0".to_vec())))]
                    }
                };
                let spaces = Spaces::of(tenant, resource_type);
                let codes = patient_compartment(resource_type).iter();
                // No tests at all would mean any entry.
                parts.push(if few.is_some_and(HashSet::is_empty) {
                    Criterion::Never
                } else {
                    let of_code =
                        |code: &&'static str| Criterion::Has(spaces.of_code(&[*code]), tests.clone());
                    Criterion::Any(codes.map(of_code).collect())
                });
            }
        }
        let filters = self.job.request.filters_of(resource_type);
        if !filters.is_empty() {
            let of = |query: &_| criteria::of(query, tenant, self.job.transaction_time);
            parts.push(Criterion::Any(filters.iter().map(of).collect()));
        }
        Criterion::All(parts)
    }

    /// Whether a version belongs to one of the patients, where the index was not asked for each of them.
    pub(super) fn is_wanted(&self, resource_type: &'static str, id: &str, content: &[u8]) -> bool {
        let Patients::These(ids) = &self.patients else { return true };
        if !is_of_patients(resource_type) {
            return true;
        }
        if resource_type == "Patient" {
            return ids.contains(id);
        }
        let Ok(tree) = fhir::parse(content) else { return false };
        let spaces = Spaces::of(&self.job.tenant, resource_type);
        let codes: HashSet<Space> =
            patient_compartment(resource_type).iter().map(|code| spaces.of_code(&[code])).collect();
        let entries = index::entries(&self.job.tenant, resource_type, &tree, &self.job.request.base);
        entries.iter().filter(|entry| codes.contains(&entry.space)).any(|entry| {
            let value = std::str::from_utf8(&entry.value).unwrap_or_default();
            value.strip_prefix("Patient/").is_some_and(|id| ids.contains(id))
        })
    }

    /// Whether the version before a deletion belonged to one of the patients.
    pub(super) async fn was_wanted(
        &self,
        tx: &mut Tx<'_>,
        name: &'static str,
        deleted: &StoredResource,
    ) -> Result<bool, DbError> {
        if !matches!(self.patients, Patients::These(_)) {
            return Ok(true);
        }
        let before = deleted.version.saturating_sub(1);
        let before = repository::read_version(tx, &self.access, name, &deleted.id, before).await?;
        let content = before.and_then(|before| before.content);
        Ok(content.is_some_and(|content| self.is_wanted(name, &deleted.id, &content)))
    }
}
