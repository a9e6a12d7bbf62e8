//! Blobs as objects of a bucket. Every checkpoint becomes whole objects, each written once, before anybody is told; so
//! an acknowledged byte always lies in a whole object, nothing has to be remembered of parts, and a restart lists
//! (security-reliability-scale F8). Bytes are gathered in memory, one object's worth while another is on its way.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::task::{JoinSet, spawn_blocking};

use super::span::{Span, cover, end_of, to_gather};
use super::{BlobError, BlobReader, BlobStore, BlobWriter, Segment, StorageKey, StoredBytes, WantedHash};
use crate::clock::Timestamp;
use crate::digest::Hasher;
use crate::outbound::bucket::{Bucket, BucketError, Labels, Place};

/// The largest object, and what is gathered before one is written.
const OBJECT: u64 = 8 * 1024 * 1024;
/// Objects below this many bytes are put together …
const SMALL: u64 = 5 * 1024 * 1024;
/// … once a blob ends with so many of them.
const MANY: usize = 32;
/// The object that says whose store this is, below the prefix.
const MARK: &str = ".store/id";

/// Blobs below a prefix of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct ObjectBlobs {
    bucket: Bucket,
    /// Empty, or without a slash at its end.
    prefix: String,
    /// Blobs written since the store was opened; `None` once somebody has asked what was left over.
    written: Arc<Mutex<Option<HashSet<StorageKey>>>>,
    /// What was written after this moment may be another gateway's, and is never left over.
    others_since: Option<Timestamp>,
}

impl ObjectBlobs {
    /// The store below a prefix of this bucket. Where other gateways write to it too, `others_since` is a moment before
    /// anything that they may still be receiving.
    pub(crate) fn new(bucket: Bucket, prefix: &str, others_since: Option<Timestamp>) -> Self {
        let prefix = prefix.trim_matches('/').to_owned();
        Self { bucket, prefix, written: Arc::new(Mutex::new(Some(HashSet::new()))), others_since }
    }

    fn name(&self, below: &str) -> String {
        if self.prefix.is_empty() { below.to_owned() } else { format!("{}/{below}", self.prefix) }
    }

    fn folder(&self, key: &StorageKey) -> Folder {
        Folder { bucket: self.bucket.clone(), name: self.name(key.as_str()) }
    }

    /// The key and the bytes that an object's name stands for; `None` for what is none of ours.
    fn parse(&self, name: &str) -> Option<StorageKey> {
        let below = match self.prefix.as_str() {
            "" => name,
            prefix => name.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        let (key, span) = below.rsplit_once('/')?;
        Span::parse(span).map(|_| StorageKey::from_stored(key.to_owned()))
    }
}

#[async_trait]
impl BlobStore for ObjectBlobs {
    /// The hash is always SHA-256: where the service copies the object to a target, that is told it beforehand.
    async fn append(
        &self,
        key: &StorageKey,
        offset: u64,
        _hash: WantedHash,
    ) -> Result<Box<dyn BlobWriter>, BlobError> {
        if let Some(written) = &mut *self.written.lock().unwrap_or_else(PoisonError::into_inner) {
            written.insert(key.clone());
        }
        let folder = self.folder(key);
        let mut spans = folder.cut(offset).await?;
        folder.gather(&mut spans).await?;
        Ok(Box::new(ObjectWriter {
            folder,
            spans,
            hasher: Some(Hasher::sha256()),
            busy: JoinSet::new(),
            gathered: Vec::new(),
            gathered_bytes: 0,
            segment_first_byte: offset,
            position: offset,
        }))
    }

    async fn read(&self, key: &StorageKey, offset: u64) -> Result<Box<dyn BlobReader>, BlobError> {
        let folder = self.folder(key);
        let spans = cover(&folder.spans().await?);
        if end_of(&spans) < offset || spans.is_empty() {
            return Err(BlobError::Short { expected: offset, found: end_of(&spans) });
        }
        let ahead = spans.into_iter().filter(|span| span.end > offset).collect();
        Ok(Box::new(ObjectReader { folder, ahead, position: offset, current: None, rest: Bytes::new() }))
    }

