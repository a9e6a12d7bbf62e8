//! What one attempt leaves for the next: the address of a half-sent upload at another gateway, say. It is in the
//! delivery's row, so it survives a crash, and it is fenced by the lease like everything a worker writes.

use std::sync::Arc;

use async_trait::async_trait;

use super::meter::Meter;
use super::{Deliveries, Delivery, DeliveryError, store};
use crate::db::DbError;

/// The memory of an unfinished delivery.
#[async_trait]
pub(crate) trait Progress: Send + Sync {
    /// What an earlier attempt kept, in the destination's own words.
    fn kept(&self) -> Option<&[u8]>;

    /// Keeps `state` instead; durable when this returns. It is forgotten when the delivery is delivered.
    ///
    /// # Errors
    /// [`DeliveryError::LeaseLost`] if another worker has the delivery now, or it was called off: this attempt must
    /// stop.
    async fn keep(&self, state: Vec<u8>) -> Result<(), DeliveryError>;

    /// What is told of every sign of life that is not seen by reading the upload or keeping something.
    fn meter(&self) -> &Arc<Meter>;
}

/// The row of a delivery that this worker has leased.
pub(super) struct Leased<'a> {
    pub(super) deliveries: &'a Deliveries,
    pub(super) delivery: &'a Delivery,
    /// Keeping something is progress, too.
    pub(super) meter: &'a Arc<Meter>,
}

#[async_trait]
impl Progress for Leased<'_> {
    fn kept(&self) -> Option<&[u8]> {
        self.delivery.progress.as_deref()
    }

    async fn keep(&self, state: Vec<u8>) -> Result<(), DeliveryError> {
        let lease = (self.delivery.id, self.delivery.lease_epoch);
        let kept: Result<bool, DbError> = self
            .deliveries
            .db
            .write((lease, state), |(lease, state), tx| Box::pin(store::keep_progress(tx, *lease, state)))
            .await;
        self.meter.moved();
        if kept? { Ok(()) } else { Err(DeliveryError::LeaseLost) }
    }

    fn meter(&self) -> &Arc<Meter> {
        self.meter
    }
}
