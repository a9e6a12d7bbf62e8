//! Verifies the signatures of what comes in. Whose are believed, and what must be signed, is agreed with each partner;
//! what is verified is the text as it was received. The work is done beside the threads that serve, and no more bytes
//! than a budget are held for it at once.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Exchange, Interrupted};
use crate::auth::Caller;
use crate::cdex::signature::{Judgement, Signer, TrustAnchors, Verdict, covers, has_signature, verify};
use crate::clock::Timestamp;
use crate::config::SignaturePolicy;
use crate::fhir::{Issue, IssueType};
use crate::partner::Partner;

/// The longest text whose signatures are verified, in bytes.
pub(super) const LARGEST: u64 = 16 << 20;

/// All texts that are verified or signed at once, in KiB.
const BUDGET_KIB: usize = 64 << 10;

/// Who signs for the gateway, and whose signatures it believes.
#[derive(Debug)]
pub(crate) struct Signatures {
    signer: Option<Arc<Signer>>,
    everybody: Arc<TrustAnchors>,
    /// Those with whom something else is agreed, by name.
    partners: HashMap<String, Arc<TrustAnchors>>,
    budget: Semaphore,
}

impl Default for Signatures {
    /// Nobody signs and nobody is believed.
    fn default() -> Self {
        Self::new(None, TrustAnchors::default(), HashMap::new())
    }
}

impl Signatures {
    /// Whose signatures are believed: of everybody, and of single partners by name.
    pub(crate) fn new(
        signer: Option<Signer>,
        everybody: TrustAnchors,
        partners: HashMap<String, TrustAnchors>,
    ) -> Self {
        Self {
            signer: signer.map(Arc::new),
            everybody: Arc::new(everybody),
            partners: partners.into_iter().map(|(name, trust)| (name, Arc::new(trust))).collect(),
            budget: Semaphore::new(BUDGET_KIB),
        }
    }

    /// Who signs for the gateway.
    pub(super) fn signer(&self) -> Option<&Arc<Signer>> {
        self.signer.as_ref()
    }

    /// What is legal at this time, but surely not meant.
    pub(crate) fn warnings(&self, now: Timestamp) -> Vec<String> {
        let fault = self.signer.as_ref().and_then(|signer| signer.check_now(now).err());
        fault
            .map(|error| format!("fhir.signing: {error}; what must be signed cannot be"))
            .into_iter()
            .collect()
    }

    /// A share of the budget for a text of this length, which is given back when it is dropped.
    pub(super) async fn hold(&self, length: usize) -> Result<SemaphorePermit<'_>, Interrupted> {
        let kib = (length / 1024 + 1).min(BUDGET_KIB);
        self.budget.acquire_many(u32::try_from(kib).unwrap_or(u32::MAX)).await.map_err(|_| Interrupted)
    }

    fn trust(&self, partner: Option<&Partner>) -> Arc<TrustAnchors> {
        partner.and_then(|partner| self.partners.get(&partner.name)).unwrap_or(&self.everybody).clone()
    }
}

/// What was found about the signatures of a request.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// What was found about each, by its path.
    pub(super) verdicts: Vec<(String, Verdict)>,
    /// Resources that no valid signature covers, by their path.
    uncovered: Vec<String>,
}

impl Checked {
    /// Takes in what was found about the signatures of the resource at `at`.
    pub(super) fn add(&mut self, resource: &Value, at: &str, verdicts: Vec<(String, Verdict)>) {
        let is_valid = |(_, verdict): &&(String, Verdict)| verdict.judgement == Judgement::Valid;
        let valid: Vec<&str> = verdicts.iter().filter(is_valid).map(|(path, _)| path.as_str()).collect();
        if !covers(resource, at, &valid) {
            self.uncovered.push(at.to_owned());
        }
        self.verdicts.extend(verdicts);
    }

    /// What there is to tell of each signature; a bad one refuses the request where signatures count (CONF-025).
    pub(super) fn told(&self, policy: SignaturePolicy) -> Vec<Issue> {
        let counts = policy != SignaturePolicy::None;
        let told = self.verdicts.iter();
        told.flat_map(|(path, verdict)| verdict.issues(path, counts && verdict.judgement.is_bad())).collect()
    }

    /// The signatures that are missing. `is_flagged` says whether they were asked for by a signature flag.
    pub(super) fn missing(&self, policy: SignaturePolicy, is_flagged: bool) -> Vec<Issue> {
        if !required_for(policy, is_flagged) {
            return Vec::new();
        }
        let is_told = |at: &str| {
            let bad = self.verdicts.iter().filter(|(_, verdict)| verdict.judgement.is_bad());
            bad.into_iter().any(|(path, _)| path.starts_with(at))
        };
        let missing = self.uncovered.iter().filter(|at| !is_told(at));
        missing.flat_map(|at| Verdict::missing().issues(at, true)).collect()
    }
}

/// Whether a FHIR resource must be signed: what a Task with a signature flag asked for, or every one. Documents of
/// other kinds are signed inside, if they are.
pub(super) fn required_for(policy: SignaturePolicy, is_flagged: bool) -> bool {
    match policy {
        SignaturePolicy::None => false,
        SignaturePolicy::Flagged => is_flagged,
        SignaturePolicy::All => true,
    }
}

/// A text is too long for its signatures to be verified.
pub(super) fn too_long() -> Issue {
    let text = format!("The signatures of a resource of more than {LARGEST} bytes are not verified");
    Issue::refusal(IssueType::TooLong, text)
        .advising("Sign smaller resources, or send what is large as a document with its signature inside")
}

impl Exchange {
    /// Verifies every signature in the text of the resource at `at`, which is not longer than [`LARGEST`].
    pub(super) async fn verify_signatures(
        &self,
        text: Bytes,
        at: &str,
        partner: Option<&Partner>,
    ) -> Result<Vec<(String, Verdict)>, Interrupted> {
        let _held = self.signatures.hold(text.len()).await?;
        let (trust, now, at) = (self.signatures.trust(partner), self.clock.now(), at.to_owned());
        self.compute(move || match serde_json::from_slice::<Value>(&text) {
            Ok(resource) => verify(&resource, &at, &trust, now),
            // Every door has read it before.
            Err(_) => Vec::new(),
        })
        .await
    }

    /// What there is to tell of the signatures of a resource that is to be kept. Whether it is kept does not depend on
    /// them: that is agreed for submissions alone.
    pub(super) async fn signature_remarks(
        &self,
        caller: &Caller,
        resource_type: &str,
        (text, tree): (&Bytes, &Value),
    ) -> Result<Vec<Issue>, Interrupted> {
        if !has_signature(tree) {
            return Ok(Vec::new());
        }
        if text.len() as u64 > LARGEST {
            return Ok(vec![too_long().into_warning()]);
        }
        let partner = self.partners.of_client(caller.client_id());
        let verdicts =
            self.verify_signatures(text.clone(), resource_type, partner.map(AsRef::as_ref)).await?;
        Ok(Checked { verdicts, uncovered: Vec::new() }.told(SignaturePolicy::None))
    }

    /// Computes for long without standing in the way of those who wait for other things.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Interrupted> {
        self.tracker.spawn_blocking(work).await.map_err(|ended| match ended.try_into_panic() {
            // A fault of ours is told as one, by whoever catches panics of handlers.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Interrupted,
        })
    }
}
