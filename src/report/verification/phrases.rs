//! Times and shares, as the report's sentences say them.

use crate::time::Timestamp;

/// `14:02:11.385 UTC`, `14:02:11.385 to 14:02:19.120 UTC`, `since 14:02:11.385 UTC`.
pub(super) fn span(since: Timestamp, until: Option<Timestamp>) -> String {
    let first = clock(since);
    match until.map(clock) {
        None => format!("since {first}"),
        Some(last) if last == first => first,
        Some(last) => format!("{} to {last}", first.trim_end_matches(" UTC")),
    }
}

/// The time of the day, to the millisecond.
pub(super) fn clock(at: Timestamp) -> String {
    at.readable_clock()
}

/// Of 100.
#[expect(clippy::cast_precision_loss, reason = "a share is read to a tenth of a percent")]
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// `0.2 %`; never 0 for something.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let share = share(part, whole);
    if share > 0.0 && share < 0.05 { "less than 0.1 %".to_owned() } else { format!("{share:.1} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_told_to_a_tenth_and_never_rounded_to_nothing() {
        assert_eq!(percent(1, 412), "0.2 %");
        assert_eq!(percent(1, 100_000), "less than 0.1 %");
        assert_eq!((percent(0, 5), percent(5, 5), percent(0, 0)), ("0.0 %".into(), "100.0 %".into(), "0.0 %".into()));
    }
}
