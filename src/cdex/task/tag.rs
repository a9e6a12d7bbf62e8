//! The tags that the gateway gives to Tasks.

/// The code system of these tags.
pub(crate) const SYSTEM: &str = "urn:cdex-gateway:task-tag";

/// The Task was not answered by the end of its period.
pub(crate) const OVERDUE: &str = "overdue";

/// The Task is our copy of one that we sent to somebody else.
pub(crate) const SENT: &str = "sent";
