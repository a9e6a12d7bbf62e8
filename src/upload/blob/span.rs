//! Which objects of a bucket hold which bytes of a blob. Each object is written once and whole, and says in its name
//! which bytes it holds; pure arithmetic over those names.

use std::collections::BTreeSet;

/// The bytes `first_byte..end` of a blob, in one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) first_byte: u64,
    pub(super) end: u64,
}

impl Span {
    /// The name of its object within the folder of the blob: names sort as bytes do.
    pub(super) fn name(self) -> String {
        format!("{:020}-{:020}", self.first_byte, self.end)
    }

    /// Reads a name; `None` if it is none of ours.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (first_byte, end) = name.split_once('-')?;
        let span = Self { first_byte: first_byte.parse().ok()?, end: end.parse().ok()? };
        (span.first_byte < span.end && span.name() == name).then_some(span)
    }

    pub(super) fn length(self) -> u64 {
        self.end - self.first_byte
    }
}

/// The objects that together hold the most bytes without a gap from the first one on, in order. Where a crash left
/// several objects over the same bytes, the one that reaches furthest is as good as those it was put together from.
pub(super) fn cover(spans: &[Span]) -> Vec<Span> {
    let sorted: BTreeSet<Span> = spans.iter().copied().collect();
    let mut chosen: Vec<Span> = Vec::new();
    let mut best: Option<Span> = None;
    for span in sorted {
        let reached = end_of(&chosen);
        if span.first_byte > reached {
            match best.take().filter(|best| best.end > reached) {
                Some(best) => chosen.push(best),
                None => break,
            }
            if span.first_byte > end_of(&chosen) {
                break;
            }
        }
        if best.is_none_or(|best| span.end > best.end) {
            best = Some(span);
        }
    }
    chosen.extend(best.filter(|best| best.first_byte <= end_of(&chosen) && best.end > end_of(&chosen)));
    chosen
}

/// The byte after the last of a cover.
pub(super) fn end_of(cover: &[Span]) -> u64 {
    cover.last().map_or(0, |last| last.end)
}

/// Which neighbours of a cover's tail are worth putting together: runs of at least two that make one object of at most
/// `largest` bytes, once the tail has `many` objects below `small` bytes.
pub(super) fn to_gather(cover: &[Span], many: usize, small: u64, largest: u64) -> Vec<&[Span]> {
    let tail = cover.iter().rev().take_while(|span| span.length() < small).count();
    if tail < many {
        return Vec::new();
    }
    let tail = &cover[cover.len() - tail..];
    let mut runs = Vec::new();
    let mut begin = 0;
    for at in 0..=tail.len() {
        let is_full = tail.get(at).is_none_or(|span| span.end - tail[begin].first_byte > largest);
        if is_full {
            if at - begin > 1 {
                runs.push(&tail[begin..at]);
            }
            begin = at;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(first_byte: u64, end: u64) -> Span {
        Span { first_byte, end }
    }

    #[test]
    fn a_name_says_which_bytes_and_nothing_else_is_a_name() {
        let name = span(0, 8_388_608).name();
        assert_eq!(name, "00000000000000000000-00000000000008388608");
        assert_eq!(Span::parse(&name), Some(span(0, 8_388_608)));
        for other in ["", "id", "0-1", "00000000000000000001-00000000000000000001", &format!("{name}x")] {
            assert_eq!(Span::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_cover_takes_the_object_that_reaches_furthest_and_ends_at_the_first_gap() {
        let cases: [(&[Span], &[Span]); 6] = [
            (&[], &[]),
            (&[span(1, 2)], &[]),
            (&[span(0, 2), span(2, 3), span(4, 5)], &[span(0, 2), span(2, 3)]),
            (&[span(0, 1), span(1, 2), span(0, 2), span(2, 3)], &[span(0, 2), span(2, 3)]),
            (&[span(0, 4), span(2, 3), span(3, 4), span(3, 6)], &[span(0, 4), span(3, 6)]),
            (&[span(0, 2), span(1, 3), span(2, 5)], &[span(0, 2), span(2, 5)]),
        ];
        for (spans, expected) in cases {
            assert_eq!(cover(spans), expected, "{spans:?}");
        }
    }

    #[test]
    fn a_tail_of_many_small_objects_is_gathered_into_runs() {
        let pieces: Vec<Span> = (0..6).map(|n| span(n * 10, n * 10 + 10)).collect();
        assert!(to_gather(&pieces, 7, 11, 30).is_empty(), "too few");
        assert_eq!(to_gather(&pieces, 6, 11, 30), [&pieces[..3], &pieces[3..]]);
        assert_eq!(to_gather(&pieces, 6, 11, 25), [&pieces[..2], &pieces[2..4], &pieces[4..]]);
        assert!(to_gather(&pieces, 6, 11, 15).is_empty(), "no two fit");
        assert!(to_gather(&pieces, 6, 10, 30).is_empty(), "none is small");
        let after_a_large_one = [&[span(0, 10)][..], &[span(10, 12), span(12, 14)][..]].concat();
        assert_eq!(to_gather(&after_a_large_one, 2, 10, 30), [&after_a_large_one[1..]]);
    }

    proptest! {
        /// However pieces were put together and whatever a crash left, every byte that any chain of objects holds is
        /// in the cover.
        #[test]
        fn no_byte_is_missed(spans in prop::collection::vec((0u64..40, 1u64..12), 0..20)) {
            let spans: Vec<Span> = spans.into_iter().map(|(first, length)| span(first, first + length)).collect();
            let mut reached = 0;
            while let Some(further) =
                spans.iter().filter(|span| span.first_byte <= reached).map(|span| span.end).max().filter(|end| *end > reached)
            {
                reached = further;
            }
            let cover = cover(&spans);
            prop_assert_eq!(end_of(&cover), reached);
            let mut end = 0;
            for span in cover {
                prop_assert!(span.first_byte <= end && span.end > end);
                end = span.end;
            }
        }
    }
}
