//! Long uploads in parts. What has been begun, and the parts that the service has, are kept with the delivery, so that
//! an attempt after a crash sends or has copied only what is missing. What is sent is read again from its beginning:
//! the hash of the whole is made of all of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::digest::{Digest, Sha256};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::{Job, Made, ONE_CALL, Spot};
use crate::delivery::{Delivered, DeliveryError, Retry};
use crate::outbound::bucket::{Bucket, BucketError, Labels, Place};
use crate::upload::{Source, StoredBytes};

/// Parts on their way at once.
const AT_ONCE: usize = 2;
/// The shortest time between two writings of what has been done.
const KEEPING: Duration = Duration::from_secs(1);
/// Parts of an object: S3 takes 10,000.
pub(super) const MOST_PARTS: u64 = 9_900;

/// What one attempt leaves for the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// The object that the parts are for.
    name: String,
    /// What the service calls the beginning.
    id: String,
    /// Bytes of each part but the last; `None` if the service copies them, which are cut otherwise.
    pub(super) part_bytes: Option<u64>,
    /// What it calls each part that it has, from the first on.
    pub(super) parts: Vec<String>,
    /// Bytes of the upload in these parts.
    #[serde(default)]
    pub(super) bytes: u64,
}

/// What a part is to be made of.
pub(super) enum Content {
    /// Bytes that are sent.
    Bytes(Vec<Bytes>),
    /// Bytes of an object of this bucket, which shares the target's service.
    Object(Bucket, StoredBytes),
}

/// Drops what was begun, as it was kept.
pub(super) async fn give_up(bucket: &Bucket, kept: &[u8]) -> Result<(), DeliveryError> {
    let Ok(begun) = serde_json::from_slice::<Begun>(kept) else { return Ok(()) };
    match bucket.abort(&begun.name, &begun.id).await {
        Ok(()) | Err(BucketError::NotFound) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Begun {
    async fn abort(&self, bucket: &Bucket) {
        if let Err(error) = bucket.abort(&self.name, &self.id).await {
            tracing::debug!(%error, "the parts of a delivery could not be removed");
        }
    }
}

impl Content {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(content) => content.iter().map(|block| block.len() as u64).sum(),
            Self::Object(_, from) => from.length(),
        }
    }

    async fn put(self, bucket: &Bucket, name: &str, id: &str, index: usize) -> Result<String, BucketError> {
        match self {
            Self::Bytes(content) => bucket.put_part(name, id, index, content).await,
            Self::Object(source, from) => {
                let range = (!from.is_whole()).then(|| from.range.clone());
                bucket.copy_part((&source, &from.name), range, name, id, index).await
            }
        }
    }
}

