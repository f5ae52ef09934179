//! Durations as the configuration writes them: `600ms`, `10s`, `1h30m`.
//!
//! Contract: whole milliseconds; what [`duration_text`] writes, [`parse_duration`] reads as the same duration.

use std::time::Duration;

/// From large to small, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Numbers with units (`d`, `h`, `m`, `s`, `ms`) from large to small, each at most once.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = 0_u64;
    let mut units = UNITS.iter();
    loop {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (unit, after) = rest.split_at(letters);
        let (_, factor) = units.find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.checked_mul(*factor)?)?;
        rest = after;
        if rest.is_empty() {
            return Some(Duration::from_millis(sum));
        }
    }
}

/// With the largest unit that gives a whole number; parts of a millisecond are dropped.
pub fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let fits = |(_, factor): &&(&str, u64)| millis != 0 && millis.is_multiple_of(u128::from(*factor));
    let (unit, factor) = UNITS.iter().find(fits).unwrap_or(&("s", 1_000));
    format!("{}{unit}", millis / u128::from(*factor))
}
