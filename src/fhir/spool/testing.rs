//! A spool in memory, for tests of whatever gives bytes to one. It insists on the order of calls that
//! [`Spool`] asks for, and can be told to fail.

use crate::digest::{Digest, Sha256};
use async_trait::async_trait;
use bytes::Bytes;
use sha1::Sha1;

use super::{Spool, SpoolError, Spooled};
use crate::id::UploadId;

/// Keeps everything in memory.
#[derive(Debug, Default)]
pub(crate) struct MemorySpool {
    open: Option<Vec<u8>>,
    closed: Vec<(Spooled, Vec<u8>)>,
    capacity: Option<usize>,
    largest_write: usize,
}

impl MemorySpool {
    /// One with space for so many bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { capacity: Some(capacity), ..Self::default() }
    }

    /// The largest single write so far.
    pub(crate) fn largest_write(&self) -> usize {
        self.largest_write
    }

    /// Whether one is open.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How many are closed and not discarded.
    pub(crate) fn count(&self) -> usize {
        self.closed.len()
    }

    /// The bytes of a closed one.
    pub(crate) fn bytes(&self, spooled: &Spooled) -> &[u8] {
        let (_, bytes) = self.closed.iter().find(|(closed, _)| closed == spooled).expect("it is kept");
        bytes
    }
}

#[async_trait]
impl Spool for MemorySpool {
    async fn begin(&mut self) -> Result<(), SpoolError> {
        assert!(self.open.is_none(), "only one is open at a time");
        self.open = Some(Vec::new());
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), SpoolError> {
        let kept: usize = self.closed.iter().map(|(_, bytes)| bytes.len()).sum();
        let open = self.open.as_mut().expect("one is open");
        if self.capacity.is_some_and(|capacity| kept + open.len() + bytes.len() > capacity) {
            return Err(SpoolError::Full);
        }
        self.largest_write = self.largest_write.max(bytes.len());
        open.extend_from_slice(&bytes);
        Ok(())
    }

    async fn end(&mut self) -> Result<Spooled, SpoolError> {
        let bytes = self.open.take().expect("one is open");
        let spooled = Spooled {
            id: UploadId::new(),
            length: bytes.len() as u64,
            sha256: Sha256::digest(&bytes).into(),
            sha1: Sha1::digest(&bytes).into(),
        };
        self.closed.push((spooled.clone(), bytes));
        Ok(spooled)
    }

    async fn abort(&mut self) {
        self.open = None;
    }

    async fn read(&mut self, spooled: &Spooled, offset: u64, max: usize) -> Result<Bytes, SpoolError> {
        let bytes = self.bytes(spooled);
        let from = usize::try_from(offset).expect("a test's bytes fit").min(bytes.len());
        Ok(Bytes::copy_from_slice(&bytes[from..bytes.len().min(from + max)]))
    }

    async fn discard(&mut self, spooled: &Spooled) {
        self.closed.retain(|(closed, _)| closed != spooled);
    }
}
