//! What the expressions of the tables find.
