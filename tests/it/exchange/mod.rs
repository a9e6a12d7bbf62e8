//! The exchange from outside: what follows from what is kept, towards those who were promised it.

mod subscriptions;
