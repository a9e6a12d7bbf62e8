//! Compares bytes with what was acknowledged of them, in one pass: the hash of each segment, and on the way that of
//! all.

use std::collections::VecDeque;

use crate::digest::{ContentHash, Digest, Hasher, Sha256};

use super::blob::Segment;
use super::source::SourceError;

/// Takes the bytes of an upload in order, from the first to the last, wherever they are read.
#[derive(Debug, Clone)]
pub(crate) struct Verifier {
    segments: VecDeque<Segment>,
    /// Bytes of the first segment in the queue that were taken, and their hash so far.
    in_segment: u64,
    segment_hash: Hasher,
    /// `None` where one segment is the whole upload and its hash is this: it says it all.
    whole: Option<Sha256>,
    sha256: Option<[u8; 32]>,
}

impl Verifier {
    /// For an upload of so many bytes in these segments.
    ///
    /// # Errors
    /// [`SourceError::Corrupt`] if the segments are not all of it.
    pub(super) fn new(length: u64, segments: Vec<Segment>) -> Result<Self, SourceError> {
        let mut end = 0;
        for segment in &segments {
            if segment.first_byte != end {
                return Err(SourceError::Corrupt);
            }
            end = segment.end();
        }
        if end != length {
            return Err(SourceError::Corrupt);
        }
        Ok(Self::over(segments))
    }

    /// For bytes whose hash is known as a whole.
    pub(crate) fn of(length: u64, sha256: [u8; 32]) -> Self {
        Self::over(vec![Segment { first_byte: 0, length, hash: ContentHash::Sha256(sha256) }])
    }

    fn over(segments: Vec<Segment>) -> Self {
        let says_all = matches!(segments[..], [Segment { hash: ContentHash::Sha256(_), .. }]);
        Self {
            whole: (!says_all).then(Sha256::new),
            segment_hash: hasher_of(segments.first()),
            segments: segments.into(),
            in_segment: 0,
            sha256: None,
        }
    }

    /// How many bytes are wanted to the end of the segment; `None` once no segment is left.
    pub(super) fn wanted(&self) -> Option<u64> {
        self.segments.front().map(|segment| segment.length - self.in_segment)
    }

    /// SHA-256 of all bytes, where it is known before any was taken: of several segments, or of one with another
    /// hash, nobody has it yet.
    pub(crate) fn promised(&self) -> Option<[u8; 32]> {
        let segment = self.segments.front().filter(|_| self.whole.is_none())?;
        segment.hash.sha256()
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`SourceError::Corrupt`] at the end of a segment whose bytes are others, and for bytes after the last.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) -> Result<(), SourceError> {
        while let Some(wanted) = self.wanted() {
            let now = wanted.min(bytes.len() as u64);
            let (taken, rest) = bytes.split_at(usize::try_from(now).unwrap_or(usize::MAX));
            bytes = rest;
            self.segment_hash.update(taken);
            if let Some(whole) = &mut self.whole {
                whole.update(taken);
            }
            self.in_segment += now;
            if now < wanted {
                return Ok(());
            }
            self.end_segment()?;
            if bytes.is_empty() {
                return Ok(());
            }
        }
        if bytes.is_empty() { Ok(()) } else { Err(self.refuse()) }
    }

    /// Nothing that follows makes it good.
    fn refuse(&mut self) -> SourceError {
        (self.whole, self.sha256) = (None, None);
        self.segments.clear();
        SourceError::Corrupt
    }

    fn end_segment(&mut self) -> Result<(), SourceError> {
        let Some(segment) = self.segments.pop_front() else { return Ok(()) };
        let hash = std::mem::replace(&mut self.segment_hash, hasher_of(self.segments.front())).finish();
        self.in_segment = 0;
        if hash != segment.hash {
            return Err(self.refuse());
        }
        if self.whole.is_none() {
            self.sha256 = hash.sha256();
        }
        Ok(())
    }

    /// SHA-256 of all bytes, once all were taken and are the right ones; otherwise `None`.
    pub(crate) fn finish(&mut self) -> Option<[u8; 32]> {
        // A segment without bytes ends here.
        self.update(&[]).ok()?;
        if self.segments.is_empty()
            && let Some(whole) = self.whole.take()
        {
            self.sha256 = Some(whole.finalize().into());
        }
        self.sha256
    }
}

