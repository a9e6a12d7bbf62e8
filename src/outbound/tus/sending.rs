//! One upload on its way over a line that breaks: chunk after chunk, and after a failure from where the server says
//! that it is (dex-upload F-04, F-05). How long it goes on without progress is the caller's patience.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Features, Remedy, RemoteError, TusClient};

/// Is told how far an upload is, in bytes that have gone onto the line; after a failure it may be fewer than before.
pub(crate) type Watch = Arc<dyn Fn(u64) + Send + Sync>;

/// How often, and after what waits, something is tried again that failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Failures in a row, without progress between them, that are borne.
    pub(crate) failures: u32,
    /// The wait after the first of them; it doubles with each.
    pub(crate) first: Duration,
    /// The longest wait. A server that wants to be left alone for longer is not waited for.
    pub(crate) longest: Duration,
}

impl Patience {
    /// The wait after so many failures in a row. `seed` spreads those who were cut off at the same moment; that needs
    /// no source of randomness.
    pub(crate) fn wait(&self, failures: u32, seed: &str) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(self.longest);
        let mut spread = DefaultHasher::new();
        (seed, failures).hash(&mut spread);
        let share = u32::try_from(spread.finish() % 1024).unwrap_or_default();
        // Between half of the wait and all of it.
        doubled / 2 + (doubled / 2) * share / 1024
    }
}

/// An upload that exists at a server and is not complete.
pub(crate) struct Sending<'c> {
    client: &'c TusClient,
    url: String,
    length: u64,
    offset: u64,
    failures: u32,
    /// What the server can do, asked before the first bytes.
    features: Option<Features>,
    watch: Option<Watch>,
}

impl<'c> Sending<'c> {
    /// One that was created a moment ago.
    pub(crate) fn begin(client: &'c TusClient, url: String, length: u64) -> Self {
        Self { client, url, length, offset: 0, failures: 0, features: None, watch: None }
    }

    /// One that was created before; the server says how far it is.
    ///
    /// # Errors
    /// With [`Remedy::NewUpload`] if it is not there any more.
    pub(crate) async fn resume(client: &'c TusClient, url: String, length: u64) -> Result<Self, RemoteError> {
        let mut sending = Self::begin(client, url, length);
        if let Err(error) = sending.look().await {
            sending.recover(error).await?;
        }
        Ok(sending)
    }

    /// Tells `watch` how far it is.
    pub(crate) fn watched_by(self, watch: Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// How many bytes the server has.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the server has all of them.
    pub(crate) fn is_complete(&self) -> bool {
        self.offset == self.length
    }

    /// Sends the bytes that begin at [`Sending::offset`]. When this returns the offset is what the server has: most
    /// often it has moved by all of them, after a failure by some, or even back.
    ///
    /// *Cancellation*: the server keeps what arrived.
    ///
    /// # Errors
    /// Nothing more can be done now: what was tried did not help, or would not.
    pub(crate) async fn append(&mut self, chunk: Bytes) -> Result<(), RemoteError> {
        let end = self.offset + chunk.len() as u64;
        let features = match self.features {
            Some(features) => features,
            None => *self.features.insert(self.client.features().await),
        };
        let at = (&*self.url, self.offset);
        match self.client.patch(at, chunk, features, self.watch.as_ref()).await {
            // What the server says counts, as long as it can be (dex-upload F-04).
            Ok(offset) if (self.offset + 1..=end).contains(&offset) => {
                self.offset = offset;
                self.failures = 0;
                Ok(())
            }
            Ok(_) => self.recover(RemoteError::Protocol("has an Upload-Offset that cannot be")).await,
            Err(error) => self.recover(error).await,
        }
    }

    /// Finds out where the server is after something failed.
    async fn recover(&mut self, mut error: RemoteError) -> Result<(), RemoteError> {
        loop {
            let Remedy::Wait(asked) = error.remedy() else { return Err(error) };
            self.failures += 1;
            let patience = self.client.patience();
            if self.failures > patience.failures || asked.is_some_and(|asked| asked > patience.longest) {
                return Err(error);
            }
            let wait = patience.wait(self.failures, &self.url).max(asked.unwrap_or_default());
            tokio::time::sleep(wait).await;
            match self.look().await {
                Ok(()) => return Ok(()),
                Err(next) => error = next,
            }
        }
    }

    async fn look(&mut self) -> Result<(), RemoteError> {
        let standing = self.client.standing(&self.url).await?;
        let is_ours = standing.length.is_none_or(|length| length == self.length);
        if !is_ours || standing.offset > self.length {
            return Err(RemoteError::OtherLength);
        }
        if standing.offset > self.offset {
            self.failures = 0;
        }
        self.offset = standing.offset;
        if let Some(watch) = &self.watch {
            watch(self.offset);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_differ_between_uploads() {
        let patience =
            Patience { failures: 9, first: Duration::from_secs(1), longest: Duration::from_secs(30) };
        for (failures, full) in [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (40, 30)] {
            let wait = patience.wait(failures, "a");
            let full = Duration::from_secs(full);
            assert!(wait >= full / 2 && wait <= full, "{failures}: {wait:?}");
        }
        let waits: std::collections::BTreeSet<_> =
            (0..100).map(|n| patience.wait(3, &format!("{n}"))).collect();
        assert!(waits.len() > 50);
    }
}
