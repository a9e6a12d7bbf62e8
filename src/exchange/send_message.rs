//! What we send to a partner is a delivery of the one pipeline: a complete upload with its manifest, and one delivery
//! to the partner's endpoint, true in the transaction that makes it necessary.

use std::time::Duration;

use bytes::Bytes;

use super::Exchange;
use super::receive_upload::creation_reports;
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::{DbError, Tx};
use crate::delivery::{self, Cause, NewDelivery};
use crate::fhir::{SpoolError, Spooled};
use crate::manifest::SenderManifest;
use crate::partner::target_of;
use crate::report::{self, Report, Stage};
use crate::upload::{Door, Upload, UploadSpool, Uploads, progress};

/// Something that is to be sent.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// What it is, as its data stream route says: `submission`, `notification`, `task`.
    pub(super) route: &'static str,
    /// Its media type.
    pub(super) content_type: String,
    /// The partner's name.
    pub(super) partner: String,
    /// Where it is posted.
    pub(super) url: String,
    /// Further header fields.
    pub(super) headers: Vec<(String, String)>,
    /// How long an attempt may take; as long as any other call, if none.
    pub(super) timeout: Option<Duration>,
    /// Messages with the same key go one after the other.
    pub(super) ordering_key: Option<String>,
    /// What waits for the outcome, as `follow_delivery` reads it.
    pub(super) followed_by: Option<String>,
}

/// A message whose bytes are durable, and which nobody sees until it is written.
pub(super) struct Composed {
    outgoing: Outgoing,
    spool: UploadSpool,
}

/// What is written of a message; cheap to clone into a unit.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    tenant: String,
    owner: String,
    message: Message,
    spooled: Spooled,
}

impl Exchange {
    /// Makes the bytes of a message durable. They are `access`'s owner's.
    pub(super) async fn compose(
        &self,
        access: &Access,
        message: Message,
        bytes: Bytes,
    ) -> Result<Composed, SpoolError> {
        let mut spool = self.uploads.spool(access);
        let spooled = spool.add(bytes).await?;
        Ok(Self::compose_spooled(access, message, spool, spooled))
    }

    /// The same for bytes that were written into a spool of the same owner.
    pub(super) fn compose_spooled(
        access: &Access,
        message: Message,
        spool: UploadSpool,
        spooled: Spooled,
    ) -> Composed {
        let outgoing = Outgoing {
            tenant: access.tenant().to_owned(),
            owner: access.owner().unwrap_or_default().to_owned(),
            message,
            spooled,
        };
        Composed { outgoing, spool }
    }
}

impl Composed {
    /// What the unit writes.
    pub(super) fn outgoing(&self) -> Outgoing {
        self.outgoing.clone()
    }

    /// After the unit: the bytes stay if it was written and `is_true` of what it gave; they go if it was not; and they
    /// stay, for the next start to look at, if nobody knows.
    pub(super) async fn settle<T>(self, written: &Result<T, DbError>, is_true: impl Fn(&T) -> bool) {
        match written {
            Ok(outcome) if is_true(outcome) => self.spool.keep(),
            Err(error) if error.leaves_commit_unknown() => self.spool.leave(),
            Ok(_) | Err(_) => self.spool.give_up().await,
        }
    }
}

impl Outgoing {
    /// Writes the upload, its delivery and their reports. The worker is woken after the commit.
    pub(super) async fn write(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<(), DbError> {
        let Self { tenant, owner, message, spooled } = self;
        let manifest = SenderManifest::of_message(message.route, spooled.id, now);
        let upload =
            Upload::new((tenant, owner), spooled.id, Door::Fhir, Some(spooled.length), manifest, now);
        let upload = Upload {
            media_type: Some(message.content_type.clone()),
            ..upload.completed(spooled.length, spooled.sha256, now)
        };
        Uploads::insert(tx, std::slice::from_ref(&upload)).await?;
        let delivery = NewDelivery {
            tenant: tenant.clone(),
            owner: owner.clone(),
            upload_id: upload.id,
            target: target_of(&message.partner),
            path: message.url.clone(),
            cause: Cause::Route,
            trace: None,
            ordering_key: message.ordering_key.clone(),
            headers: message.headers.clone(),
            timeout: message.timeout,
            followed_by: message.followed_by.clone(),
        };
        delivery::enqueue(tx, &[delivery], now).await?;
        let mut reports = creation_reports(&upload, now);
        reports.push(progress(&upload, upload.offset, now));
        reports.push(Report::success(Stage::UploadCompleted, now, now));
        report::record(tx, &upload.stream(), &reports).await
    }
}
