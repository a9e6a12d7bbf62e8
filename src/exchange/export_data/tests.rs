//! Exports