    async fn remove(&self, key: &StorageKey) -> Result<(), BlobError> {
        let folder = self.folder(key);
        let spans = folder.spans().await?;
        folder.remove(&spans).await
    }

    async fn left_over(&self) -> Result<Vec<StorageKey>, BlobError> {
        let mut objects = self.bucket.list(&self.prefix);
        let (mut found, mut kept) = (HashSet::new(), HashSet::new());
        while let Some(object) = objects.try_next().await? {
            let Some(key) = self.parse(&object.name) else { continue };
            if self.others_since.is_some_and(|since| object.changed_at > since) {
                kept.insert(key);
            } else {
                found.insert(key);
            }
        }
        // Taken after the listing, so whatever was begun before it is in here.
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(written) = written else { return Ok(Vec::new()) };
        Ok(found.into_iter().filter(|key| !kept.contains(key) && !written.contains(key)).collect())
    }

    async fn marked(&self) -> Result<Option<String>, BlobError> {
        let name = self.name(MARK);
        let Some(mark) = self.bucket.look(&name).await? else { return Ok(None) };
        let content: Vec<Bytes> = self.bucket.read(&name, 0..mark.length).await?.try_collect().await?;
        Ok(Some(String::from_utf8_lossy(&content.concat()).into_owned()))
    }

