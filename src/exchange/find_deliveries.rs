//! Which deliveries stand where: the dead-letter list, and any other list of deliveries (D-06).

use super::Exchange;
use crate::auth::Access;
use crate::db::DbError;
use crate::delivery::{self, DeliveryFilter, FoundDelivery};
use crate::id::DeliveryId;

/// A page of a list of deliveries.
#[derive(Debug)]
pub(crate) struct DeliveryPage {
    /// Those of this page, in the order of their making.
    pub(crate) found: Vec<FoundDelivery>,
    /// The last of them, if there are more behind it.
    pub(crate) next: Option<DeliveryId>,
}

impl Exchange {
    /// How many deliveries a filter means and this caller may see.
    pub(crate) async fn count_deliveries(
        &self,
        access: &Access,
        filter: &DeliveryFilter,
    ) -> Result<u64, DbError> {
        self.uploads.rows_of_all(access).await;
        let mut reader = self.db.reader().await?;
        delivery::count(&mut reader.tx(), access, filter).await
    }

    /// Those deliveries, at most `limit` from the one behind `after` on.
    pub(crate) async fn find_deliveries(
        &self,
        access: &Access,
        filter: &DeliveryFilter,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<DeliveryPage, DbError> {
        self.uploads.rows_of_all(access).await;
        let mut reader = self.db.reader().await?;
        let mut found =
            delivery::search(&mut reader.tx(), access, filter, after, limit.saturating_add(1)).await?;
        let has_more = u32::try_from(found.len()).is_ok_and(|count| count > limit);
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = found.last().filter(|_| has_more).map(|last| last.delivery.id);
        Ok(DeliveryPage { found, next })
    }
}
