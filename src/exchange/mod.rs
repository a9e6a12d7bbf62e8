//! Use cases: one file per interaction, named by its verb. Each drives the stages it needs and owns the
//! transaction that makes its outcome true; an acknowledgement is only ever sent after that commit.
//!
//! Bytes come in by [`receive_upload`] (tus) or [`submit_attachment`] (FHIR); both end in [`finish_upload`], which
//! makes an upload complete and its deliveries exist at once; [`concatenate_upload`] makes one of several,
//! [`terminate_upload`] removes one that is not wanted or has expired. [`redeliver`] repeats a delivery and
//! [`redeliver_many`] those that [`find_deliveries`] finds, [`inspect_upload`] tells what is known of an upload,
//! [`check_health`] whether all parts work; [`retain`] tidies up. What the files of DEX say is in [`rules`], which may
//! change while all of this works. The FHIR REST API comes in by [`interaction`], which gives each call to
//! [`store_resource`], [`find_resource`] or [`run_bundle`], and the operations on it by [`operation`]:
//! [`validate_resource`], [`match_patient`], [`match_member`], [`find_documents`] and [`gather_everything`];
//! [`export_data`] makes files of all that somebody may see. [`declare`] says what all of this is.
//!
//! A submission that was accepted goes on to the Task and the Claim that it belongs to by [`associate`].
//! [`ask_partner`] is how partners are asked, [`discover_endpoint`] where they take what is sent to them.
//! [`request_partner`] asks others for data, follows the Tasks that it sent and collects their outputs.
//! Signatures that come along are verified by [`check_signatures`], and answers are signed by [`sign_answer`] where
//! that is agreed.
//!
//! What follows from a commit is on the agenda, and [`follow_agenda`] does it; what is to be sent to a partner becomes
//! a delivery by [`send_message`] (attachments that nobody asked for by [`send_attachment`]), and [`follow_delivery`]
//! tells whoever waits for it what came of it. [`submit_answer`] answers a payer's request for attachments.

mod answer_task;
mod ask_partner;
pub(crate) mod ask_upstream;
mod associate;
mod body;
mod care_date;
pub(crate) mod check_health;
pub(crate) mod check_signatures;
mod check_task;
pub(crate) mod concatenate_upload;
pub(crate) mod declare;
pub(crate) mod discover_endpoint;
mod errands;
pub(crate) mod export_data;
pub(crate) mod find_deliveries;
mod find_documents;
pub(crate) mod find_resource;
pub(crate) mod finish_upload;
mod follow_agenda;
mod follow_delivery;
pub(crate) mod forward_push;
mod gather_everything;
mod handle_subscription;
pub(crate) mod inspect_upload;
pub(crate) mod interaction;
mod match_member;
pub(crate) mod match_patient;
mod move_task;
pub(crate) mod operation;
pub(crate) mod precondition;
pub(crate) mod read_binary;
pub(crate) mod receive_upload;
mod redeem_upload;
pub(crate) mod redeliver;
pub(crate) mod redeliver_many;
mod remind_task;
mod request_partner;
mod retain;
pub(crate) mod rules;
pub(crate) mod run_bundle;
mod screen_upload;
mod send_attachment;
mod send_message;
mod sign_answer;
mod store;
pub(crate) mod store_resource;
pub(crate) mod submit_answer;
pub(crate) mod submit_attachment;
pub(crate) mod terminate_upload;
mod validate_resource;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agenda::Agenda;
use crate::clock::SharedClock;
use crate::config::Validation;
use crate::db::Db;
use crate::delivery::Deliveries;
use crate::fhir::{Profiles, ScanLimits};
use crate::manifest::FhirMapping;
use crate::partner::Partners;
use crate::report::Publisher;
use crate::screening::Screening;
use crate::upload::Uploads;
use crate::upstream::Upstream;

pub(crate) use body::{Body, BodyError};
pub(crate) use check_signatures::Signatures;
pub(crate) use declare::Declared;
pub(crate) use retain::Retention;

