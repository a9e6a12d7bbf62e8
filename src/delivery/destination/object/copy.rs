//! Copies within a service: where the upload lies in the target's own bucket, or beside it, the service copies its
//! bytes, and the gateway only reads the copy to compare it with what was acknowledged (dex-upload W-40).

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::sync::mpsc;

use super::parts::{Content, MOST_PARTS};
use super::{Delivered, Job, Spot};
use crate::delivery::DeliveryError;
use crate::delivery::meter::Meter;
use crate::outbound::bucket::{Bucket, BucketError, Labels};
use crate::outbound::time_for;
use crate::upload::{SourceError, Stored, StoredBytes};

/// Fewer bytes are sent sooner than copied, which takes four calls more. Nor is copying worth while where most bytes go
/// through the gateway all the same.
const WORTHWHILE: u64 = 1024 * 1024;

impl Job<'_> {
    /// Has the service copy what it has; `None` if it does not, or may not, so that the bytes go the long way. The
    /// service compares nothing with what was acknowledged, so the copy is read again whatever the settings say.
    pub(super) async fn copy(&self, stored: &Stored) -> Result<Option<Delivered>, DeliveryError> {
        let (labels, is_whole) = self.labels(stored.verifier.promised());
        let spot = match self.spot().await {
            // A key may write and not look; a short upload needs no more.
            Err(DeliveryError::Bucket(BucketError::Forbidden)) => return Ok(None),
            spot => spot?,
        };
        let (is_done, is_anew) = (matches!(spot, Spot::Done(_)), matches!(spot, Spot::Earlier(_)));
        let (Spot::Done(name) | Spot::Free(name) | Spot::Earlier(name)) = spot;
        if !is_done && !self.make(stored, &name, &labels, is_anew).await? {
            return Ok(None);
        }
        match self.sound(&name, self.read_back(&name, stored.verifier.clone()).await).await {
            // What the store has is not what was acknowledged, or was not copied well: reading it tells.
            Err(error @ (DeliveryError::HashMismatch | DeliveryError::LengthMismatch { .. })) => {
                tracing::warn!(%error, delivery = %self.delivery, "a copy is not what was received");
                Ok(None)
            }
            // Nobody can say what it is. Where it may not be removed either, it is written over.
            Err(DeliveryError::Bucket(error @ BucketError::Forbidden)) => {
                not_copied(&error);
                if let Err(error) = self.take_away(&name).await {
                    not_copied(&error);
                }
                Ok(None)
            }
            compared => self.finish(&name, compared?, is_whole).await.map(Some),
        }
    }

    /// Makes the copy; `false` if the service does not, or it is not worth while. `is_anew` says that an object of ours
    /// is in its place.
    async fn make(
        &self,
        stored: &Stored,
        name: &str,
        labels: &Labels,
        is_anew: bool,
    ) -> Result<bool, DeliveryError> {
        let bucket = &self.settings.bucket;
        let least = bucket.least_part();
        let mut parts = cut(&stored.objects, least);
        let copied = length_of(parts.iter().filter(|part| is_copied(part, least)).flatten());
        let is_of_use = copied >= WORTHWHILE && copied >= self.length / 2;
        if !is_of_use || parts.len() as u64 > MOST_PARTS {
            return Ok(false);
        }
        let kept = match self.kept() {
            // An earlier attempt has sent them, after the service did not copy.
            Some(kept) if kept.part_bytes.is_some() => return Ok(false),
            // They were cut otherwise.
            Some(kept)
                if kept.bytes != length_of(parts.iter().take(kept.parts.len()).flatten())
                    || kept.parts.len() > parts.len() =>
            {
                self.give_up(Some(&kept)).await;
                None
            }
            kept => kept,
        };
        // No part that is read and sent is longer.
        self.progress.meter().bear(time_for(2 * least));
        let mut begun = match self.go_on(kept, name.to_owned(), None, labels).await {
            Err(DeliveryError::Bucket(error)) => {
                not_copied(&error);
                return Ok(false);
            }
            begun => begun?,
        };
        let is_resumed = !begun.parts.is_empty();
        let meter = self.progress.meter().clone();
        let feed =
            |skipped, handed| hand_on(stored.bucket.clone(), parts.split_off(skipped), least, meter, handed);
        let made = match self.send(&mut begun, feed).await {
            Ok(()) => self.complete(&begun, labels, is_anew).await.map(drop),
            Err(error) => Err(error),
        };
        let Err(error) = made else {
            tracing::debug!(parts = begun.parts.len(), "the service copied an upload");
            return Ok(true);
        };
        // An attempt that got further leaves the rest to the next, once: a service that goes on saying "later" must not
        // use a delivery up that it would take the long way.
        let is_later = matches!(&error, DeliveryError::Bucket(error) if error.is_of_a_moment());
        let is_left = is_later && !is_resumed && !begun.parts.is_empty();
        if matches!(error, DeliveryError::Bucket(_) | DeliveryError::Source(_)) && !is_left {
            not_copied(&error);
            self.give_up(Some(&begun)).await;
            return Ok(false);
        }
        Err(self.after(Some(&begun), error).await)
    }
}

/// Whoever wonders why bytes go the long way finds it in the log.
fn not_copied(error: &dyn std::error::Error) {
    tracing::debug!(%error, "the service did not copy an upload");
}

