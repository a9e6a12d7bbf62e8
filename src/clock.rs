//! Time as the gateway sees it: nanoseconds since 1970 in UTC, read from a [`Clock`] that tests can
//! turn by hand. Nothing else reads the wall clock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A moment in UTC, in nanoseconds since 1970-01-01; what the databases store as `BIGINT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `nanos` nanoseconds after 1970-01-01T00:00:00Z.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub fn as_nanos(self) -> i64 {
        self.0
    }

    /// This moment moved forward; stops at the end of time rather than wrapping.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The moment as a calendar sees it, for path templates.
    pub fn to_civil(self) -> jiff::civil::DateTime {
        self.to_jiff().to_zoned(jiff::tz::TimeZone::UTC).datetime()
    }

    /// Reads an RFC 3339 instant; `None` if the text is none or lies outside the years 1677 to 2262.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(instant.as_nanosecond()).ok().map(Self)
    }

    /// As the header fields of HTTP have it, in whole seconds (RFC 9110, 5.6.7).
    pub fn to_http_date(self) -> String {
        // The printer refuses years after 9999 alone; these end in 2262.
        jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&self.to_jiff())
            .unwrap_or_default()
    }

    /// Reads a date of a header field of HTTP; `None` if it is none.
    pub fn parse_http_date(text: &str) -> Option<Self> {
        let instant = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        i64::try_from(instant.as_nanosecond()).ok().map(Self)
    }

    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with as many fractional digits as needed, as DEX writes its times.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_jiff().fmt(f)
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// A clock to hand around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.as_nanos()))
    }

    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        self.0.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_with_as_many_digits_as_it_needs() {
        let cases = [
            (1_746_453_802_123_456_700, "2025-05-05T14:03:22.1234567Z"),
            (1_746_453_802_000_000_000, "2025-05-05T14:03:22Z"),
        ];
        for (nanos, text) in cases {
            assert_eq!(Timestamp::from_nanos(nanos).to_string(), text);
            assert_eq!(Timestamp::parse_rfc3339(text), Some(Timestamp::from_nanos(nanos)));
        }
        assert_eq!(Timestamp::parse_rfc3339("2025-05-05"), None);
    }

    #[test]
    fn an_http_date_has_whole_seconds() {
        let moment = Timestamp::from_nanos(1_746_453_802_123_456_700);
        assert_eq!(moment.to_http_date(), "Mon, 05 May 2025 14:03:22 GMT");
        let whole = Timestamp::from_nanos(1_746_453_802_000_000_000);
        assert_eq!(Timestamp::parse_http_date("Mon, 05 May 2025 14:03:22 GMT"), Some(whole));
        assert_eq!(Timestamp::parse_http_date("yesterday"), None);
    }
}
