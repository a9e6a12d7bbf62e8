//! A client of any tus 1.0.0 server.
//!
//! [`TusClient`] makes the single requests, says who we are and finds its way from a `Location` to the upload
//! ([`Locations`]); [`Sending`] carries one upload over a line that breaks. Both know bytes and offsets only: what the
//! metadata mean, where the bytes come from and where the URL of an upload is remembered is for the callers.

mod client;
mod error;
mod location;
mod sending;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::error::Error;

use async_trait::async_trait;

#[cfg(test)]
use client::Standing;
pub(crate) use client::{Features, TusClient, TusSettings};
pub(crate) use error::{Refusal, Remedy, RemoteError};
pub(crate) use location::{Locations, id_of};
pub(crate) use sending::{Patience, Sending, Watch};

/// Says who we are, for each request anew: tokens end while a long upload is under way.
#[async_trait]
pub(crate) trait Identity: Send + Sync {
    /// The value of the `Authorization` field for the next request; none for nobody. `refused` is one that the server
    /// did not take: then another, or none where there is no other.
    async fn authorization(
        &self,
        refused: Option<&str>,
    ) -> Result<Option<String>, Box<dyn Error + Send + Sync>>;
}
