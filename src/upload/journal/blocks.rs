//! Bytes as a disk takes them past the page cache: whole blocks that begin at a multiple of a block, in memory as in
//! the file.

/// The length of a block, in bytes. Disks have blocks of this size or of a part of it.
pub(super) const BLOCK: usize = 4096;
/// What is kept for the next write, in bytes.
const KEPT: usize = 256 * 1024;

/// Bytes that are gathered for one write.
#[derive(Default)]
pub(super) struct Blocks {
    space: Vec<u8>,
    /// Where in `space` they begin.
    start: usize,
}

impl Blocks {
    /// Zeros, up to the end of their last block.
    pub(super) fn zeros(length: usize) -> Self {
        let mut zeros = Self { space: vec![0; length.next_multiple_of(BLOCK) + BLOCK], start: 0 };
        zeros.start = zeros.space.as_ptr().align_offset(BLOCK).min(BLOCK);
        zeros.space.truncate(zeros.start + length.next_multiple_of(BLOCK));
        zeros
    }

    /// Bytes that are gathered.
    pub(super) fn len(&self) -> usize {
        self.space.len() - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where up to `more` bytes are to be appended.
    pub(super) fn room_for(&mut self, more: usize) -> &mut Vec<u8> {
        // The end of the last block has to fit, too.
        let wanted = self.len() + more + BLOCK;
        if self.space.capacity() - self.start < wanted {
            self.move_to(wanted.max(KEPT).max(2 * self.len()));
        }
        &mut self.space
    }

    /// All that is gathered, with zeros up to the end of the last block.
    pub(super) fn whole(&mut self) -> &[u8] {
        let whole = self.len().next_multiple_of(BLOCK);
        self.space.resize(self.start + whole, 0);
        if self.space[self.start..].as_ptr().align_offset(BLOCK) != 0 {
            // More was appended than was asked for, and moved it.
            self.move_to(whole);
        }
        &self.space[self.start..]
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        if self.space.capacity() > 2 * KEPT {
            *self = Self::default();
        }
        self.space.truncate(self.start);
    }

    /// Moves what is gathered to where there is so much room, at a multiple of a block.
    fn move_to(&mut self, room: usize) {
        let mut space: Vec<u8> = Vec::with_capacity(room + BLOCK);
        let start = space.as_ptr().align_offset(BLOCK).min(BLOCK);
        space.resize(start, 0);
        space.extend_from_slice(&self.space[self.start..]);
        *self = Self { space, start };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_aligned(bytes: &[u8]) -> bool {
        bytes.as_ptr().align_offset(BLOCK) == 0 && bytes.len().is_multiple_of(BLOCK)
    }

    proptest! {
        #[test]
        fn what_is_gathered_comes_out_in_whole_blocks(
            writes in prop::collection::vec(
                prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9000), 0..9000_usize), 1..5),
                1..4,
            ),
        ) {
            let mut blocks = Blocks::default();
            for pieces in writes {
                let mut expected = Vec::new();
                for (piece, asked) in pieces {
                    // Some ask for less than they append.
                    blocks.room_for(asked).extend_from_slice(&piece);
                    expected.extend_from_slice(&piece);
                    prop_assert_eq!(blocks.len(), expected.len());
                }
                let whole = blocks.whole();
                prop_assert!(is_aligned(whole));
                prop_assert!(whole.len() < expected.len() + BLOCK);
                prop_assert!(whole[expected.len()..].iter().all(|byte| *byte == 0));
                prop_assert!(whole.starts_with(&expected));
                blocks.clear();
                prop_assert!(blocks.is_empty());
            }
        }
    }

    #[test]
    fn zeros_are_whole_blocks() {
        for (length, expected) in [(0, 0), (1, BLOCK), (BLOCK, BLOCK), (BLOCK + 1, 2 * BLOCK)] {
            let mut zeros = Blocks::zeros(length);
            let whole = zeros.whole();
            assert!(is_aligned(whole) && whole.iter().all(|byte| *byte == 0));
            assert_eq!(whole.len(), expected);
        }
    }
}
