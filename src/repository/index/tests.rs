//! What is filed of a resource.
