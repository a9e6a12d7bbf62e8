//! What handlers ask for by type: an extractor answers for its part of the request before the handler
//! runs, so that a handler that takes it cannot forget the check.

mod caller;

pub(super) use caller::Authenticated;
