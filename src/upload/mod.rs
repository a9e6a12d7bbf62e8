//! Upload resources: their state and their bytes.