/// What computes the hash of a segment; anything if none is left.
fn hasher_of(segment: Option<&Segment>) -> Hasher {
    segment.map_or_else(Hasher::sha256, |segment| segment.hash.hasher())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Segments of these lengths, the n-th with the n-th of these hashes.
    fn segments(bytes: &[u8], lengths: &[usize], hashers: &[Hasher]) -> Vec<Segment> {
        let mut first = 0;
        let segments = lengths.iter().zip(hashers.iter().cycle()).map(|(length, hasher)| {
            let mut hasher = hasher.clone();
            hasher.update(&bytes[first..first + length]);
            let segment = Segment { first_byte: first as u64, length: *length as u64, hash: hasher.finish() };
            first += length;
            segment
        });
        segments.collect()
    }

    fn any_hasher() -> impl Strategy<Value = Hasher> {
        prop_oneof![Just(Hasher::sha256()), Just(Hasher::blake3())]
    }

    proptest! {
        /// However the bytes come, they are taken, and a changed one never is.
        #[test]
        fn the_right_bytes_are_taken_and_no_others(
            lengths in prop::collection::vec(1usize..20, 0..6),
            steps in prop::collection::vec(1usize..25, 1..120),
            changed in prop::option::of(0usize..100),
            hashers in prop::collection::vec(any_hasher(), 6),
        ) {
            let length: usize = lengths.iter().sum();
            let mut bytes: Vec<u8> = (0..length).map(|n| n.to_le_bytes()[0]).collect();
            let segments = segments(&bytes, &lengths, &hashers);
            let mut verifier = Verifier::new(length as u64, segments).expect("the segments are all of it");
            let promised = verifier.promised();
            let expected: [u8; 32] = Sha256::digest(&bytes).into();
            let changed = changed.filter(|at| *at < length);
            if let Some(at) = changed {
                bytes[at] ^= 1;
            }
            let (mut rest, mut taken) = (&bytes[..], Ok(()));
            for step in steps.iter().cycle() {
                if rest.is_empty() || taken.is_err() {
                    break;
                }
                prop_assert_eq!(verifier.finish(), None);
                let (next, after) = rest.split_at(rest.len().min(*step));
                taken = verifier.update(next);
                rest = after;
            }
            prop_assert_eq!(taken.is_err(), changed.is_some());
            if changed.is_some() {
                prop_assert_eq!(verifier.finish(), None);
            } else {
                let mut longer = verifier.clone();
                prop_assert!(longer.update(b"x").is_err(), "there is a byte too many");
                prop_assert_eq!(longer.finish(), None);
                prop_assert_eq!(verifier.finish(), Some(expected));
                let is_known = lengths.len() == 1 && matches!(hashers[0], Hasher::Sha256(_));
                prop_assert_eq!(promised, is_known.then_some(expected));
            }
        }
    }

    #[test]
    fn an_upload_without_bytes_has_a_hash_too() {
        let empty = Sha256::digest(b"").into();
        assert_eq!(Verifier::of(0, empty).finish(), Some(empty));
        assert_eq!(Verifier::of(0, [0; 32]).finish(), None);
        assert_eq!(Verifier::new(0, Vec::new()).expect("there are none").finish(), Some(empty));
    }

    #[test]
    fn segments_with_a_gap_or_an_early_end_are_refused() {
        let whole = segments(b"abcdef", &[2, 4], &[Hasher::blake3()]);
        for (length, segments) in [(5, whole.clone()), (7, whole.clone()), (6, whole[1..].to_vec())] {
            let refused = Verifier::new(length, segments);
            assert!(matches!(refused, Err(SourceError::Corrupt)), "{refused:?}");
        }
    }
}