impl Job<'_> {
    /// Writes a long upload in parts.
    pub(super) async fn put_parts(&self, source: Box<dyn Source>) -> Result<Delivered, DeliveryError> {
        let kept = self.kept();
        let (name, is_anew) = match self.spot().await {
            Ok(Spot::Free(name)) => (name, false),
            Ok(Spot::Earlier(name)) => (name, true),
            Ok(Spot::Done(name)) => {
                let mut reader = Reader::new(source, self.length, ONE_CALL);
                while reader.next_part().await?.is_some() {}
                let sha256 = reader.finish().await?;
                return self.confirm(name, Made::Before, sha256, self.labels(Some(sha256)).1).await;
            }
            Err(error) => return Err(self.after(kept.as_ref(), error).await),
        };
        let part_bytes = kept.as_ref().and_then(|kept| kept.part_bytes).unwrap_or(part_bytes(self.length));
        let mut begun = self.go_on(kept, name, Some(part_bytes), &self.labels(None).0).await?;
        let reader = Reader::new(source, self.length, part_bytes);
        let sha256 = match self.send(&mut begun, |skipped, parts| reader.hand_on(skipped, parts)).await {
            Ok(sha256) => sha256,
            Err(error) => return Err(self.after(Some(&begun), error).await),
        };
        let (labels, holds_manifest) = self.labels(Some(sha256));
        match self.complete(&begun, &labels, is_anew).await {
            Ok(made) => self.confirm(begun.name, made, sha256, holds_manifest).await,
            Err(error) => Err(self.after(Some(&begun), error).await),
        }
    }

    /// What an earlier attempt has left.
    pub(super) fn kept(&self) -> Option<Begun> {
        self.progress.kept().and_then(|kept| serde_json::from_slice(kept).ok())
    }

    /// Goes on with what an earlier attempt has begun for the same name in the same way, or begins anew.
    pub(super) async fn go_on(
        &self,
        kept: Option<Begun>,
        name: String,
        part_bytes: Option<u64>,
        labels: &Labels,
    ) -> Result<Begun, DeliveryError> {
        match kept {
            Some(kept) if kept.name == name && kept.part_bytes == part_bytes => Ok(kept),
            other => {
                self.give_up(other.as_ref()).await;
                let id = self.settings.bucket.begin(&name, labels).await?;
                let begun = Begun { name, id, part_bytes, parts: Vec::new(), bytes: 0 };
                if let Err(error) = self.keep(&begun).await {
                    begun.abort(&self.settings.bucket).await;
                    return Err(error);
                }
                Ok(begun)
            }
        }
    }

    async fn keep(&self, begun: &Begun) -> Result<(), DeliveryError> {
        let state = serde_json::to_vec(begun).map_err(std::io::Error::from)?;
        self.progress.keep(state).await
    }

    /// Has the service take the parts that are missing, as `feed` hands them on from the first missing one, and returns
    /// what that returns.
    pub(super) async fn send<T, F>(
        &self,
        begun: &mut Begun,
        feed: impl FnOnce(usize, mpsc::Sender<Content>) -> F,
    ) -> Result<T, DeliveryError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, DeliveryError>> + Send + 'static,
    {
        // On their own, so that neither a slow source nor a slow bucket holds up what the other has ready; dropping the
        // sets calls them off.
        let (parts, mut arriving) = mpsc::channel(1);
        let mut reading = JoinSet::new();
        reading.spawn(feed(begun.parts.len(), parts));
        let mut sending: JoinSet<(usize, u64, Result<String, BucketError>)> = JoinSet::new();
        let mut overtook = BTreeMap::new();
        let (mut next, mut has_more, mut failed) = (begun.parts.len(), true, None);
        // A list of thousands of parts is not written down for each: what a crash costs is a second.
        let (mut is_kept, mut due) = (true, Instant::now());
        while has_more || !sending.is_empty() {
            tokio::select! {
                Some(sent) = sending.join_next() => {
                    let (index, length, part) = sent.map_err(|_| DeliveryError::Panicked)?;
                    match part {
                        Ok(part) => overtook.insert(index, (length, part)),
                        // The calls that are under way end first: what they leave would outlive the end of what was
                        // begun, and counts if there is none.
                        Err(error) => {
                            has_more = false;
                            failed.get_or_insert(error);
                            continue;
                        }
                    };
                    self.progress.meter().moved();
                    while let Some((length, part)) = overtook.remove(&begun.parts.len()) {
                        begun.parts.push(part);
                        begun.bytes += length;
                        is_kept = false;
                    }
                }
                () = sleep_until(due), if !is_kept => {
                    self.keep(begun).await?;
                    (is_kept, due) = (true, Instant::now() + KEEPING);
                }
                content = arriving.recv(), if has_more && sending.len() < AT_ONCE => {
                    let Some(content) = content else {
                        has_more = false;
                        continue;
                    };
                    let (bucket, name, id) = (self.settings.bucket.clone(), begun.name.clone(), begun.id.clone());
                    let (index, length) = (next, content.length());
                    sending.spawn(async move { (index, length, content.put(&bucket, &name, &id, index).await) });
                    next += 1;
                }
            }
        }
        if !is_kept {
            self.keep(begun).await?;
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
        match reading.join_next().await {
            Some(Ok(read)) => read,
            Some(Err(_)) | None => Err(DeliveryError::Panicked),
        }
    }

    /// Makes the parts the object. `is_anew` says that one of ours is in its place.
    pub(super) async fn complete(
        &self,
        begun: &Begun,
        labels: &Labels,
        is_anew: bool,
    ) -> Result<Made, DeliveryError> {
        let bucket = &self.settings.bucket;
        if is_anew && self.place() == Place::New {
            // Only a new object may be completed.
            bucket.remove(vec![begun.name.clone()]).await?;
        }
        match bucket.complete(&begun.name, &begun.id, &begun.parts, labels).await {
            Ok(()) => Ok(Made::Now),
            // An answer that was lost looks like this, too: then the object is there, and ours.
            Err(error) => match bucket.look(&begun.name).await? {
                Some(object) if self.is_ours(&object) => Ok(Made::Before),
                _ => Err(error.into()),
            },
        }
    }

    /// What an attempt that failed leaves: what can be gone on with, unless that would fail again or is worthless.
    pub(super) async fn after(&self, begun: Option<&Begun>, error: DeliveryError) -> DeliveryError {
        let (is_worthless, error) = match error {
            // The service does not know the parts any more, or somebody took the name meanwhile.
            DeliveryError::Bucket(
                BucketError::NotFound | BucketError::Exists | BucketError::Refused { status: 400, .. },
            ) => (true, DeliveryError::PartsLost),
            DeliveryError::HashMismatch | DeliveryError::LengthMismatch { .. } => (true, error),
            error => (error.retry() == Retry::Never, error),
        };
        if is_worthless {
            self.give_up(begun).await;
        }
        error
    }

    /// Drops what was begun, and forgets it. Where the service does not listen, its own rules for what was never
    /// completed will do.
    pub(super) async fn give_up(&self, begun: Option<&Begun>) {
        let Some(begun) = begun else { return };
        begun.abort(&self.settings.bucket).await;
        // If this cannot be written down, the next attempt finds out that the parts are gone.
        let _ = self.progress.keep(Vec::new()).await;
    }
}

