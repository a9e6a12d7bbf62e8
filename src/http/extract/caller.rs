//! The caller of a request. Every route that shows or changes anything takes it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::auth::Caller;

/// Who is calling, proved as `auth.mode` demands. In mode `none`, the only one of this version, everybody
/// is the anonymous caller, and the configuration keeps the gateway on loopback.
pub(in crate::http) struct Authenticated(pub(in crate::http) Caller);

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Caller::anonymous()))
    }
}
