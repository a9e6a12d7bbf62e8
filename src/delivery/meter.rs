//! Counts what an attempt moves: how many bytes it has read, for its record, and whether it moves at all. An attempt
//! that neither reads, sends nor keeps anything for the stall timeout is cut, however patiently its lease is renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::upload::{Source, SourceError, Stored};

/// What one attempt has moved so far.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    bytes: AtomicU64,
    signs: AtomicU64,
    /// The longest silence that is none, in seconds.
    borne: AtomicU64,
}

impl Meter {
    /// Bytes that have been read of the upload.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Something was done that counts as progress.
    pub(crate) fn moved(&self) {
        self.signs.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls go out that may be silent for so long and end by themselves when it is over: what was handed to a slow
    /// line lies in buffers, and nobody sees it move.
    pub(crate) fn bear(&self, silence: Duration) {
        self.borne.fetch_max(silence.as_secs(), Ordering::Relaxed);
        self.moved();
    }

    /// Signs of life so far.
    #[cfg(test)]
    pub(super) fn signs(&self) -> u64 {
        self.signs.load(Ordering::Relaxed)
    }

    /// Returns once nothing has moved for `patience`, or what is borne beyond that, which is noticed within twice the
    /// time.
    pub(super) async fn stalled(&self, patience: Duration) {
        let mut seen = self.signs.load(Ordering::Relaxed);
        loop {
            let borne = Duration::from_secs(self.borne.load(Ordering::Relaxed));
            tokio::time::sleep(patience.max(borne)).await;
            let signs = self.signs.load(Ordering::Relaxed);
            if signs == seen {
                return;
            }
            seen = signs;
        }
    }
}

/// A source whose reading is counted.
pub(super) struct Metered {
    source: Box<dyn Source>,
    meter: Arc<Meter>,
}

impl Metered {
    /// Counts what is read of `source`.
    pub(super) fn new(source: Box<dyn Source>, meter: Arc<Meter>) -> Self {
        Self { source, meter }
    }
}

#[async_trait]
impl Source for Metered {
    fn length(&self) -> u64 {
        self.source.length()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        let block = self.source.next().await?;
        if let Some(block) = &block {
            self.meter.bytes.fetch_add(block.len() as u64, Ordering::Relaxed);
        }
        self.meter.moved();
        Ok(block)
    }

    fn sha256(&self) -> Option<[u8; 32]> {
        self.source.sha256()
    }

    fn stored(&self) -> Option<Stored> {
        self.source.stored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_mins(5);

    #[tokio::test(start_paused = true)]
    async fn silence_that_is_borne_is_no_stall_and_a_longer_one_is() {
        let began = tokio::time::Instant::now();
        let meter = Meter::default();
        meter.bear(Duration::from_mins(18));
        meter.bear(Duration::from_mins(1));
        let moving = async {
            // Eight MiB at 12 KB/s, of which nobody sees anything.
            tokio::time::sleep(Duration::from_secs(700)).await;
            meter.moved();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = meter.stalled(PATIENCE) => {}
            () = moving => {}
        }
        assert_eq!(began.elapsed(), Duration::from_mins(36));
    }
}