    async fn mark(&self, id: &str) -> Result<(), BlobError> {
        let content = vec![Bytes::copy_from_slice(id.as_bytes())];
        match self.bucket.put(&self.name(MARK), content, &Labels::default(), Place::New).await {
            Ok(()) | Err(BucketError::Exists) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Only whether the bucket is there and lets us in: a probe every few seconds would pile up in a bucket that keeps
    /// old versions.
    async fn check(&self) -> Result<(), BlobError> {
        let (folder, _) = MARK.split_once('/').unwrap_or((MARK, ""));
        Ok(self.bucket.check(&self.name(folder)).await?)
    }
}

impl From<BucketError> for BlobError {
    fn from(error: BucketError) -> Self {
        Self::Io(std::io::Error::other(error))
    }
}

/// The objects of one blob.
#[derive(Debug, Clone)]
struct Folder {
    bucket: Bucket,
    name: String,
}

impl Folder {
    fn name_of(&self, span: Span) -> String {
        format!("{}/{}", self.name, span.name())
    }

    async fn spans(&self) -> Result<Vec<Span>, BucketError> {
        let mut objects = self.bucket.list(&self.name);
        let mut spans = Vec::new();
        while let Some(object) = objects.try_next().await? {
            let name = object.name.rsplit_once('/').map_or("", |(_, name)| name);
            // An object that is not as long as it says is none of ours.
            spans.extend(Span::parse(name).filter(|span| span.length() == object.length));
        }
        Ok(spans)
    }

    /// Removes everything after `offset` and everything that is there twice, and returns what is left. Bytes before
    /// the offset lie in whole objects at every moment.
    async fn cut(&self, offset: u64) -> Result<Vec<Span>, BlobError> {
        let all = self.spans().await?;
        let mut kept = cover(&all);
        if end_of(&kept) < offset {
            return Err(BlobError::Short { expected: offset, found: end_of(&kept) });
        }
        let needed = kept.iter().filter(|span| span.end < offset).count() + 1;
        kept.truncate(if offset == 0 { 0 } else { needed });
        if let Some(last) = kept.last_mut()
            && last.end > offset
        {
            let head = Span { first_byte: last.first_byte, end: offset };
            let content = self.content(*last, head.length()).await?;
            self.put(head, content).await?;
            *last = head;
        }
        let superfluous: Vec<Span> = all.into_iter().filter(|span| !kept.contains(span)).collect();
        self.remove(&superfluous).await?;
        Ok(kept)
    }

    /// Puts the small objects at the end together: first the new object, then the old ones go.
    async fn gather(&self, spans: &mut Vec<Span>) -> Result<(), BlobError> {
        let runs: Vec<Vec<Span>> =
            to_gather(spans, MANY, SMALL, OBJECT).into_iter().map(<[Span]>::to_vec).collect();
        for run in runs {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let whole = Span { first_byte: first.first_byte, end: last.end };
            let mut content = Vec::new();
            let mut position = whole.first_byte;
            for span in &run {
                let mut piece = self.content(*span, span.length()).await?;
                // Objects that a crash left may overlap.
                skip(&mut piece, position - span.first_byte);
                content.append(&mut piece);
                position = span.end;
            }
            self.put(whole, content).await?;
            self.remove(&run).await?;
            spans.retain(|span| !run.contains(span));
            spans.push(whole);
        }
        spans.sort_unstable();
        Ok(())
    }

    async fn content(&self, span: Span, length: u64) -> Result<Vec<Bytes>, BlobError> {
        let content: Vec<Bytes> =
            self.bucket.read(&self.name_of(span), 0..length).await?.try_collect().await?;
        let found = content.iter().map(|bytes| bytes.len() as u64).sum();
        if found == length { Ok(content) } else { Err(BlobError::Short { expected: length, found }) }
    }

    async fn put(&self, span: Span, content: Vec<Bytes>) -> Result<(), BucketError> {
        self.bucket.put(&self.name_of(span), content, &Labels::default(), Place::Over).await
    }

    async fn remove(&self, spans: &[Span]) -> Result<(), BlobError> {
        Ok(self.bucket.remove(spans.iter().map(|span| self.name_of(*span)).collect()).await?)
    }
}

/// Drops the first `count` bytes.
fn skip(content: &mut Vec<Bytes>, mut count: u64) {
    content.retain_mut(|bytes| {
        let skipped = usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len());
        count -= skipped as u64;
        let _ = bytes.split_to(skipped);
        !bytes.is_empty()
    });
}

struct ObjectWriter {
    folder: Folder,
    /// The objects that are there, from the first byte on.
    spans: Vec<Span>,
    /// The running hash of the segment; `None` while an object is on its way, or after a failure.
    hasher: Option<Hasher>,
    /// At most one object on its way. Dropping it calls the call off.
    busy: JoinSet<Result<Hasher, BucketError>>,
    gathered: Vec<Bytes>,
    gathered_bytes: u64,
    segment_first_byte: u64,
    /// Offset of the byte after the last that was written.
    position: u64,
}

impl ObjectWriter {
    /// Waits for the object under way. After a failure every later call fails: nobody knows what is there.
    async fn idle(&mut self) -> Result<Hasher, BlobError> {
        match self.busy.join_next().await {
            Some(Ok(put)) => Ok(put?),
            Some(Err(_)) => Err(interrupted()),
            None => self.hasher.take().ok_or_else(interrupted),
        }
    }

