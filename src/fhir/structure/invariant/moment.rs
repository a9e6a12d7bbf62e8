//! Which of two moments is the earlier, where their texts say so: a `dateTime` may be a whole year, and without a time
//! it has no zone.

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Span, Timestamp};

/// No zone is further from UTC.
const WIDEST_OFFSET_SECONDS: i64 = 14 * 3600;

/// Whether a `date`, `dateTime` or `instant` is later than another whatever is left open. What has no right form is
/// not.
pub(super) fn is_certainly_after(one: &str, other: &str) -> bool {
    let (Some(one), Some(other)) = (Range::of(one), Range::of(other)) else { return false };
    // Two texts without a zone are taken to be of the same one.
    let offset = if one.has_zone == other.has_zone { 0 } else { WIDEST_OFFSET_SECONDS };
    one.first > other.last + offset
}

/// What a text can mean, in seconds from 1970; without a zone as if it were UTC.
struct Range {
    first: i64,
    last: i64,
    has_zone: bool,
}

impl Range {
    fn of(text: &str) -> Option<Self> {
        if text.contains('T') {
            let second = text.parse::<Timestamp>().ok()?.as_second();
            return Some(Self { first: second, last: second, has_zone: true });
        }
        let mut parts = text.splitn(3, '-');
        let year = parts.next()?.parse().ok()?;
        let month: Option<i8> = parts.next().and_then(|month| month.parse().ok());
        let day: Option<i8> = parts.next().and_then(|day| day.parse().ok());
        let first = Date::new(year, month.unwrap_or(1), day.unwrap_or(1)).ok()?;
        let length = match (month, day) {
            (None, _) => Span::new().years(1),
            (Some(_), None) => Span::new().months(1),
            (Some(_), Some(_)) => Span::new().days(1),
        };
        let next = first.checked_add(length).ok()?;
        Some(Self { first: seconds(first)?, last: seconds(next)? - 1, has_zone: false })
    }
}

fn seconds(date: Date) -> Option<i64> {
    Some(Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_after_another_only_if_nothing_left_open_can_change_that() {
        for (one, other, is_after) in [
            ("2022-06-16", "2022-06-15", true),
            ("2022-06-15T10:00:00Z", "2022-06-15T09:59:59Z", true),
            ("2022-06-15T10:00:00+02:00", "2022-06-15T09:59:59Z", false),
            ("2023", "2022-12-31", true),
            ("2022-06-16", "2022-06-16", false),
            ("2022-06", "2022-06-16", false),
            ("2022", "2022-01-01", false),
            ("2022-06-15", "2022-06-16", false),
            ("2022-06-16T00:30:00+02:00", "2022-06-15", false),
            ("2022-06-18T00:30:00+02:00", "2022-06-15", true),
            ("soon", "2022", false),
        ] {
            assert_eq!(is_certainly_after(one, other), is_after, "{one} after {other}");
        }
    }
}
