//! Use cases: one file per interaction; each owns its transaction.
