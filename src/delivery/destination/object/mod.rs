//! A bucket as a target: S3 or Azure Blob Storage.
//!
//! What is short goes in one call, the rest in [`parts`], which survive a crash; either way the name shows nothing
//! before the object is whole (dex-upload D-03). What lies at the same service is copied there ([`copy`]). Every object
//! says which delivery made it, so that what was done once is known again.

mod copy;
pub(crate) mod labels;
mod parts;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;

use super::name::{sidecar_of, split, with_suffix};
use super::{Delivered, DeliveryRequest, Destination};
use crate::delivery::{ClashPolicy, DeliveryError, Progress};
use crate::id::{DeliveryId, UploadId};
use crate::outbound::bucket::{Bucket, BucketError, Labels, Object, Place};
use crate::outbound::time_for;
use crate::upload::{Source, Verifier};
use labels::{DELIVERY_ID, Holder, SHA256};
use parts::Reader;

/// What goes in one call; parts have at least as many bytes.
const ONE_CALL: u64 = 8 * 1024 * 1024;

/// Where the manifest goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum MetadataPlace {
    /// With the object where it fits, otherwise beside it.
    #[default]
    Auto,
    /// With the object; an upload whose manifest does not fit is refused when it is created.
    Object,
    /// Beside the object, as `{name}.meta.json`.
    Sidecar,
}

/// A bucket as configured.
#[derive(Debug, Clone)]
pub(crate) struct ObjectSettings {
    /// The bucket.
    pub(crate) bucket: Bucket,
    /// What happens if another object has the name.
    pub(crate) clash_policy: ClashPolicy,
    /// Where the manifest goes.
    pub(crate) metadata: MetadataPlace,
    /// Whether what was written is read again and hashed before it counts as delivered.
    pub(crate) read_back: bool,
    /// Whether the service copies what lies at it.
    pub(crate) copy: bool,
}

/// Delivers into a bucket.
#[derive(Debug, Clone)]
pub(crate) struct ObjectDestination {
    settings: Arc<ObjectSettings>,
}

impl ObjectDestination {
    /// A target that is this bucket.
    pub(crate) fn new(settings: ObjectSettings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

#[async_trait]
impl Destination for ObjectDestination {
    async fn deliver(&self, request: DeliveryRequest<'_>) -> Result<Delivered, DeliveryError> {
        split(request.path)?;
        let source = request.source;
        let length = source.length();
        let job = Job {
            settings: &self.settings,
            delivery: delivery_label(request.delivery_id, request.delivered_before),
            earlier: (0..request.delivered_before)
                .map(|before| delivery_label(request.delivery_id, before))
                .collect(),
            upload_id: request.upload_id,
            path: request.path,
            media_type: request.media_type,
            manifest: request.manifest,
            progress: request.progress,
            length,
        };
        // Each call with bytes ends by itself once the line has been silent for so long.
        job.progress.meter().bear(time_for(length.min(parts::part_bytes(length))));
        if self.settings.copy
            && let Some(stored) = source.stored()
            && self.settings.bucket.shares_service_with(&stored.bucket)
            && let Some(delivered) = job.copy(&stored).await?
        {
            return Ok(delivered);
        }
        if length > ONE_CALL {
            return job.put_parts(source).await;
        }
        // Short ones have begun parts where they are copied.
        job.give_up(job.kept().as_ref()).await;
        job.put(source).await
    }

    fn keeps_leftovers(&self) -> bool {
        // Azure forgets them by itself.
        !self.settings.bucket.is_azure()
    }

    async fn give_up(&self, kept: &[u8]) -> Result<(), DeliveryError> {
        parts::give_up(&self.settings.bucket, kept).await
    }

    async fn check(&self) -> Result<(), DeliveryError> {
        Ok(self.settings.bucket.check("").await?)
    }
}

/// One delivery on its way.
struct Job<'a> {
    settings: &'a ObjectSettings,
    /// How its objects say that they are of this delivery.
    delivery: String,
    /// How they said it when it was asked for before.
    earlier: Vec<String>,
    upload_id: UploadId,
    path: &'a str,
    media_type: Option<&'a str>,
    manifest: &'a [u8],
    progress: &'a dyn Progress,
    length: u64,
}

/// The name that an upload is to get.
enum Spot {
    /// It may be written.
    Free(String),
    /// This delivery has written it when it was asked for before; now it is to be written anew.
    Earlier(String),
    /// An earlier attempt has written it.
    Done(String),
}

/// When an object of ours came to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// In this attempt, of bytes that it has seen.
    Now,
    /// Before, and nobody knows how.
    Before,
}

