//! Every metric name in one list. Labels come from configuration or are small fixed sets; never from a
//! request.

/// Units that shared one SQLite commit (histogram).
pub(crate) const DB_GROUP_UNITS: &str = "cdex_db_group_units";

/// Delivery attempts that have ended, by `target` and `result` (`delivered`, `failed`) (counter).
pub(crate) const DELIVERY_ATTEMPTS: &str = "cdex_delivery_attempts_total";
