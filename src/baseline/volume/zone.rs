//! The clock by which a service's week goes: a time zone by its rule.
//!
//! Contract: pure; the same rule gives the same hours on every host, whatever zone files it has. Limits: a rule in POSIX form
//! (`CET-1CEST,M3.5.0,M10.5.0/3`), [`MAX_TEXT`] characters; changes of the law before and after are not known to it.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;

use super::HOUR;

/// Characters of a rule.
const MAX_TEXT: usize = 64;
const UTC: &str = "UTC";
/// Hours of a week.
pub(super) const WEEK: i64 = 168;
/// The epoch was a Thursday; weeks begin on Monday.
const EPOCH_DAY: i64 = 3;

/// A time zone.
#[derive(Clone, Debug)]
pub struct Zone {
    text: String,
    zone: TimeZone,
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Zone {}

impl Default for Zone {
    fn default() -> Self {
        Self { text: UTC.to_owned(), zone: TimeZone::UTC }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that is no rule of a time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no time zone; write UTC, or a rule like CET-1CEST,M3.5.0,M10.5.0/3 (the last line of /usr/share/zoneinfo/NAME)"
)]
pub struct ZoneError(String);

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == UTC {
            return Ok(Self::default());
        }
        let shown = || ZoneError(text.chars().take(MAX_TEXT).collect());
        if text.len() > MAX_TEXT {
            return Err(shown());
        }
        let zone = TimeZone::posix(text).map_err(|_| shown())?;
        Ok(Self { text: text.to_owned(), zone })
    }
}

impl Zone {
    /// The hour on the clock's dial at the beginning of an hour, counted from the epoch.
    fn local(&self, hour: i64) -> i64 {
        let seconds = hour.saturating_mul(HOUR);
        let offset = jiff::Timestamp::from_second(seconds).map_or(0, |at| self.zone.to_offset(at).seconds());
        seconds.saturating_add(i64::from(offset)).div_euclid(HOUR)
    }

    /// The hour of the week, from Monday 0 o'clock.
    pub fn slot(&self, hour: i64) -> u8 {
        let slot = self.local(hour).saturating_add(EPOCH_DAY * 24).rem_euclid(WEEK);
        u8::try_from(slot).unwrap_or(0)
    }

    /// Whether the clock shows this hour once, and the one before it came an hour before: else it was changed.
    pub fn is_regular(&self, hour: i64) -> bool {
        let local = self.local(hour);
        self.local(hour - 1) == local - 1 && self.local(hour + 1) != local
    }

    /// The hour on the clock's dial, for a person: `Sat 03:00`.
    pub fn shown(&self, hour: i64) -> String {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let slot = usize::from(self.slot(hour));
        format!("{} {:02}:00", DAYS.get(slot / 24).copied().unwrap_or_default(), slot % 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::volume::hour_of;

    fn hour(text: &str) -> i64 {
        hour_of(text.parse().expect("a time"))
    }

    #[test]
    fn the_week_goes_by_the_clock_on_the_wall() {
        let berlin: Zone = "CET-1CEST,M3.5.0,M10.5.0/3".parse().expect("a rule");
        assert_eq!(Zone::default().shown(hour("2026-11-30T02:00:00Z")), "Mon 02:00");
        assert_eq!(berlin.shown(hour("2026-11-30T02:00:00Z")), "Mon 03:00");
        assert_eq!(berlin.shown(hour("2026-07-05T22:00:00Z")), "Mon 00:00");
        let kolkata: Zone = "IST-5:30".parse().expect("a rule");
        assert_eq!(kolkata.shown(hour("2026-11-30T02:00:00Z")), "Mon 07:00");
    }

    #[test]
    fn the_hours_at_which_the_clock_is_changed_are_none() {
        let berlin: Zone = "CET-1CEST,M3.5.0,M10.5.0/3".parse().expect("a rule");
        // 29 March 2026: after 01:59 comes 03:00. 25 October 2026: 02:00 to 02:59 comes twice.
        let regular = |text: &str| berlin.is_regular(hour(text));
        let spring = ["2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"].map(regular);
        assert_eq!(spring, [true, false, true]);
        let autumn = ["2026-10-24T23:00:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]
            .map(regular);
        assert_eq!(autumn, [true, false, false, true]);
        assert!((0..10_000).all(|hour| Zone::default().is_regular(hour)));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["", "Europe/Berlin", "CET", "utc+x", &"C".repeat(100)] {
            assert!(text.parse::<Zone>().is_err(), "{text}");
        }
    }
}