/// The bytes of a part: equal parts, as few as S3 takes and whole MiB.
pub(super) fn part_bytes(length: u64) -> u64 {
    const MIB: u64 = 1024 * 1024;
    ONE_CALL.max(length.div_ceil(MOST_PARTS).div_ceil(MIB) * MIB)
}

/// Cuts an upload into parts, and compares it with what it promised.
pub(super) struct Reader {
    source: Box<dyn Source>,
    length: u64,
    part_bytes: u64,
    read: u64,
    hash: Sha256,
    /// What the last block had beyond its part.
    rest: Bytes,
}

impl Reader {
    pub(super) fn new(source: Box<dyn Source>, length: u64, part_bytes: u64) -> Self {
        Self { source, length, part_bytes, read: 0, hash: Sha256::new(), rest: Bytes::new() }
    }

    /// The next part; `None` after the last.
    pub(super) async fn next_part(&mut self) -> Result<Option<Vec<Bytes>>, DeliveryError> {
        let mut part = Vec::new();
        let mut room = self.part_bytes;
        while room > 0 {
            let mut block = std::mem::take(&mut self.rest);
            if block.is_empty() {
                match self.next_block().await? {
                    Some(next) => block = next,
                    None => break,
                }
            }
            let taken = block.split_to(usize::try_from(room).unwrap_or(usize::MAX).min(block.len()));
            room -= taken.len() as u64;
            part.push(taken);
            self.rest = block;
        }
        Ok((!part.is_empty()).then_some(part))
    }

    /// Hands the parts after the first `skipped` on, and returns the SHA-256 of all.
    async fn hand_on(
        mut self,
        skipped: usize,
        parts: mpsc::Sender<Content>,
    ) -> Result<[u8; 32], DeliveryError> {
        let mut index = 0;
        while let Some(part) = self.next_part().await? {
            // Whoever does not take it any more has a reason of its own to tell.
            if index >= skipped && parts.send(Content::Bytes(part)).await.is_err() {
                return Err(DeliveryError::Panicked);
            }
            index += 1;
        }
        self.finish().await
    }

    async fn next_block(&mut self) -> Result<Option<Bytes>, DeliveryError> {
        let Some(block) = self.source.next().await? else { return Ok(None) };
        self.read += block.len() as u64;
        if self.read > self.length {
            return Err(DeliveryError::LengthMismatch { expected: self.length, written: self.read });
        }
        self.hash.update(&block);
        Ok(Some(block))
    }

    /// After the last part: the SHA-256 of all, if it is what was promised.
    pub(super) async fn finish(mut self) -> Result<[u8; 32], DeliveryError> {
        // The source says what it promised only once it has ended.
        if self.next_block().await?.is_some() || self.read != self.length {
            return Err(DeliveryError::LengthMismatch { expected: self.length, written: self.read });
        }
        let sha256 = <[u8; 32]>::from(self.hash.finalize());
        if self.source.sha256().is_some_and(|promised| promised != sha256) {
            return Err(DeliveryError::HashMismatch);
        }
        Ok(sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_enough_and_whole_mib() {
        const MIB: u64 = 1024 * 1024;
        for (length, expected) in
            [(1, 8 * MIB), (8 * MIB * 9_900, 8 * MIB), (8 * MIB * 9_900 + 1, 9 * MIB), (5 << 40, 530 * MIB)]
        {
            assert_eq!(part_bytes(length), expected, "{length}");
            assert!(length.div_ceil(part_bytes(length)) <= MOST_PARTS);
        }
    }
}
