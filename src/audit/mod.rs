//! Who did what to what; a sink like `report`.
