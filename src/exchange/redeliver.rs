//! An operator's repeat: one delivery of one upload, again (dex-upload 1.5).

use super::Exchange;
use crate::audit::{self, AuditOutcome, Entry};
use crate::auth::Caller;
use crate::db::DbError;
use crate::delivery::{self, Delivery, NewDelivery, Repeated};
use crate::id::{DeliveryId, UploadId};
use crate::upload::UploadState;

/// What a repeat came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redelivery {
    /// It will be delivered again; in a dry run it would be, and nothing was queued that has an id.
    Queued(Option<DeliveryId>),
    /// It is being delivered, or about to be, already: by this delivery.
    AlreadyUnderWay(Option<DeliveryId>),
}

/// Why nothing is delivered again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RedeliveryRefused {
    /// This caller has no such upload.
    #[error("no such upload")]
    UnknownUpload,
    /// It has expired or was removed: its bytes are gone.
    #[error("the upload is gone")]
    Gone,
    /// Its last byte is not in.
    #[error("the upload is not complete")]
    Incomplete,
    /// There is no such target.
    #[error("no such target")]
    UnknownTarget,
    /// The upload's data stream is not routed to it.
    #[error("the upload's data stream is not routed to that target")]
    NotRouted,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Exchange {
    /// Queues the delivery of an upload to one of its targets, by every path that its route has there; a dry run says
    /// what that would come to.
    ///
    /// *Idempotence*: while the delivery is under way a repeat changes nothing.
    pub(crate) async fn redeliver(
        &self,
        caller: &Caller,
        request_id: &str,
        id: UploadId,
        (target, is_dry_run): (&str, bool),
    ) -> Result<Redelivery, RedeliveryRefused> {
        // An unknown upload is told before an unknown target (dex-upload 1.5).
        let upload =
            self.uploads.find(&caller.access(), id).await?.ok_or(RedeliveryRefused::UnknownUpload)?;
        if upload.is_gone(self.clock.now()) {
            return Err(RedeliveryRefused::Gone);
        }
        if upload.state != UploadState::Complete {
            return Err(RedeliveryRefused::Incomplete);
        }
        if !self.rules.current().routing.targets().contains_key(target) {
            return Err(RedeliveryRefused::UnknownTarget);
        }
        let mut deliveries = self.deliveries_of(&upload);
        deliveries.retain(|delivery| delivery.target == target);
        if deliveries.is_empty() {
            return Err(RedeliveryRefused::NotRouted);
        }
        if is_dry_run {
            return Ok(self.prospect(caller, id, &deliveries).await?);
        }
        for delivery in &mut deliveries {
            delivery.cause = delivery::Cause::Manual;
        }
        let now = self.clock.now();
        let entry = Entry {
            tenant: caller.tenant().to_owned(),
            owner: caller.id().to_owned(),
            at: now,
            action: "redeliver",
            outcome: AuditOutcome::Success,
            entity: Some(id.to_string()),
            detail: Vec::new(),
            request_id: Some(request_id.to_owned()),
        };
        let access = caller.access();
        let queued = self
            .db
            .write((deliveries, entry), move |(deliveries, entry), tx| {
                let access = access.clone();
                Box::pin(async move {
                    let known = delivery::list(tx, &access, id).await?;
                    let mut outcome = Redelivery::AlreadyUnderWay(under_way(&known, deliveries));
                    for delivery in deliveries {
                        if let Repeated::Queued(id) = delivery::repeat(tx, delivery, now).await? {
                            outcome = Redelivery::Queued(Some(id));
                        }
                    }
                    audit::record(tx, entry).await?;
                    Ok::<_, DbError>(outcome)
                })
            })
            .await?;
        self.deliveries.wake();
        Ok(queued)
    }

    /// What queueing these deliveries would come to.
    async fn prospect(
        &self,
        caller: &Caller,
        id: UploadId,
        wanted: &[NewDelivery],
    ) -> Result<Redelivery, DbError> {
        let mut reader = self.db.reader().await?;
        let known = delivery::list(&mut reader.tx(), &caller.access(), id).await?;
        let is_all = wanted.iter().all(|wanted| under_way(&known, std::slice::from_ref(wanted)).is_some());
        Ok(if is_all {
            Redelivery::AlreadyUnderWay(under_way(&known, wanted))
        } else {
            Redelivery::Queued(None)
        })
    }

    /// One delivery for each target that the upload's data stream is routed to.
    pub(super) fn deliveries_of(&self, upload: &crate::upload::Upload) -> Vec<NewDelivery> {
        let manifest = &upload.manifest;
        let rules = self.rules.current();
        rules
            .routing
            .targets_for(manifest.data_stream_id(), manifest.data_stream_route())
            .iter()
            .map(|routed| NewDelivery {
                tenant: upload.tenant.clone(),
                owner: upload.owner.clone(),
                upload_id: upload.id,
                target: routed.target.clone(),
                // Rendering needs the ingest time alone, which every manifest has; a delivery must exist
                // whatever a template does (D-01).
                path: routed.path_template.render(manifest).unwrap_or_else(|_| upload.id.to_string()),
                cause: delivery::Cause::Route,
                trace: None,
                ordering_key: routed.ordering_key(manifest),
                headers: Vec::new(),
                timeout: None,
                followed_by: None,
            })
            .collect()
    }
}

/// The first delivery that is under way of those that are wanted.
fn under_way(known: &[Delivery], wanted: &[NewDelivery]) -> Option<DeliveryId> {
    let is_wanted = |known: &&Delivery| {
        let is_it = |wanted: &NewDelivery| known.target == wanted.target && known.path == wanted.path;
        known.status.is_under_way() && wanted.iter().any(is_it)
    };
    known.iter().find(is_wanted).map(|known| known.id)
}
