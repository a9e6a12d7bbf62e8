//! Processing status reports; a sink for all stages.
