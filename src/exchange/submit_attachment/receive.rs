//! The body, read once: scanned, hashed, and its large strings spooled while they arrive.

use crate::digest::{Digest, Sha256};
use bytes::Bytes;
use futures_util::StreamExt;

use super::{Body, BodyError, Exchange, SubmitError, SubmitRequest};
use crate::fhir::{Scanned, Scanner, Shape};
use crate::upload::UploadSpool;

/// A body that has arrived.
pub(super) struct Received {
    /// What stays of it, and where the rest is.
    pub(super) scanned: Scanned,
    /// SHA-256 and length in bytes of all of it.
    pub(super) fingerprint: Fingerprint,
}

/// What tells one body from another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fingerprint {
    pub(super) sha256: [u8; 32],
    pub(super) length: u64,
}

impl Exchange {
    /// Reads the body; what is spooled is the caller's to keep or to give up.
    pub(super) async fn receive(
        &self,
        request: &SubmitRequest,
        body: Body,
        spool: &mut UploadSpool,
    ) -> Result<Received, SubmitError> {
        let mut scanner = Scanner::new(self.settings.scan, Shape::Submission);
        let mut meter = Meter::new(self, request)?;
        let mut body = std::pin::pin!(body);
        while let Some(bytes) = self.next(&mut body).await? {
            meter.take(&bytes)?;
            scanner.feed(bytes, spool).await?;
        }
        let scanned = scanner.finish(spool).await?;
        Ok(Received { scanned, fingerprint: meter.finish() })
    }

    /// Reads a body only to know it again.
    pub(super) async fn hash(&self, request: &SubmitRequest, body: Body) -> Result<Fingerprint, SubmitError> {
        let mut meter = Meter::new(self, request)?;
        let mut body = std::pin::pin!(body);
        while let Some(bytes) = self.next(&mut body).await? {
            meter.take(&bytes)?;
        }
        Ok(meter.finish())
    }

    /// The next block; a gateway that stops takes no more of a body that nobody was promised anything for.
    async fn next(&self, body: &mut std::pin::Pin<&mut Body>) -> Result<Option<Bytes>, SubmitError> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(SubmitError::Stopping),
            next = body.next() => match next {
                None => Ok(None),
                Some(Ok(bytes)) => Ok(Some(bytes)),
                Some(Err(BodyError::TooLarge)) => {
                    Err(SubmitError::TooLarge { limit: self.settings.payload_limit_bytes })
                }
                Some(Err(error)) => Err(error.into()),
            },
        }
    }
}

/// Measures a body against the limit, and takes its fingerprint.
struct Meter {
    limit: u64,
    length: u64,
    sha256: Sha256,
}

impl Meter {
    /// # Errors
    /// The declared length alone may be over the limit: then no byte is read (CONF-023).
    fn new(exchange: &Exchange, request: &SubmitRequest) -> Result<Self, SubmitError> {
        let limit = exchange.settings.payload_limit_bytes;
        if request.declared.is_some_and(|declared| declared > limit) {
            return Err(SubmitError::TooLarge { limit });
        }
        Ok(Self { limit, length: 0, sha256: Sha256::new() })
    }

    fn take(&mut self, bytes: &Bytes) -> Result<(), SubmitError> {
        self.length += bytes.len() as u64;
        if self.length > self.limit {
            return Err(SubmitError::TooLarge { limit: self.limit });
        }
        self.sha256.update(bytes);
        Ok(())
    }

    fn finish(self) -> Fingerprint {
        Fingerprint { sha256: self.sha256.finalize().into(), length: self.length }
    }
}
