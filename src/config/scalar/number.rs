//! Numbers with bounds, and durations with a unit.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::{Serialize, Serializer};

use crate::config::problem::quoted;
use crate::time::{duration_text, parse_duration};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Bounded<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> Bounded<MIN, MAX> {
    /// As a table size.
    pub fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// As a 32-bit number; `MAX` keeps it there.
    pub fn small(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Bounded<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(BoundedVisitor::<MIN, MAX>)
    }
}

struct BoundedVisitor<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Visitor<'_> for BoundedVisitor<MIN, MAX> {
    type Value = Bounded<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {MAX}")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        if (MIN..=MAX).contains(&value) {
            return Ok(Bounded(value));
        }
        Err(E::custom(format_args!("{value} is out of range; give a number from {MIN} to {MAX}")))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Err(E::custom(format_args!("{value} is out of range; give a number from {MIN} to {MAX}")))
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Bounded<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Number{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

/// A duration of at least `MIN_MS` milliseconds and at most a year: `600ms`, `10s`, `5m`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct DurationText<const MIN_MS: u64>(u64);

const LONGEST_MS: u64 = 366 * 86_400_000;

impl<const MIN_MS: u64> DurationText<MIN_MS> {
    /// From milliseconds; for defaults.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        Duration::from_millis(self.0)
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let duration = parse_duration(text).ok_or_else(|| {
            let why = if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
                "has no unit"
            } else {
                "is not a duration"
            };
            format!("{} {why}; write a number and a unit (ms, s, m, h, d), like 600ms, 10s, 5m", quoted(text))
        })?;
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        if !(MIN_MS..=LONGEST_MS).contains(&millis) {
            let (least, most) = (Self(MIN_MS), Self(LONGEST_MS));
            return Err(format!("{} is out of range; give a duration from {least} to {most}", quoted(text)));
        }
        Ok(Self(millis))
    }
}

/// With the largest unit that gives a whole number.
impl<const MIN_MS: u64> fmt::Display for DurationText<MIN_MS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&duration_text(self.get()))
    }
}

impl<const MIN_MS: u64> Serialize for DurationText<MIN_MS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const MIN_MS: u64> Deserialize<'de> for DurationText<MIN_MS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<const MIN_MS: u64> JsonSchema for DurationText<MIN_MS> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("DurationFrom{MIN_MS}Ms").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
            "minLength": 2,
            "examples": ["600ms", "10s", "5m"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed() {
        for (text, ms, printed) in [
            ("600ms", 600, "600ms"),
            ("10s", 10_000, "10s"),
            ("5m", 300_000, "5m"),
            ("1h30m", 5_400_000, "90m"),
            ("1d", 86_400_000, "1d"),
            ("1000ms", 1_000, "1s"),
            ("0s", 0, "0s"),
        ] {
            let period = DurationText::<0>::parse(text).expect(text);
            assert_eq!((period.0, period.to_string().as_str()), (ms, printed));
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_examples() {
        for text in [
            "",
            "10",
            "s",
            "10 s",
            "10sec",
            "-1s",
            "1.5s",
            "1s1s",
            "1s1m",
            "99999999999999999999s",
            "9999999d",
            "é",
            "1é",
        ] {
            let error = DurationText::<0>::parse(text).expect_err(text);
            assert!(error.contains("; "), "{error}");
        }
        assert!(DurationText::<0>::parse("10").expect_err("no unit").contains("has no unit"));
        assert!(DurationText::<1000>::parse("999ms").expect_err("short").contains("from 1s to 366d"));
    }
}
