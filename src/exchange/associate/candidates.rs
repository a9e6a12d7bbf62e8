//! The Tasks and Claims that a submission may belong to, found by its tracking number. The payer's own resources are
//! meant, whoever of its people or programs keeps them: a submission is no reader of theirs, so that the whole tenant is
//! looked at, and only what [`association`](crate::cdex::association) chooses is ever touched.

use serde_json::Value;

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

/// Resources of a type that are looked at: more of one number tell nothing.
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
        let mut candidates = Vec::new();
        for stored in identified(&mut tx, &worker, "Task", &[number], now).await? {
            let (tree, referred) = with_parties(&mut tx, &worker, &stored).await?;
            candidates.extend(Candidate::of_task(&stored.id, &tree, &referred));
        }
        let named: Vec<String> =
            candidates.iter().filter_map(Candidate::claim).map(|claim| claim.value.clone()).collect();
        let numbers: Vec<&str> = std::iter::once(number).chain(&named).map(String::as_str).collect();
        for stored in identified(&mut tx, &worker, "Claim", &numbers, now).await? {
            let (tree, referred) = with_parties(&mut tx, &worker, &stored).await?;
            candidates.extend(Candidate::of_claim(&stored.id, &tree, &referred));
        }
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

/// The resources of a type that have one of these identifiers, in the order of their creation.
async fn identified(
    tx: &mut Tx<'_>,
    access: &Access,
    resource_type: &'static str,
    values: &[impl AsRef<str>],
    now: Timestamp,
) -> Result<Vec<StoredResource>, DbError> {
    let values: Vec<_> = values.iter().map(|value| escaped(value.as_ref())).collect();
    let parameters = [("identifier".to_owned(), values.join(","))];
    // Without anything to look for nothing is found: a number of white space, say.
    let Ok(query) = Query::parse(Scope::Type(resource_type), &parameters, "", true) else {
        return Ok(Vec::new());
    };
    if query.filters.is_empty() {
        return Ok(Vec::new());
    }
    let search = Search {
        types: vec![Space::of_type(access.tenant(), resource_type)],
        criterion: criteria::of(&query, access.tenant(), now),
        order: Vec::new(),
        count: CANDIDATES,
        after: None,
        count_to: 0,
    };
    Ok(repository::search(tx, access, &search).await?.resources)
}

/// A candidate with the resources here that its parties are.
async fn with_parties(
    tx: &mut Tx<'_>,
    access: &Access,
    stored: &StoredResource,
) -> Result<(Value, Referred), DbError> {
    let tree = tree_of(stored)?;
    let mut referred = Referred::new();
    for reference in party_references(&tree) {
        let Some((resource_type, id)) = reference.split_once('/') else { continue };
        let found = repository::read(tx, access, resource_type, id).await?;
        if let Some(found) = found.filter(|found| found.content.is_some()) {
            referred.insert(reference.to_owned(), tree_of(&found)?);
        }
    }
    Ok((tree, referred))
}
