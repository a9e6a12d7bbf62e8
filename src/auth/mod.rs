//! Who is calling and what that caller may see; who we are when we call ([`client`]); and where callers of DEX get
//! their tokens ([`front`]). Token verification comes here; until it does, the only mode is `none`, in which everybody
//! is [`Caller::anonymous`] and the gateway listens on loopback only.

mod client;
mod front;
mod grant;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;

use std::sync::Arc;

pub(crate) use client::{AccessToken, ClientSettings, SigningKey, TokenClient, TokenEndpoint, TokenError};
pub(crate) use front::{Brought, FrontError, FrontSettings, OAuthFront};
pub(crate) use grant::{DexLogin, Grant, SharedSecret};
pub(crate) use tokens::{Credentials, Tokens};

/// The tenant of a gateway that serves one organisation.
pub(crate) const DEFAULT_TENANT: &str = "default";

/// Somebody who sent a request, as far as we know them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    tenant: Arc<str>,
    /// Owner of what this caller creates; also the head of its storage keys, so a safe path segment.
    id: Arc<str>,
    authenticated: bool,
    /// Whether it is the gateway itself, which sees what all owners have.
    is_gateway: bool,
}

impl Caller {
    /// The caller of a gateway that asks nobody who they are (`auth.mode = "none"`).
    pub(crate) fn anonymous() -> Self {
        Self {
            tenant: DEFAULT_TENANT.into(),
            id: "anonymous".into(),
            authenticated: false,
            is_gateway: false,
        }
    }

    /// The gateway itself, with the eyes of whoever it works for: an owner, or a whole tenant.
    pub(crate) fn of_worker(access: &Access) -> Self {
        let id = access.owner().unwrap_or("gateway").into();
        let is_gateway = access.owner().is_none();
        Self { tenant: access.tenant().into(), id, authenticated: false, is_gateway }
    }

    /// The tenant whose data this caller works on.
    pub(crate) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The identifier under which this caller owns what it creates.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The client id, if a token proved it; the default `sender_id` of what the client sends.
    pub(crate) fn client_id(&self) -> Option<&str> {
        self.authenticated.then_some(&*self.id)
    }

    /// What this caller may see: what it owns.
    pub(crate) fn access(&self) -> Access {
        let owner = (!self.is_gateway).then(|| self.id.clone());
        Access { tenant: self.tenant.clone(), owner }
    }
}

/// What a store may show: rows of one tenant, of one owner unless the whole tenant is allowed.
///
/// Every store function that reads takes one, so that no row is ever looked up by its id alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    tenant: Arc<str>,
    owner: Option<Arc<str>>,
}

impl Access {
    /// The gateway's own workers, who tend the rows of a whole tenant.
    pub(crate) fn of_worker(tenant: &str) -> Self {
        Self { tenant: tenant.into(), owner: None }
    }

    /// The gateway's own workers, where they go on with what an owner has begun.
    pub(crate) fn of_owner(tenant: &str, owner: &str) -> Self {
        Self { tenant: tenant.into(), owner: Some(owner.into()) }
    }

    /// The tenant whose rows may be seen.
    pub(crate) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The only owner whose rows may be seen; `None` for the whole tenant. Statements use it as
    /// `owner = COALESCE($n, owner)`, which gives the parameter a type on PostgreSQL.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }
}
