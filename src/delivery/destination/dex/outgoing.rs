//! An upload while it is sent in chunks: read once from its first byte to its last, with the chunk that is under way in
//! memory, so that it can be sent again from anywhere within. Its last chunk is given out only after length and SHA-256
//! were compared: what is not what was promised never becomes complete over there.

use crate::digest::{Digest, Sha256};
use bytes::{Bytes, BytesMut};

use crate::delivery::DeliveryError;
use crate::upload::{Source, SourceError};

/// An upload on its way out.
pub(super) struct Outgoing {
    source: Box<dyn Source>,
    hash: Sha256,
    /// Bytes that were read.
    read: u64,
    /// What was read and belongs to no chunk yet.
    rest: Bytes,
    /// Where the chunk begins.
    start: u64,
    chunk: Bytes,
    /// SHA-256 of all, once all was read and found to be what was promised.
    sha256: Option<[u8; 32]>,
}

impl Outgoing {
    /// Nothing of it was read yet.
    pub(super) fn new(source: Box<dyn Source>) -> Self {
        Self {
            source,
            hash: Sha256::new(),
            read: 0,
            rest: Bytes::new(),
            start: 0,
            chunk: Bytes::new(),
            sha256: None,
        }
    }

    /// How many bytes there are.
    pub(super) fn length(&self) -> u64 {
        self.source.length()
    }

    /// Whether something was read.
    pub(super) fn has_begun(&self) -> bool {
        self.read > 0
    }

    /// Whether the chunk that was given last is the last.
    pub(super) fn is_at_end(&self) -> bool {
        self.start + self.chunk.len() as u64 == self.length()
    }

    /// The bytes from `offset` on, at most `limit`; never none before the end.
    ///
    /// # Errors
    /// [`DeliveryError::Rewound`] if they were given up: `offset` lies before the chunk given last.
    pub(super) async fn chunk(&mut self, offset: u64, limit: usize) -> Result<Bytes, DeliveryError> {
        let within = offset.checked_sub(self.start).ok_or(DeliveryError::Rewound)?;
        if let Ok(within) = usize::try_from(within)
            && within < self.chunk.len()
        {
            return Ok(self.chunk.slice(within..));
        }
        self.skip_to(offset).await?;
        let mut chunk =
            BytesMut::with_capacity(limit.min(usize::try_from(self.length() - offset).unwrap_or(limit)));
        while chunk.len() < limit {
            if self.rest.is_empty() && !self.fill().await? {
                break;
            }
            let taken = self.rest.split_to(self.rest.len().min(limit - chunk.len()));
            chunk.extend_from_slice(&taken);
        }
        self.start = offset;
        self.chunk = chunk.freeze();
        Ok(self.chunk.clone())
    }

    /// Reads what is left, and gives the SHA-256 of all.
    pub(super) async fn skip_to_end(&mut self) -> Result<[u8; 32], DeliveryError> {
        loop {
            if let Some(sha256) = self.sha256 {
                return Ok(sha256);
            }
            self.fill().await?;
        }
    }

    /// Passes over what lies between the chunk and `offset`.
    async fn skip_to(&mut self, offset: u64) -> Result<(), DeliveryError> {
        let mut at = self.start + self.chunk.len() as u64;
        while at < offset {
            if self.rest.is_empty() && !self.fill().await? {
                break;
            }
            let skipped =
                usize::try_from(offset - at).map_or(self.rest.len(), |all| all.min(self.rest.len()));
            drop(self.rest.split_to(skipped));
            at += skipped as u64;
        }
        Ok(())
    }

    /// Reads a block; says whether there was one. With the last one all is compared with what was promised.
    async fn fill(&mut self) -> Result<bool, DeliveryError> {
        let expected = self.length();
        let block = self.source.next().await?;
        if let Some(block) = &block {
            self.hash.update(block);
            self.read += block.len() as u64;
            if self.read < expected {
                self.rest = block.clone();
                return Ok(true);
            }
        }
        if self.sha256.is_none() {
            let more = if block.is_some() { self.source.next().await? } else { None };
            let written = self.read + more.map_or(0, |more| more.len() as u64);
            if written != expected {
                return Err(DeliveryError::LengthMismatch { expected, written });
            }
            let read: [u8; 32] = std::mem::take(&mut self.hash).finalize().into();
            if self.source.sha256().ok_or(SourceError::Truncated)? != read {
                return Err(DeliveryError::HashMismatch);
            }
            self.sha256 = Some(read);
        }
        self.rest = block.unwrap_or_default();
        Ok(!self.rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::testing::MemorySource;

    fn outgoing(content: &[u8]) -> Outgoing {
        Outgoing::new(Box::new(MemorySource::new(content)))
    }

    #[tokio::test]
    async fn what_was_given_up_cannot_be_had_again_and_the_chunk_can() {
        let mut outgoing = outgoing(b"0123456789");
        assert_eq!(outgoing.chunk(0, 4).await.expect("a chunk"), &b"0123"[..]);
        assert_eq!(outgoing.chunk(3, 4).await.expect("its end"), &b"3"[..]);
        assert_eq!(outgoing.chunk(4, 4).await.expect("a chunk"), &b"4567"[..]);
        assert!(matches!(outgoing.chunk(3, 4).await, Err(DeliveryError::Rewound)));
        assert_eq!(outgoing.chunk(4, 4).await.expect("the same"), &b"4567"[..]);
        assert_eq!(outgoing.chunk(8, 4).await.expect("the last"), &b"89"[..]);
        let sha256: [u8; 32] = Sha256::digest(b"0123456789").into();
        assert_eq!(outgoing.skip_to_end().await.expect("a hash"), sha256);
    }

    proptest! {
        /// Wherever the other side is, and however far it got each time.
        #[test]
        fn chunks_put_together_are_the_upload(
            length in 0_usize..300, begin in 0_usize..300, limit in 1_usize..80, kept in prop::collection::vec(0_usize..80, 0..20),
        ) {
            let content: Vec<u8> = (0..length).map(|n| n.to_le_bytes()[0]).collect();
            let begin = begin.min(length);
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let there = runtime.block_on(async {
                let mut outgoing = outgoing(&content);
                let mut there = content[..begin].to_vec();
                let mut kept = kept.iter().copied();
                while there.len() < length {
                    let chunk = outgoing.chunk(there.len() as u64, limit).await.expect("a chunk");
                    assert!(!chunk.is_empty() && chunk.len() <= limit);
                    there.extend_from_slice(&chunk[..kept.next().unwrap_or(usize::MAX).min(chunk.len())]);
                }
                let sha256: [u8; 32] = Sha256::digest(&content).into();
                assert_eq!(outgoing.skip_to_end().await.expect("a hash"), sha256);
                there
            });
            prop_assert_eq!(there, content);
        }
    }
}
