//! Direct queries under a signature agreement (cdex.md 7.4): every Bundle that answers one is signed by the gateway's
//! organisation, as the last thing before it is sent. A read has no place for a signature, so it is refused (CONF-010);
//! nor has an entry of a batch or transaction. Documents for Tasks are signed here too.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::interaction::{Done, InteractionError, Requester};
use super::{Exchange, Interrupted};
use crate::auth::Caller;
use crate::cdex::signature::{SignError, Signer, attest, sign_document};
use crate::fhir::{self, Address, Issue, IssueType};
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

    /// Refuses a Bundle that was read and has no signature of its own.
    pub(super) fn may_show(&self, requester: &Requester, done: &Done) -> Result<(), InteractionError> {
        let is_unsigned = match done {
            Done::Read(resource, _) => resource.resource_type == "Bundle" && !has_own_signature(resource),
            Done::Elsewhere(elsewhere) => {
                elsewhere.resource["resourceType"] == "Bundle"
                    && elsewhere.resource.get("signature").is_none()
                    && !is_answer(&elsewhere.resource)
            }
            _ => false,
        };
        if is_unsigned && self.agreed_signer(&requester.caller).is_some() { Err(refused()) } else { Ok(()) }
    }

    /// Refuses what an entry of a batch or transaction found, if that would have to be signed: alone it is a Bundle
    /// with its signature, as a part of another answer it would be told unsigned (CONF-010).
    pub(super) fn may_tell_in_bundle(
        &self,
        requester: &Requester,
        done: Done,
    ) -> Result<Done, InteractionError> {
        self.may_show(requester, &done)?;
        if self.signs(&requester.caller, &done) { Err(refused()) } else { Ok(done) }
    }

    /// Whether the Bundle that shows this is to be signed for this caller.
    pub(crate) fn signs(&self, caller: &Caller, done: &Done) -> bool {
        let is_data = match done {
            Done::Page(page) => {
                let is_exempt = |name: &str| EXEMPT.contains(&name);
                // Whatever comes along with what is exempt is not.
                let mut shown = page.matches.iter().chain(&page.included);
                !page.path.strip_prefix('/').is_some_and(is_exempt)
                    || !shown.all(|resource| is_exempt(&resource.resource_type))
            }
            Done::History(_) | Done::Matched(_) => true,
            Done::Elsewhere(elsewhere) => {
                is_answer(&elsewhere.resource) && elsewhere.resource.get("signature").is_none()
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

impl Exchange {
    /// A document with these resources and the signature of `signer`.
    pub(super) async fn sign_document(
        &self,
        texts: Vec<Bytes>,
        subject: Value,
        base: Arc<str>,
        signer: Arc<Signer>,
    ) -> Result<Result<Bytes, SignError>, Interrupted> {
        let now = self.clock.now();
        let _held = self.signatures.hold(texts.iter().map(Bytes::len).sum()).await?;
        self.compute(move || {
            let resources: Vec<Value> = texts.iter().filter_map(|text| fhir::parse(text).ok()).collect();
            let document = sign_document(&resources, &subject, &base, now, &signer)?;
            Ok(document.to_string().into())
        })
        .await
    }

    /// A Bundle with this resource and the signature of the gateway's organisation.
    pub(super) async fn attest(
        &self,
        text: Bytes,
        subject: Value,
    ) -> Result<Result<Bytes, SignError>, Interrupted> {
        let Some(signer) = self.signatures.signer().cloned() else { return Ok(Err(SignError::Key)) };
        let (now, base) = (self.clock.now(), self.settings.fhir_base.clone());
        let _held = self.signatures.hold(text.len()).await?;
        self.compute(move || {
            let resource = fhir::parse(&text).map_err(|_| SignError::Unsignable)?;
            let bundle = attest(resource, &subject, &base, now, &signer)?;
            Ok(bundle.to_string().into())
        })
        .await
    }
}

/// Whether a resource of another server is a Bundle that answers a search or tells a history.
fn is_answer(resource: &Value) -> bool {
    resource["resourceType"] == "Bundle" && (resource["type"] == "searchset" || resource["type"] == "history")
}

fn has_own_signature(bundle: &StoredResource) -> bool {
    let members = fhir::resource::members(bundle.content.as_deref().unwrap_or_default());
    members.filter_map(Result::ok).any(|member| member.name == "signature")
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
