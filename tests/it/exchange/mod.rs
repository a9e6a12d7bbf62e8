//! CDex from outside: Tasks and what becomes of them.

mod data_requests;
