//! Tests of search as FHIR R4 defines it: that the tables are those of the definitions, and the grammar.

mod derived;
mod model;
