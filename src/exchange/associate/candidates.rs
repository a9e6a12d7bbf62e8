//! The Tasks and Claims that a submission may belong to, found by its tracking number. The payer's own resources are
//! meant, whoever of its people or programs keeps them: a submission is no reader of theirs, so that the whole tenant
//! is looked at, and only what [`association`](crate::cdex::association) chooses is ever touched.

use super::super::match_patient::tree_of;
use crate::auth::Access;
use crate::cdex::Submission;
use crate::cdex::association::{Association, Candidate, Referred, Systems, associate, party_references};
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::exchange::Exchange;
use crate::fhir::search::{Query, Scope, escaped};
use crate::repository::criteria;
use crate::repository::entry::Space;
use crate::repository::{self, Search, StoredResource};

/// Resources that are looked at: more of one number tell nothing.
const CANDIDATES: u32 = 50;

impl Exchange {
    /// What a submission belongs to, as far as that is here now.
    pub(in crate::exchange) async fn association_of(
        &self,
        access: &Access,
        submission: &Submission,
    ) -> Result<Association, DbError> {
        let mut reader = self.db.reader().await?;
        let mut tx = reader.tx();
        let worker = Access::of_worker(access.tenant());
        let now = self.clock.now();
        let number = &submission.tracking_id.value;
        let mut found = identified(&mut tx, &worker, &["Task", "Claim"], &[number], now).await?;
        let mut candidates = Vec::new();
        let mut named = Vec::new();
        while let Some(stored) = found.pop() {
            let candidate = candidate(&mut tx, &worker, &stored).await?;
            named.extend(candidate.as_ref().and_then(Candidate::claim).map(|claim| claim.value.clone()));
            candidates.extend(candidate);
            if found.is_empty() && !named.is_empty() {
                // The Claims that the Tasks are about; they name no further ones.
                found = identified(&mut tx, &worker, &["Claim"], &named, now).await?;
                named.clear();
            }
        }
        // One Claim may have both numbers.
        candidates.sort_by(|one, other| one.reference.cmp(&other.reference));
        candidates.dedup_by(|one, other| one.reference == other.reference);
        Ok(associate(submission, &candidates, self.systems_of(access, submission)))
    }

    /// How identifiers of this sender are compared.
    fn systems_of(&self, access: &Access, submission: &Submission) -> Systems {
        let sender = [&submission.organization_id, &submission.provider_id];
        let mut sender = sender.into_iter().flatten();
        let partner = self.partners.of_client(access.owner()).or_else(|| {
            sender.find_map(|sender| self.partners.of_identifier(sender.system.as_deref(), &sender.value))
        });
        let policy = self.partners.policy(partner.map(AsRef::as_ref));
        if policy.strict_identifiers { Systems::Compared } else { Systems::Ignored }
    }
}

/// The resources of these types that have one of these identifiers.
async fn identified(
    tx: &mut Tx<'_>,
    access: &Access,
    types: &[&str],
    values: &[impl AsRef<str>],
    now: Timestamp,
) -> Result<Vec<StoredResource>, DbError> {
    let values: Vec<_> = values.iter().map(|value| escaped(value.as_ref())).collect();
    let parameters = [("_type".to_owned(), types.join(",")), ("identifier".to_owned(), values.join(","))];
    // Where there is nothing to look for (a number of white space, say) there is nothing to find.
    let query = Query::parse(Scope::System, &parameters, "", true).ok();
    let Some(query) = query.filter(|query| !query.filters.is_empty()) else { return Ok(Vec::new()) };
    let search = Search {
        types: query.types.iter().map(|name| Space::of_type(access.tenant(), name)).collect(),
        criterion: criteria::of(&query, access.tenant(), now),
        order: Vec::new(),
        count: CANDIDATES,
        after: None,
        count_to: 0,
    };
    Ok(repository::search(tx, access, &search).await?.resources)
}

/// What is known of a Task or Claim, with the resources here that its parties are.
async fn candidate(
    tx: &mut Tx<'_>,
    access: &Access,
    stored: &StoredResource,
) -> Result<Option<Candidate>, DbError> {
    let tree = tree_of(stored)?;
    let mut referred = Referred::new();
    for reference in party_references(&tree) {
        let Some((resource_type, id)) = reference.split_once('/') else { continue };
        let found = repository::read(tx, access, resource_type, id).await?;
        if let Some(found) = found.filter(|found| found.content.is_some()) {
            referred.insert(reference.to_owned(), tree_of(&found)?);
        }
    }
    let task = Candidate::of_task(&stored.id, &tree, &referred);
    Ok(task.or_else(|| Candidate::of_claim(&stored.id, &tree, &referred)))
}