    /// Begins to write what is gathered.
    async fn start(&mut self) -> Result<(), BlobError> {
        let mut hasher = self.idle().await?;
        let content = std::mem::take(&mut self.gathered);
        let span = Span { first_byte: self.position - self.gathered_bytes, end: self.position };
        self.gathered_bytes = 0;
        self.spans.push(span);
        let folder = self.folder.clone();
        self.busy.spawn(async move {
            let to_hash = content.clone();
            let hashed = spawn_blocking(move || {
                for bytes in to_hash {
                    hasher.update(&bytes);
                }
                hasher
            });
            let hasher = hashed.await.map_err(|_| BucketError::Failed)?;
            folder.put(span, content).await?;
            Ok(hasher)
        });
        Ok(())
    }
}

#[async_trait]
impl BlobWriter for ObjectWriter {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), BlobError> {
        while !bytes.is_empty() {
            let room = usize::try_from(OBJECT - self.gathered_bytes).unwrap_or(usize::MAX);
            let piece = bytes.split_to(room.min(bytes.len()));
            self.position += piece.len() as u64;
            self.gathered_bytes += piece.len() as u64;
            self.gathered.push(piece);
            if self.gathered_bytes == OBJECT {
                self.start().await?;
            }
        }
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<Option<Segment>, BlobError> {
        if self.position == self.segment_first_byte {
            return Ok(None);
        }
        if self.gathered_bytes > 0 {
            self.start().await?;
        }
        let mut hasher = self.idle().await?;
        let segment = Segment {
            first_byte: self.segment_first_byte,
            length: self.position - self.segment_first_byte,
            hash: hasher.finish(),
        };
        self.hasher = Some(hasher);
        self.segment_first_byte = self.position;
        self.folder.gather(&mut self.spans).await?;
        Ok(Some(segment))
    }

    async fn abandon(&mut self) {
        self.gathered.clear();
        self.gathered_bytes = 0;
        // Whether it succeeded does not matter: the next append removes what was not acknowledged.
        let _ = self.idle().await;
    }
}

/// An object that was on its way is gone, as when the runtime stops.
fn interrupted() -> BlobError {
    BlobError::Io(std::io::Error::from(std::io::ErrorKind::Interrupted))
}

struct ObjectReader {
    folder: Folder,
    ahead: VecDeque<Span>,
    position: u64,
    current: Option<BoxStream<'static, Result<Bytes, BucketError>>>,
    /// What came of the current object and was not asked for yet.
    rest: Bytes,
}

impl ObjectReader {
    /// Sees to it that there is something to take; `false` at the end.
    async fn fill(&mut self) -> Result<bool, BlobError> {
        while self.rest.is_empty() {
            if let Some(current) = &mut self.current {
                match current.next().await {
                    Some(bytes) => self.rest = bytes?,
                    None => self.current = None,
                }
                continue;
            }
            let Some(span) = self.ahead.pop_front() else { return Ok(false) };
            // An object that ended early leaves a gap.
            let Some(begin) = self.position.checked_sub(span.first_byte) else {
                return Err(BlobError::Short { expected: span.first_byte, found: self.position });
            };
            let name = self.folder.name_of(span);
            self.current = Some(self.folder.bucket.read(&name, begin..span.length()).await?);
        }
        Ok(true)
    }

    fn take(&mut self, max: usize) -> Bytes {
        let block = self.rest.split_to(max.min(self.rest.len()));
        self.position += block.len() as u64;
        block
    }
}

#[async_trait]
impl BlobReader for ObjectReader {
    /// Fills the block as far as there are bytes: a connection brings them in small pieces.
    async fn next(&mut self, max: usize) -> Result<Bytes, BlobError> {
        if !self.fill().await? || self.rest.len() >= max {
            return Ok(self.take(max));
        }
        let mut block = BytesMut::new();
        while block.len() < max && self.fill().await? {
            let piece = self.take(max - block.len());
            block.extend_from_slice(&piece);
        }
        Ok(block.freeze())
    }

    fn objects(&self) -> Option<(Bucket, Vec<StoredBytes>)> {
        if self.position > 0 || self.current.is_some() || !self.rest.is_empty() {
            return None;
        }
        let mut position = 0_u64;
        let objects = self.ahead.iter().map(|span| {
            let begin = position.checked_sub(span.first_byte)?;
            position = span.end;
            Some(StoredBytes {
                name: self.folder.name_of(*span),
                of: span.length(),
                range: begin..span.length(),
            })
        });
        let objects: Option<Vec<_>> = objects.collect();
        objects.map(|objects| (self.folder.bucket.clone(), objects))
    }
}

#[cfg(test)]
#[path = "object_tests.rs"]
mod tests;
