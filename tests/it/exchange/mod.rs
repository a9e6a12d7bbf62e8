//! The exchange from outside: what goes on from what is pushed, and what is held back of it.

mod pushes;
mod screening;
