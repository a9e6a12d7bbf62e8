//! Copies within a service: where the upload lies in the target's own bucket, or beside it, the service copies its
//! bytes, and the gateway only reads the copy to compare it with what was acknowledged (dex-upload W-40).

use futures_util::TryStreamExt;
use tokio::sync::mpsc;

use super::parts::{Content, MOST_PARTS};
use super::{Delivered, Job, Spot};
use crate::delivery::DeliveryError;
use crate::outbound::bucket::{Bucket, Labels, Place};
use crate::outbound::time_for;
use crate::upload::{Stored, StoredBytes};

impl Job<'_> {
    /// Has the service copy what it has; `None` if it does not, or may not, so that the bytes go the
    /// long way. The service compares nothing with what was acknowledged, so the copy is read again whatever the
    /// settings say.
    pub(super) async fn copy(&self, stored: &Stored) -> Result<Option<Delivered>, DeliveryError> {
        let (labels, is_whole) = self.labels(stored.verifier.promised());
        let (name, over) = match self.spot().await? {
            Spot::Done(name) => (name, None),
            Spot::Free(name) => (name, Some(false)),
            Spot::Earlier(name) => (name, Some(true)),
        };
        if let Some(is_anew) = over
            && !self.make(stored, &name, &labels, is_anew).await?
        {
            return Ok(None);
        }
        match self.sound(&name, self.read_back(&name, stored.verifier.clone()).await).await {
            // What the store has is not what was acknowledged: reading it tells what is wrong.
            Err(DeliveryError::HashMismatch | DeliveryError::LengthMismatch { .. }) => Ok(None),
            compared => self.finish(&name, compared?, is_whole).await.map(Some),
        }
    }

    /// Makes the copy; `false` if the service does not. `is_anew` says that an object of ours is in its place.
    async fn make(
        &self,
        stored: &Stored,
        name: &str,
        labels: &Labels,
        is_anew: bool,
    ) -> Result<bool, DeliveryError> {
        match &stored.objects[..] {
            [object] if object.is_whole() => {
                let place = if is_anew { Place::Over } else { self.place() };
                let from = (&stored.bucket, &*object.name);
                Ok(self.settings.bucket.copy(from, name, labels, place).await.is_ok())
            }
            _ => self.copy_parts(stored, name, labels, is_anew).await,
        }
    }

    /// Makes it of several objects.
    async fn copy_parts(
        &self,
        stored: &Stored,
        name: &str,
        labels: &Labels,
        is_anew: bool,
    ) -> Result<bool, DeliveryError> {
        let bucket = &self.settings.bucket;
        let least = bucket.least_part();
        let parts = cut(&stored.objects, least);
        let kept = self.kept();
        // What an earlier attempt has sent, after the service refused to copy, is gone on with.
        let is_sent = kept.as_ref().is_some_and(|kept| kept.part_bytes.is_some());
        let is_of_use = parts.iter().any(|part| is_copied(part, least)) && parts.len() as u64 <= MOST_PARTS;
        if is_sent || !is_of_use {
            return Ok(false);
        }
        // No part that is read and sent is longer.
        self.progress.meter().bear(time_for(2 * least));
        let mut begun = match self.go_on(kept, name.to_owned(), None, labels).await {
            Err(DeliveryError::Bucket(_)) => return Ok(false),
            begun => begun?,
        };
        let before = begun.parts.len();
        let feed = |skipped, handed| hand_on(stored.bucket.clone(), parts, least, (skipped, handed));
        let made = match self.send(&mut begun, feed).await {
            Ok(()) => self.complete(&begun, labels, is_anew).await,
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => Ok(true),
            // An attempt that got further leaves the rest to the next; one that did not takes the long way, so that no
            // service can hold a delivery up by saying every time that it will copy later.
            Err(DeliveryError::Bucket(error)) if !error.is_of_a_moment() || begun.parts.len() == before => {
                self.give_up(Some(&begun)).await;
                Ok(false)
            }
            Err(error) => Err(self.after(Some(&begun), error).await),
        }
    }
}

/// Cuts what lies in these objects into parts of at least `least` bytes, but for the last, so that as much as possible
/// is in parts that the service can copy: one object, or bytes of one that is longer than `least` (S3, UploadPartCopy).
/// What is too short goes with what follows, of which as little as will do if the rest can still be copied.
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

/// Hands the parts after the first `skipped` on: where to copy them from, or their bytes.
async fn hand_on(
    source: Bucket,
    parts: Vec<Vec<StoredBytes>>,
    least: u64,
    (skipped, handed): (usize, mpsc::Sender<Content>),
) -> Result<(), DeliveryError> {
    for mut part in parts.into_iter().skip(skipped) {
        let content = if is_copied(&part, least) {
            Content::Copied(source.clone(), part.swap_remove(0))
        } else {
            let mut blocks = Vec::new();
            for object in part {
                blocks.extend(source.read(&object.name, object.range).await?.try_collect::<Vec<_>>().await?);
            }
            Content::Sent(blocks)
        };
        // Whoever does not take it any more has a reason of its own to tell.
        handed.send(content).await.map_err(|_| DeliveryError::Panicked)?;
    }
    Ok(())
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
                let length: u64 = part.iter().map(StoredBytes::length).sum();
                prop_assert!(length >= LEAST || n + 1 == parts.len());
                prop_assert!(length < 2 * LEAST || is_copied(part, LEAST));
                prop_assert!(part.iter().all(|object| object.length() > 0));
            }
            let shortest = cut(&objects, 1);
            prop_assert_eq!(shortest.len(), objects.len(), "Azure copies everything");
        }
    }
}
