//! The DEX sender manifest; pure.
