//! Who did what to what, and whether it was allowed; a sink like `report`.
//!
//! An interaction [`record`]s one [`Entry`] in the transaction that makes its effect true; a refused one
//! in a transaction of its own. Entries hold our own identifiers and fixed words, never content and never
//! anything a client sent.

mod model;
mod store;

pub(crate) use model::{AuditOutcome, Entry};
#[cfg(test)]
pub(crate) use store::list;
pub(crate) use store::{record, record_all};

#[cfg(test)]
mod tests;
