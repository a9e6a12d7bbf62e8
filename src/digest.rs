//! The hashes by which bytes are known again.
//!
//! SHA-256 is what others are told. It has the shape of the `sha2` crate and the code of AWS-LC, which is twice as fast
//! on processors that have no instructions for it, and as fast on those that do. Between the moment in which bytes are
//! acknowledged and that in which they are read for whoever gets them, BLAKE3 tells as surely that they are the same,
//! there for a tenth of the work.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
pub(crate) use sha2::Digest;
use sha2::digest::{
    FixedOutput, FixedOutputReset, HashMarker, Output, OutputSizeUser, Reset, Update, consts,
};

/// A hash on its way.
#[derive(Clone)]
pub(crate) struct Sha256(Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

/// Says nothing of what was hashed.
impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256")
    }
}

impl HashMarker for Sha256 {}

impl OutputSizeUser for Sha256 {
    type OutputSize = consts::U32;
}

impl Update for Sha256 {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

impl FixedOutput for Sha256 {
    fn finalize_into(self, out: &mut Output<Self>) {
        out.copy_from_slice(self.0.finish().as_ref());
    }
}

impl Reset for Sha256 {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl FixedOutputReset for Sha256 {
    fn finalize_into_reset(&mut self, out: &mut Output<Self>) {
        FixedOutput::finalize_into(std::mem::take(self), out);
    }
}

/// A hash, and which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentHash {
    /// SHA-256.
    Sha256([u8; 32]),
    /// BLAKE3 with 32 bytes.
    Blake3([u8; 32]),
}

impl ContentHash {
    /// What stands before a BLAKE3 in a row: its code and length as of a multihash. A SHA-256 stands there bare.
    const BLAKE3: [u8; 2] = [0x1e, 32];

    /// As rows have it.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Sha256(hash) => hash.to_vec(),
            Self::Blake3(hash) => [&Self::BLAKE3[..], &hash].concat(),
        }
    }

    /// From a row; none if it is no hash that is known.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.strip_prefix(&Self::BLAKE3) {
            Some(hash) if bytes.len() > 32 => hash.try_into().ok().map(Self::Blake3),
            _ => bytes.try_into().ok().map(Self::Sha256),
        }
    }

    /// The SHA-256, if it is one.
    pub(crate) fn sha256(self) -> Option<[u8; 32]> {
        match self {
            Self::Sha256(hash) => Some(hash),
            Self::Blake3(_) => None,
        }
    }

    /// What computes the same of other bytes.
    pub(crate) fn hasher(self) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::sha256(),
            Self::Blake3(_) => Hasher::blake3(),
        }
    }
}

/// A [`ContentHash`] on its way.
#[derive(Debug, Clone)]
pub(crate) enum Hasher {
    /// SHA-256.
    Sha256(Sha256),
    /// BLAKE3.
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// One of SHA-256.
    pub(crate) fn sha256() -> Self {
        Self::Sha256(Sha256::default())
    }

    /// One of BLAKE3.
    pub(crate) fn blake3() -> Self {
        Self::Blake3(Box::default())
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => Digest::update(hash, bytes),
            Self::Blake3(hash) => {
                hash.update(bytes);
            }
        }
    }

    /// The hash of what was taken; from now on it begins anew.
    pub(crate) fn finish(&mut self) -> ContentHash {
        match self {
            Self::Sha256(hash) => ContentHash::Sha256(hash.finalize_reset().into()),
            Self::Blake3(hash) => {
                let finished = hash.finalize();
                hash.reset();
                ContentHash::Blake3(finished.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the bytes come, and after each reset.
        #[test]
        fn it_is_the_hash_that_others_compute(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8)) {
            let (mut ours, mut theirs) = (Sha256::new(), sha2::Sha256::new());
            for _ in 0..2 {
                for piece in &pieces {
                    Digest::update(&mut ours, piece);
                    Digest::update(&mut theirs, piece);
                }
                let copy = ours.clone();
                prop_assert_eq!(ours.finalize_reset(), theirs.finalize_reset());
                prop_assert_eq!(copy.finalize(), sha2::Sha256::digest(pieces.concat()));
            }
        }
    }
    proptest! {
        #[test]
        fn a_hash_comes_back_from_its_row_and_says_what_it_is(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        ) {
            let whole = pieces.concat();
            let sha256 = sha2::Sha256::digest(&whole).into();
            let blake3 = blake3::hash(&whole).into();
            for (mut hasher, expected, known) in [
                (Hasher::sha256(), ContentHash::Sha256(sha256), Some(sha256)),
                (Hasher::blake3(), ContentHash::Blake3(blake3), None),
            ] {
                for _ in 0..2 {
                    for piece in &pieces {
                        hasher.update(piece);
                    }
                    prop_assert_eq!(hasher.finish(), expected);
                }
                prop_assert_eq!(expected.sha256(), known);
                prop_assert_eq!(ContentHash::from_bytes(&expected.to_bytes()), Some(expected));
                let mut again = expected.hasher();
                again.update(&whole);
                prop_assert_eq!(again.finish(), expected);
            }
        }

        /// That a SHA-256 may begin like a multihash makes it none.
        #[test]
        fn a_row_of_another_length_has_no_hash(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let read = ContentHash::from_bytes(&bytes);
            prop_assert_eq!(read.is_some(), bytes.len() == 32 || (bytes.len() == 34 && bytes.starts_with(&[0x1e, 32])));
            let like: Vec<u8> = [0x1e, 32].into_iter().chain([7; 30]).collect();
            prop_assert_eq!(ContentHash::from_bytes(&like).and_then(ContentHash::sha256).map(Vec::from), Some(like));
        }
    }
}
