//! SHA-256 of every byte that comes in and goes out. It has the shape of the `sha2` crate and the code of AWS-LC, which
//! is three times as fast on processors that have no instructions for it, and as fast on those that do.

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
}
