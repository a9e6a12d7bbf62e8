//! Where uploads are delivered to: the code behind a target.
//!
//! A destination takes the same delivery twice without a second effect, shows an object under its name
//! only when it is whole, and says "delivered" only after length and SHA-256 were compared. `contract.rs`
//! holds the tests that each of them must pass.

mod dex;
mod directory;
mod endpoint;
mod file;
mod name;
mod object;

use std::time::Duration;

use async_trait::async_trait;

pub(crate) use dex::DexDestination;
pub(crate) use dex::metadata::misfits as dex_misfits;
pub(crate) use endpoint::{EndpointDestination, HELD};
pub(crate) use file::{FileDestination, FileSettings};
pub(crate) use object::labels::{Holder, misfits as object_misfits};
pub(crate) use object::{MetadataPlace, ObjectDestination, ObjectSettings};

use super::{DeliveryError, Progress};
use crate::id::{DeliveryId, UploadId};
use crate::upload::Source;

/// One upload for one path at one target.
pub(crate) struct DeliveryRequest<'a> {
    /// The delivery; the idempotency key towards the target.
    pub(crate) delivery_id: DeliveryId,
    /// Which lease of the delivery this is: names what an earlier one may have left behind.
    pub(crate) lease_epoch: i64,
    /// How often it was delivered before: whoever asks for it again wants it written anew (dex-upload D-02).
    pub(crate) delivered_before: u32,
    /// The upload that is delivered.
    pub(crate) upload_id: UploadId,
    /// Where at the target: relative, `/` between its parts; at an endpoint its URL.
    pub(crate) path: &'a str,
    /// Its media type, if one is known.
    pub(crate) media_type: Option<&'a str>,
    /// Further header fields of a call.
    pub(crate) headers: &'a [(String, String)],
    /// How long a call may take, where that is not for the destination to say.
    pub(crate) timeout: Option<Duration>,
    /// The manifest, a JSON object of strings.
    pub(crate) manifest: &'a [u8],
    /// What earlier attempts left, and where this one leaves what the next one needs.
    pub(crate) progress: &'a dyn Progress,
    /// The payload, from its first byte on.
    pub(crate) source: Box<dyn Source>,
}

/// The target holds the upload; length and SHA-256 are those of the bytes it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Where the bytes are, as an operator would look for them.
    pub(crate) location: String,
    /// How many.
    pub(crate) length: u64,
    /// Their SHA-256.
    pub(crate) sha256: [u8; 32],
    /// What the target said beside that, in codes.
    pub(crate) remark: Option<String>,
}

/// Sends one finished upload to one target.
#[async_trait]
pub(crate) trait Destination: Send + Sync {
    /// Puts the upload at its path.
    ///
    /// *Idempotence*: calling it twice with the same request leaves what calling it once leaves.
    ///
    /// *Cancellation*: nothing is visible at the path unless it is whole; what was staged is removed soon
    /// after, or by the next call for the same delivery.
    async fn deliver(&self, request: DeliveryRequest<'_>) -> Result<Delivered, DeliveryError>;

    /// Whether attempts can leave something here that nobody sees and that stays until [`Destination::give_up`].
    fn keeps_leftovers(&self) -> bool {
        false
    }

    /// Takes away what the attempts of a delivery have left that nobody goes on with, as `kept` says. It is no error if
    /// it is gone already.
    async fn give_up(&self, kept: &[u8]) -> Result<(), DeliveryError> {
        let _ = kept;
        Ok(())
    }

    /// Cheap reachability check for `/health` and `check-config`.
    async fn check(&self) -> Result<(), DeliveryError>;
}

#[cfg(test)]
mod contract;
#[cfg(test)]
mod endpoint_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod object_again_tests;
#[cfg(test)]
mod object_copy_tests;
#[cfg(test)]
mod object_tests;
#[cfg(test)]
mod testing;
