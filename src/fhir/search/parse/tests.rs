//! Tests of the grammar of searches.
