//! Every HTTP call that leaves the gateway.
