//! CDex between organisations: the real binary on one side, and another gateway or a foreign server on the other.

mod data_requests;
mod requests;
