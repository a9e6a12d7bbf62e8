//! What must still be done because of what was committed.
//!
//! An item is written in the commit that makes it necessary and removed in the commit that holds its effect, so a
//! crash in between neither loses it nor does it twice; one that is due in the future is a timer. The exchange takes
//! what is due and works on it; items of the same errand and subject one after the other. The agenda knows neither
//! resources nor deliveries: a subject is a name, and only the errand's use case knows what it names.

// The words of each pool are macros, so that they can stand in the statements.
#[macro_use]
mod model;
mod store;

use std::future::Future;

use tokio::sync::Notify;

pub(crate) use model::{Errand, Item, NewItem, Pool};
#[cfg(test)]
pub(crate) use store::take;
pub(crate) use store::{add, count, done, failed, free_all, hasten, is_any_due, later, renew, take_of};

/// Tells whoever works on the agenda that something has become due.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    wake: Notify,
}

impl Agenda {
    /// Something may be due now; called after the commit that made it so.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns at the next call of [`Agenda::wake`]; one that came since the last return counts.
    pub(crate) fn woken(&self) -> impl Future<Output = ()> + '_ {
        self.wake.notified()
    }
}

#[cfg(test)]
mod tests;