/// Cuts what lies in these objects into parts of at least `least` bytes, but for the last, so that as much as possible
/// is in parts that the service can copy: one object, or bytes of one that is longer than `least` (S3, UploadPartCopy).
/// What is too short goes with what follows, of which as little as will do if the rest makes a part of its own.
fn cut(objects: &[StoredBytes], least: u64) -> Vec<Vec<StoredBytes>> {
    let (mut parts, mut gathered, mut gathered_bytes) = (Vec::new(), Vec::new(), 0);
    for object in objects {
        let mut rest = object.clone();
        if gathered_bytes > 0 {
            let wanted = least - gathered_bytes;
            let taken = if rest.length() >= wanted + least { wanted } else { rest.length() };
            let middle = rest.range.start + taken;
            gathered.push(StoredBytes { range: rest.range.start..middle, ..rest.clone() });
            gathered_bytes += taken;
            rest.range.start = middle;
            if gathered_bytes >= least {
                parts.push(std::mem::take(&mut gathered));
                gathered_bytes = 0;
            }
        }
        if rest.length() >= least {
            parts.push(vec![rest]);
        } else if rest.length() > 0 {
            gathered_bytes += rest.length();
            gathered.push(rest);
        }
    }
    if gathered_bytes > 0 {
        parts.push(gathered);
    }
    parts
}

/// Whether the service can copy a part.
fn is_copied(part: &[StoredBytes], least: u64) -> bool {
    matches!(part, [object] if object.is_whole() || object.of > least)
}

/// How many bytes these are.
fn length_of<'a>(objects: impl Iterator<Item = &'a StoredBytes>) -> u64 {
    objects.map(StoredBytes::length).sum()
}

/// Hands parts on: where to copy them from, or their bytes.
async fn hand_on(
    source: Bucket,
    parts: Vec<Vec<StoredBytes>>,
    least: u64,
    meter: Arc<Meter>,
    handed: mpsc::Sender<Content>,
) -> Result<(), DeliveryError> {
    for mut part in parts {
        let content = if is_copied(&part, least) {
            Content::Object(source.clone(), part.swap_remove(0))
        } else {
            Content::Bytes(read(&source, part, &meter).await.map_err(of_source)?)
        };
        // Whoever does not take it any more has a reason of its own to tell.
        handed.send(content).await.map_err(|_| DeliveryError::Panicked)?;
    }
    Ok(())
}

async fn read(source: &Bucket, part: Vec<StoredBytes>, meter: &Meter) -> Result<Vec<Bytes>, BucketError> {
    let mut content = Vec::new();
    for object in part {
        let mut blocks = source.read(&object.name, object.range).await?;
        while let Some(block) = blocks.try_next().await? {
            meter.moved();
            content.push(block);
        }
    }
    Ok(content)
}

/// A failure of the store's bucket is none of the target's.
fn of_source(error: BucketError) -> DeliveryError {
    SourceError::Storage(std::io::Error::other(error)).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEAST: u64 = 5;

    fn objects(lengths: &[u64]) -> Vec<StoredBytes> {
        let objects = lengths.iter().enumerate();
        let whole =
            |(n, length): (usize, &u64)| StoredBytes { name: n.to_string(), of: *length, range: 0..*length };
        objects.map(whole).collect()
    }

    #[test]
    fn what_is_too_short_goes_with_as_little_as_possible_of_what_follows() {
        let cases: [(&[u64], &[&[u64]]); 8] = [
            (&[8, 8, 1], &[&[8], &[8], &[1]]),
            (&[8, 2, 8, 2], &[&[8], &[2, 3], &[5], &[2]]),
            (&[2, 7, 8], &[&[2, 7], &[8]]),
            (&[2, 8, 8], &[&[2, 3], &[5], &[8]]),
            (&[1, 1, 1, 1, 1, 1, 6], &[&[1, 1, 1, 1, 1], &[1, 6]]),
            (&[4], &[&[4]]),
            (&[4, 4], &[&[4, 4]]),
            (&[], &[]),
        ];
        for (lengths, expected) in cases {
            let parts = cut(&objects(lengths), LEAST);
            let lengths: Vec<Vec<u64>> =
                parts.iter().map(|part| part.iter().map(StoredBytes::length).collect()).collect();
            assert_eq!(lengths, expected);
        }
    }

    proptest! {
        /// Every byte is in one part, in its place; only the last part is short, and none is much too long.
        #[test]
        fn parts_are_all_bytes_in_order(lengths in prop::collection::vec(1u64..=8, 0..40), skipped in 0u64..8) {
            let mut objects = objects(&lengths);
            // As where objects overlap that a crash left.
            if let Some(first) = objects.first_mut() {
                first.range.start = skipped.min(first.of - 1);
            }
            let bytes = |objects: &[StoredBytes]| -> Vec<(String, u64)> {
                objects.iter().flat_map(|object| object.range.clone().map(|byte| (object.name.clone(), byte))).collect()
            };
            let parts = cut(&objects, LEAST);
            prop_assert_eq!(bytes(&parts.concat()), bytes(&objects));
            for (n, part) in parts.iter().enumerate() {
                let length = length_of(part.iter());
                prop_assert!(length >= LEAST || n + 1 == parts.len());
                prop_assert!(length < 2 * LEAST || is_copied(part, LEAST));
                prop_assert!(part.iter().all(|object| object.length() > 0));
            }
            let shortest = cut(&objects, 1);
            prop_assert_eq!(shortest.len(), objects.len(), "Azure copies everything");
        }
    }
}
