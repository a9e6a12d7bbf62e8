//! Counts what an attempt moves: how many bytes it has read, for its record, and whether it moves at all. An attempt
//! that neither reads nor keeps anything for the stall timeout is cut, however patiently its lease is renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::upload::{Source, SourceError, Stored};

/// What one attempt has moved so far.
#[derive(Debug, Default)]
pub(super) struct Meter {
    bytes: AtomicU64,
    signs: AtomicU64,
}

impl Meter {
    /// Bytes that have been read of the upload.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Something was done that counts as progress.
    pub(super) fn moved(&self) {
        self.signs.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns once nothing has moved for `patience`, which is noticed within twice that time.
    pub(super) async fn stalled(&self, patience: Duration) {
        let mut seen = self.signs.load(Ordering::Relaxed);
        loop {
            tokio::time::sleep(patience).await;
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