/// What the use cases drive.
pub(crate) struct Exchange {
    /// The database.
    pub(crate) db: Db,
    /// The time.
    pub(crate) clock: SharedClock,
    /// Uploads and their bytes.
    pub(crate) uploads: Arc<Uploads>,
    /// The way to the targets.
    pub(crate) deliveries: Arc<Deliveries>,
    /// What each data stream's manifest must say, and which goes where.
    pub(crate) rules: rules::LiveRules,
    /// How a submission becomes a manifest.
    pub(crate) mapping: FhirMapping,
    /// FHIR profiles to validate against.
    pub(crate) profiles: Profiles,
    /// The server where resources of some types live, if there is one.
    pub(crate) upstream: Option<Arc<Upstream>>,
    /// Whom we exchange with.
    pub(crate) partners: Arc<Partners>,
    /// What must still be done because of what was committed.
    pub(crate) agenda: Arc<Agenda>,
    /// Whether Tasks wait for documents.
    pub(crate) awaiting: submit_answer::Awaiting,
    /// Where partners take what is sent to them, as they publish it.
    pub(crate) endpoints: discover_endpoint::Endpoints,
    /// Whether anybody may want to be notified of Tasks. Once it is so it stays so until the next start.
    pub(crate) has_subscribers: AtomicBool,
    /// Who signs for the gateway, and whose signatures are believed.
    pub(crate) signatures: Signatures,
    /// Which stored resources are delivered too.
    pub(crate) forward: forward_push::ForwardRules,
    /// What is looked at before that.
    pub(crate) screening: Screening,
    /// Where reports go.
    pub(crate) reports: Arc<Publisher>,
    /// How long what is done with is kept.
    pub(crate) retention: Retention,
    /// What the gateway says of itself.
    pub(crate) declared: Declared,
    /// How the parts were found that it depends on.
    pub(crate) last_check: check_health::LastCheck,
    /// Settings of the use cases themselves.
    pub(crate) settings: ExchangeSettings,
    /// Keys of submissions that are being received.
    pub(crate) running: submit_attachment::RunningKeys,
    /// Long bodies that are held in memory at once, as trees; others wait.
    pub(crate) reading: Semaphore,
    /// Answers of partners that are held in memory at once, with all that they name; others wait.
    pub(crate) collecting: Semaphore,
    /// Follows the futures that must outlive their request.
    pub(crate) tracker: TaskTracker,
    /// Cancelled when the gateway stops taking work.
    pub(crate) stopping: CancellationToken,
}

/// Settings of the use cases themselves.
#[derive(Debug, Clone)]
pub(crate) struct ExchangeSettings {
    /// The FHIR base URL under which clients see the gateway, without a slash at its end.
    pub(crate) fhir_base: Arc<str>,
    /// The name that DEX's health body gives the upload store.
    pub(crate) upload_store_name: String,
    /// Whether an upload whose stream has no destination is refused at its creation.
    pub(crate) refuse_unrouted: bool,
    /// Whether the removal of an upload calls its deliveries off without being told to.
    pub(crate) terminate_during_delivery: bool,
    /// The longest `$submit-attachment` body, in bytes.
    pub(crate) payload_limit_bytes: u64,
    /// How the FHIR scanner is bounded.
    pub(crate) scan: ScanLimits,
    /// How long an `Idempotency-Key` is remembered.
    pub(crate) idempotency: Duration,
    /// The FHIR REST API.
    pub(crate) rest: RestSettings,
    /// Bulk exports.
    pub(crate) export: export_data::ExportSettings,
    /// The business identifier of the organisation that the gateway stands for: system (empty if none) and value.
    pub(crate) identifier: Option<(String, String)>,
}

/// Settings of the FHIR REST API.
#[derive(Debug, Clone)]
pub(crate) struct RestSettings {
    /// How bodies are scanned.
    pub(crate) scan: ScanLimits,
    /// Whether an update creates what is not there.
    pub(crate) update_creates: bool,
    /// Whether a change of what is there must say which version it means.
    pub(crate) require_if_match: bool,
    /// How strict validation is where no partner entry says otherwise.
    pub(crate) validation: Validation,
    /// How strict it is for clients with a partner entry, by client id.
    pub(crate) partners: HashMap<String, Validation>,
    /// Entries of a page where the client does not say.
    pub(crate) page_size: u32,
    /// Entries of a page at most.
    pub(crate) max_page_size: u32,
    /// Entries of a batch or transaction at most.
    pub(crate) bundle_entries: usize,
}

impl RestSettings {
    /// How strict validation is for a client.
    fn validation_of(&self, client_id: Option<&str>) -> Validation {
        client_id.and_then(|client| self.partners.get(client)).copied().unwrap_or(self.validation)
    }
}

impl Exchange {
    /// Runs `work` to its end even if whoever waits for it goes away: what became durable must not be
    /// undone by a client that hangs up.
    async fn outlive<T, F>(&self, work: F) -> Result<T, Interrupted>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.tracker.spawn(work).await.map_err(|ended| match ended.try_into_panic() {
            // A fault of ours is told as one, by whoever catches panics of handlers.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Interrupted,
        })
    }
}

/// A future of the gateway's own was cut off by a hard stop. Of an append the checkpoints remain; nothing that
/// was not acknowledged was promised.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the work was interrupted")]
pub(crate) struct Interrupted;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
