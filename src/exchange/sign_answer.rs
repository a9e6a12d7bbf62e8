//! Direct queries under a signature agreement (cdex.md 7.4): every Bundle that answers one is signed by the gateway's
//! organisation, as the last thing before it is sent. A read has no place for a signature, so it is refused (CONF-010).

use std::sync::Arc;

use bytes::Bytes;

use super::Exchange;
use super::interaction::{Done, InteractionError, Requester};
use crate::auth::Caller;
use crate::cdex::signature::{SignError, Signer};
use crate::fhir::{Address, Issue, IssueType};
use crate::repository::StoredResource;

/// What the exchange itself lives on is read, polled and not attested.
const EXEMPT: [&str; 3] = ["Binary", "Subscription", "Task"];

impl Exchange {
    /// Who signs what this caller is told, if that is agreed.
    fn agreed_signer(&self, caller: &Caller) -> Option<&Arc<Signer>> {
        let partner = self.partners.of_client(caller.client_id());
        let policy = self.partners.policy(partner.map(AsRef::as_ref));
        self.signatures.signer().filter(|_| policy.sign)
    }

    /// Refuses what would tell this caller something unsigned. A Bundle may carry its own signature, which shows when
    /// it is there ([`Self::may_show`]).
    pub(super) fn may_read(&self, requester: &Requester, address: &Address) -> Result<(), InteractionError> {
        let (Address::Instance(resource_type, _) | Address::Version(resource_type, ..)) = address else {
            return Ok(());
        };
        let is_open = *resource_type == "Bundle" || EXEMPT.contains(resource_type);
        if is_open || self.agreed_signer(&requester.caller).is_none() { Ok(()) } else { Err(refused()) }
    }

    /// Refuses a Bundle without a signature of its own.
    pub(super) fn may_show(
        &self,
        requester: &Requester,
        resource: &StoredResource,
    ) -> Result<(), InteractionError> {
        let is_unsigned = || {
            let members = crate::fhir::resource::members(resource.content.as_deref().unwrap_or_default());
            !members.filter_map(Result::ok).any(|member| member.name == "signature")
        };
        if resource.resource_type == "Bundle"
            && self.agreed_signer(&requester.caller).is_some()
            && is_unsigned()
        {
            return Err(refused());
        }
        Ok(())
    }

    /// Whether the Bundle that shows this is to be signed for this caller.
    pub(crate) fn signs(&self, caller: &Caller, done: &Done) -> bool {
        let is_data = match done {
            Done::Page(page) => !EXEMPT.iter().any(|name| page.path.strip_prefix('/') == Some(name)),
            Done::History(_) | Done::Matched(_) => true,
            Done::Elsewhere(elsewhere) => {
                elsewhere.resource["resourceType"] == "Bundle"
                    && elsewhere.resource["type"] == "searchset"
                    && elsewhere.resource.get("signature").is_none()
            }
            Done::Created(_)
            | Done::Updated(_)
            | Done::Existed(_)
            | Done::Deleted(_)
            | Done::Read(..)
            | Done::NotModified(_)
            | Done::Performed(_)
            | Done::Validated(_)
            | Done::Answered(_) => false,
        };
        is_data && self.agreed_signer(caller).is_some()
    }

    /// The text of a Bundle with the signature of the gateway's organisation; nothing of it is changed.
    pub(crate) async fn sign_answer(
        &self,
        caller: &Caller,
        bundle: Bytes,
    ) -> Result<Bytes, InteractionError> {
        let Some(signer) = self.agreed_signer(caller).cloned() else { return Ok(bundle) };
        let now = self.clock.now();
        let signed = self.compute(move || signer.sign_text(&bundle, now)).await?;
        signed.map(Bytes::from).map_err(InteractionError::Unsigned)
    }
}

/// A read that cannot be answered with a signature.
fn refused() -> InteractionError {
    let issue =
        Issue::refusal(IssueType::BusinessRule, "signed FHIR RESTful read response is not supported.");
    InteractionError::Malformed(vec![issue.advising("Resubmit the request as a FHIR RESTful search")])
}

/// What is told when an answer that must be signed cannot be.
pub(super) fn unsigned(error: SignError) -> Issue {
    match error {
        SignError::Unsignable => {
            Issue::refusal(IssueType::NotSupported, "What was found has a number that no signature covers")
        }
        SignError::Key | SignError::NotValid(_) => {
            Issue::refusal(IssueType::Exception, "The answer cannot be signed at the moment")
        }
    }
}