impl Job<'_> {
    /// Writes a short upload in one call.
    async fn put(&self, source: Box<dyn Source>) -> Result<Delivered, DeliveryError> {
        let mut reader = Reader::new(source, self.length, ONE_CALL);
        let content = reader.next_part().await?.unwrap_or_default();
        let sha256 = reader.finish().await?;
        let (labels, is_whole) = self.labels(Some(sha256));
        let (bucket, place) = (&self.settings.bucket, self.place());
        for name in self.names() {
            match bucket.put(&name, content.clone(), &labels, place).await {
                Ok(()) => {}
                Err(BucketError::Exists) => match bucket.look(&name).await? {
                    Some(object) if self.is_ours(&object) => {
                        match self.confirm(name.clone(), Made::Before, sha256, is_whole).await {
                            // What may not be read is written again.
                            Err(DeliveryError::Bucket(BucketError::Forbidden)) => {
                                bucket.put(&name, content.clone(), &labels, Place::Over).await?;
                            }
                            confirmed => return confirmed,
                        }
                    }
                    Some(object) if self.is_of_earlier(&object) => {
                        bucket.put(&name, content.clone(), &labels, Place::Over).await?;
                    }
                    Some(_) => continue,
                    // At Azure the blocks of an attempt that died, which nobody sees, stand in the way of one call
                    // but not of a list of blocks.
                    None => self.put_as_part(&name, content.clone(), &labels).await?,
                },
                Err(error) => return Err(error.into()),
            }
            return self.confirm(name, Made::Now, sha256, is_whole).await;
        }
        Err(DeliveryError::PathTaken)
    }

    async fn put_as_part(
        &self,
        name: &str,
        content: Vec<Bytes>,
        labels: &Labels,
    ) -> Result<(), DeliveryError> {
        let bucket = &self.settings.bucket;
        let id = bucket.begin(name, labels).await?;
        let part = bucket.put_part(name, &id, 0, content).await?;
        Ok(bucket.complete(name, &id, &[part], labels).await?)
    }

    /// The names that the upload may get, the first that is free first.
    fn names(&self) -> Vec<String> {
        let path = self.path.to_owned();
        match self.settings.clash_policy {
            ClashPolicy::Overwrite | ClashPolicy::Fail => vec![path],
            ClashPolicy::SuffixUploadId => {
                let beside = with_suffix(&path, self.upload_id);
                vec![path, beside]
            }
        }
    }

    fn place(&self) -> Place {
        match self.settings.clash_policy {
            ClashPolicy::Overwrite => Place::Over,
            ClashPolicy::Fail | ClashPolicy::SuffixUploadId => Place::New,
        }
    }

    /// Looks for the name, before much is sent in vain.
    async fn spot(&self) -> Result<Spot, DeliveryError> {
        for name in self.names() {
            match self.settings.bucket.look(&name).await? {
                Some(object) if self.is_ours(&object) => return Ok(Spot::Done(name)),
                Some(object) if self.is_of_earlier(&object) => return Ok(Spot::Earlier(name)),
                Some(_) if self.place() == Place::New => {}
                Some(_) | None => return Ok(Spot::Free(name)),
            }
        }
        Err(DeliveryError::PathTaken)
    }

    /// Whether an object is what an earlier attempt of this delivery made: objects are made whole.
    fn is_ours(&self, object: &Object) -> bool {
        object.length == self.length && label_of(object) == Some(&self.delivery)
    }

    /// Whether this delivery made an object before it was asked for again, or one that is not what it should be.
    fn is_of_earlier(&self, object: &Object) -> bool {
        label_of(object).is_some_and(|label| self.earlier.contains(label) || *label == self.delivery)
    }

    /// What goes along, and whether the manifest is in it.
    fn labels(&self, sha256: Option<[u8; 32]>) -> (Labels, bool) {
        let own =
            [Some((DELIVERY_ID, self.delivery.clone())), sha256.map(|sha256| (SHA256, hex::encode(sha256)))];
        let is_wanted = self.settings.metadata != MetadataPlace::Sidecar;
        let (mut labels, is_whole) = labels::labels(
            self.manifest,
            holder(&self.settings.bucket),
            is_wanted,
            own.into_iter().flatten(),
        );
        labels.media_type = self.media_type.map(str::to_owned);
        (labels, is_whole)
    }

    /// Compares what is there with what was sent, and puts the sidecar beside it (dex-upload D-04). S3 has compared
    /// every call with the SHA-256 that it was signed with. At Azure only reading it again tells, and everywhere what
    /// was made before: it may be a copy that was never compared.
    async fn confirm(
        &self,
        name: String,
        made: Made,
        sha256: [u8; 32],
        holds_manifest: bool,
    ) -> Result<Delivered, DeliveryError> {
        let compared = if self.settings.read_back || made == Made::Before {
            self.read_back(&name, Verifier::of(self.length, sha256)).await
        } else {
            self.has_length(&name).await.map(|()| sha256)
        };
        let sha256 = self.sound(&name, compared).await?;
        self.finish(&name, sha256, holds_manifest).await
    }

    /// Takes an object of ours away that is not what was sent, and forgets its parts: nobody may find it, and the next
    /// attempt must not.
    async fn sound<T>(&self, name: &str, compared: Result<T, DeliveryError>) -> Result<T, DeliveryError> {
        if let Err(DeliveryError::HashMismatch | DeliveryError::LengthMismatch { .. }) = compared {
            self.take_away(name).await?;
            self.progress.keep(Vec::new()).await?;
        }
        compared
    }

    /// Removes an object if it is of this delivery: where the service does not look before it completes, another may
    /// have taken the name.
    async fn take_away(&self, name: &str) -> Result<(), BucketError> {
        let bucket = &self.settings.bucket;
        if bucket.look(name).await?.is_some_and(|object| label_of(&object) == Some(&self.delivery)) {
            bucket.remove(vec![name.to_owned()]).await?;
        }
        Ok(())
    }

    async fn has_length(&self, name: &str) -> Result<(), DeliveryError> {
        let written = self.settings.bucket.look(name).await?.map_or(0, |object| object.length);
        if written == self.length {
            Ok(())
        } else {
            Err(DeliveryError::LengthMismatch { expected: self.length, written })
        }
    }

    /// Reads an object again and compares it, in ranges, so that no call has to last as long as all of it takes.
    /// Returns the SHA-256 of all.
    async fn read_back(&self, name: &str, mut verifier: Verifier) -> Result<[u8; 32], DeliveryError> {
        // Reading it alone would not show bytes after the last, and not the end of what is too short.
        self.has_length(name).await?;
        let mut written = 0;
        while written < self.length {
            let range = written..self.length.min(written + ONE_CALL);
            let (begin, mut content) = (written, self.settings.bucket.read(name, range).await?);
            while let Some(block) = content.try_next().await? {
                written += block.len() as u64;
                verifier.update(&block).map_err(|_| DeliveryError::HashMismatch)?;
                self.progress.meter().moved();
            }
            if written == begin {
                return Err(DeliveryError::LengthMismatch { expected: self.length, written });
            }
        }
        verifier.finish().ok_or(DeliveryError::HashMismatch)
    }

    /// Puts the manifest beside an object that does not hold it; then it is delivered.
    async fn finish(
        &self,
        name: &str,
        sha256: [u8; 32],
        holds_manifest: bool,
    ) -> Result<Delivered, DeliveryError> {
        let bucket = &self.settings.bucket;
        if !holds_manifest {
            let content = vec![Bytes::copy_from_slice(self.manifest)];
            let labels = Labels { media_type: Some("application/json".to_owned()), metadata: Vec::new() };
            bucket.put(&sidecar_of(name), content, &labels, Place::Over).await?;
        }
        Ok(Delivered { location: bucket.location(name), length: self.length, sha256, remark: None })
    }
}

/// Who holds the metadata of this bucket's objects.
fn holder(bucket: &Bucket) -> Holder {
    if bucket.is_azure() { Holder::Azure } else { Holder::S3 }
}

/// How an object says which delivery made it, and when: whether it was asked for before, and how often it was
/// delivered.
fn delivery_label(id: DeliveryId, delivered_before: u32) -> String {
    if delivered_before == 0 { id.to_string() } else { format!("{id}/{delivered_before}") }
}

/// What an object says of the delivery that made it.
fn label_of(object: &Object) -> Option<&String> {
    object.metadata.iter().find(|(name, _)| name == DELIVERY_ID).map(|(_, label)| label)
}
