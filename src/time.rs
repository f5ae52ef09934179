//! Event time: when something happened, never when it was processed.
//!
//! Contract: [`Timestamp`] is nanoseconds since the Unix epoch (UTC); the [`Watermark`] only moves forward.
//! Limits: years 1678 to 2262 (i64 nanoseconds).
//! Design: the core receives time with each input and has no clock of its own.

mod duration;

pub use duration::{duration_text, parse_duration};

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A point in event time, in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest time that can be represented; "since for ever".
    pub const MIN: Self = Self(i64::MIN);
    /// The latest time that can be represented; "until further notice".
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From whole seconds since the Unix epoch; saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// For a person, to the millisecond: `2026-11-24 10:00:00.000 UTC`.
    pub fn readable(self) -> String {
        let text = self.to_string();
        match (text.get(..10), text.get(11..23)) {
            (Some(day), Some(time)) => format!("{day} {time} UTC"),
            _ => text,
        }
    }

    /// The time of the day for a person, to the millisecond: `10:00:00.000 UTC`.
    pub fn readable_clock(self) -> String {
        self.readable().get(11..).map_or_else(|| self.to_string(), str::to_owned)
    }

    /// This time moved forward; saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos_of(span)))
    }

    /// This time moved back; saturates.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos_of(span)))
    }

    /// How long after `earlier` this is; zero when it is not after.
    #[inline]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// A duration for a person: `250 ms`, `4.2 s`, `2 min 5 s`, `3 h 12 min`, `2 d 4 h`.
pub fn readable(span: Duration) -> String {
    let parts = |count: u64, unit: &str, rest: u64, of: &str| {
        if rest == 0 { format!("{count} {unit}") } else { format!("{count} {unit} {rest} {of}") }
    };
    match (span.as_secs(), span.subsec_millis()) {
        (0, millis) => format!("{millis} ms"),
        (secs @ 1..60, 0..50 | 950..) => format!("{} s", secs + u64::from(span.subsec_millis() >= 950)),
        (secs @ 1..60, millis) => format!("{secs}.{} s", (millis + 50) / 100),
        (secs @ 60..3600, _) => parts(secs / 60, "min", secs % 60, "s"),
        (secs @ 3600..86_400, _) => parts(secs / 3600, "h", secs / 60 % 60, "min"),
        (secs, _) => parts(secs / 86_400, "d", secs / 3600 % 24, "h"),
    }
}

fn nanos_of(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with nine fractional digits: `2026-11-24T10:00:00.000000001Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => write!(f, "{time:.9}"),
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

impl std::str::FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time: jiff::Timestamp = text.parse().map_err(|_| TimestampError(text.to_owned()))?;
        i64::try_from(time.as_nanosecond()).map(Self).map_err(|_| TimestampError(text.to_owned()))
    }
}

/// A text that is not an RFC 3339 time between 1678 and 2262.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time; write it like 2026-11-24T10:00:00Z")]
pub struct TimestampError(String);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time", "description": "RFC 3339, UTC, nanoseconds"})
    }
}

/// The event time that has been reached; it never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark(Timestamp);

impl Default for Watermark {
    fn default() -> Self {
        Self(Timestamp::MIN)
    }
}

impl Watermark {
    /// Moves forward to `at`, if that is later, and returns the time reached.
    pub fn advance(&mut self, at: Timestamp) -> Timestamp {
        self.0 = self.0.max(at);
        self.0
    }

    /// The time reached so far.
    pub const fn now(self) -> Timestamp {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_rfc_3339_with_nanoseconds() {
        let time = Timestamp::from_nanos(1_764_000_000_000_000_001);
        assert_eq!(time.to_string(), "2025-11-24T16:00:00.000000001Z");
        assert_eq!(time.to_string().parse(), Ok(time));
    }

    #[test]
    fn the_watermark_never_goes_back() {
        let mut mark = Watermark::default();
        mark.advance(Timestamp::from_secs(10));
        assert_eq!(mark.advance(Timestamp::from_secs(9)), Timestamp::from_secs(10));
    }

    #[test]
    fn people_read_milliseconds_with_the_zone_and_durations_in_two_units() {
        let time = Timestamp::from_nanos(1_764_000_000_000_000_001);
        assert_eq!(time.readable(), "2025-11-24 16:00:00.000 UTC");
        assert_eq!(time.readable_clock(), "16:00:00.000 UTC");
        let spans =
            [0, 250, 4_240, 10_000, 59_960, 125_000, 7_200_000, 11_520_000, 187_200_000].map(Duration::from_millis);
        let shown = spans.map(readable);
        assert_eq!(
            shown,
            ["0 ms", "250 ms", "4.2 s", "10 s", "60 s", "2 min 5 s", "2 h", "3 h 12 min", "2 d 4 h"].map(String::from)
        );
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX.plus(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp::from_secs(1).since(Timestamp::from_secs(2)), Duration::ZERO);
    }
}
