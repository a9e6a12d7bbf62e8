//! Settings: plain types; the only reader of files and environment.
