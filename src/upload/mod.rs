//! Upload resources: their state and their bytes.

mod source;

pub(crate) use source::{Source, SourceError, Sources};
