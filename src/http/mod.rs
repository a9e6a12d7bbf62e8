//! The edge; the only folder that knows axum.
