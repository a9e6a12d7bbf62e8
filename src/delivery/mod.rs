//! From a finished upload to its targets, until it is done.
