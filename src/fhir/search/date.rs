//! Dates as stretches of time: `2020` is everything from the beginning of that year to the beginning of the next (FHIR
//! R4 search, date). Without a time zone a text means UTC. Resources and searches are read alike.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::clock::Timestamp;

const SECOND: i128 = 1_000_000_000;

/// A moment after all that a [`Timestamp`] can tell.
const FAR: i128 = 1 << 80;

/// The first moment of what a `date`, `dateTime` or `instant` names, and the first moment after it. Beyond what a
/// [`Timestamp`] can tell, both are its end. A search may leave out the seconds, and its `+` may have become a space.
pub(crate) fn stretch(text: &str) -> Option<(Timestamp, Timestamp)> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year: i16 = number(parts.next()?, 4).filter(|year| *year > 0)?;
    let month: Option<i8> = parts.next().map(|part| number(part, 2).ok_or(())).transpose().ok()?;
    let day: Option<i8> = parts.next().map(|part| number(part, 2).ok_or(())).transpose().ok()?;
    if parts.next().is_some() {
        return None;
    }
    let date = Date::new(year, month.unwrap_or(1), day.unwrap_or(1)).ok()?;
    let from = midnight(date);
    let (from, until) = match (month, day, time) {
        (None, _, None) => (from, year_after(year).map_or(FAR, midnight)),
        (Some(month), None, None) => (from, month_after(year, month).map_or(FAR, midnight)),
        (Some(_), Some(_), None) => (from, from + 86_400 * SECOND),
        (Some(_), Some(_), Some(time)) => {
            let (time, length) = time_of_day(time)?;
            (from + time, from + time + length)
        }
        _ => return None,
    };
    Some((clamped(from), clamped(until)))
}

fn year_after(year: i16) -> Option<Date> {
    Date::new(year + 1, 1, 1).ok()
}

fn month_after(year: i16, month: i8) -> Option<Date> {
    if month == 12 { year_after(year) } else { Date::new(year, month + 1, 1).ok() }
}

/// The beginning of a day; the calendar of the crate ends on one of the last days of the year 9999.
fn midnight(date: Date) -> i128 {
    let midnight = DateTime::from_parts(date, Time::midnight());
    TimeZone::UTC.to_timestamp(midnight).map_or(FAR, jiff::Timestamp::as_nanosecond)
}

/// `hh:mm[:ss[.fraction]]` and a zone, perhaps: since midnight in UTC, and how long what it names lasts.
fn time_of_day(text: &str) -> Option<(i128, i128)> {
    let zone_at = text.find(['Z', '+', '-', ' ']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(zone_at);
    let offset = match zone.as_bytes() {
        [] | [b'Z'] => 0,
        [sign, ..] => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let (hours, minutes) = (below(hours, 15)?, below(minutes, 60)?);
            let offset = (hours * 60 + minutes) * 60 * SECOND;
            if *sign == b'-' { -offset } else { offset }
        }
    };
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, rest)| (clock, Some(rest)));
    let mut parts = clock.split(':');
    let (hour, minute) = (below(parts.next()?, 24)?, below(parts.next()?, 60)?);
    let second = parts.next();
    if parts.next().is_some() || (second.is_none() && fraction.is_some()) {
        return None;
    }
    // A leap second counts as the one before: no clock here has it.
    let seconds = second.map_or(Some(0), |second| below(second, 61))?.min(59);
    let since = ((hour * 60 + minute) * 60 + seconds) * SECOND - offset;
    let (parts, length) = match (second, fraction) {
        (None, _) => (0, 60 * SECOND),
        (Some(_), None) => (0, SECOND),
        (Some(_), Some(digits)) => part_of_second(digits)?,
    };
    Some((since + parts, length))
}

/// The nanoseconds of a fraction, and how many one of its last digit are; digits past the ninth change nothing.
fn part_of_second(digits: &str) -> Option<(i128, i128)> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = &digits[..digits.len().min(9)];
    let unit = 10_i128.pow(9 - u32::try_from(digits.len()).ok()?);
    Some((digits.parse::<i128>().ok()? * unit, unit))
}

fn below(text: &str, limit: i128) -> Option<i128> {
    number(text, 2).filter(|value| *value < limit)
}

/// A number of exactly `digits` decimal digits; `parse` alone would also take a sign.
fn number<N: std::str::FromStr>(text: &str, digits: usize) -> Option<N> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn clamped(nanos: i128) -> Timestamp {
    let bound = if nanos < 0 { i64::MIN } else { i64::MAX };
    Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_everything_from_its_first_moment_to_its_last() {
        for (text, from, until) in [
            ("2020", "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
            ("2020-02", "2020-02-01T00:00:00Z", "2020-03-01T00:00:00Z"),
            ("2020-12", "2020-12-01T00:00:00Z", "2021-01-01T00:00:00Z"),
            ("2020-02-29", "2020-02-29T00:00:00Z", "2020-03-01T00:00:00Z"),
            ("2020-01-01T10:00", "2020-01-01T10:00:00Z", "2020-01-01T10:01:00Z"),
            ("2020-01-01T10:00:00", "2020-01-01T10:00:00Z", "2020-01-01T10:00:01Z"),
            ("2020-01-01T10:00:00Z", "2020-01-01T10:00:00Z", "2020-01-01T10:00:01Z"),
            ("2020-01-01T10:00-05:00", "2020-01-01T15:00:00Z", "2020-01-01T15:01:00Z"),
            ("2020-01-01T01:00:00+05:30", "2019-12-31T19:30:00Z", "2019-12-31T19:30:01Z"),
            ("2020-01-01T01:00:00 05:30", "2019-12-31T19:30:00Z", "2019-12-31T19:30:01Z"),
            ("2020-01-01T10:00:00.5Z", "2020-01-01T10:00:00.5Z", "2020-01-01T10:00:00.6Z"),
            (
                "2020-01-01T10:00:00.1234567891Z",
                "2020-01-01T10:00:00.123456789Z",
                "2020-01-01T10:00:00.12345679Z",
            ),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z", "2017-01-01T00:00:00Z"),
        ] {
            let moment = |text| Timestamp::parse_rfc3339(text).expect("an instant");
            assert_eq!(stretch(text), Some((moment(from), moment(until))), "{text}");
        }
    }

    #[test]
    fn what_a_timestamp_cannot_tell_is_at_its_ends() {
        let (least, greatest) = (Timestamp::from_nanos(i64::MIN), Timestamp::from_nanos(i64::MAX));
        assert_eq!(stretch("0001"), Some((least, least)));
        for text in ["9999", "9999-12", "9999-12-31", "9999-12-31T23:59:59Z"] {
            assert_eq!(stretch(text), Some((greatest, greatest)), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "20",
            "0000",
            "2020-1",
            "2020-13",
            "2020-02-30",
            "2020-01-01T",
            "2020-01T10:00",
            "2020T10:00",
            "2020-01-01T10",
            "2020-01-01T24:00",
            "2020-01-01T10:60",
            "2020-01-01T10:00:61",
            "2020-01-01T10:00.5",
            "2020-01-01T10:00:00.",
            "2020-01-01T10:00:00.xZ",
            "2020-01-01T10:00:00+5",
            "2020-01-01T10:00:00Z5",
            "2020-01-01T10:00:00+15:00",
            "2020-01-01T10:00:00é",
            "2020-01-01 10:00",
            "2020-01-01-01",
            "+020",
            "today",
        ] {
            assert_eq!(stretch(text), None, "{text}");
        }
    }
}
