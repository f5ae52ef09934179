//! Numbers, times and foreign text in few columns.
//!
//! Contract: [`safe`] is the only way for text of a runtime to the screen.

use ratatui::text::Span;

use crate::escape::printable;
use crate::time::Timestamp;

/// Characters of a text that are looked at; a name of a megabyte is not worth more.
const MOST: usize = 512;

/// The text without anything that a terminal would obey, cut to so many columns; a cut ends in `…`.
pub(super) fn safe(text: &str, columns: usize) -> String {
    let start: String = text.chars().take(MOST).collect();
    let whole = printable(&start);
    if width(&whole) <= columns {
        return whole;
    }
    let mut cut = String::new();
    for c in whole.chars() {
        let mut longer = cut.clone();
        longer.push(c);
        if width(&longer) + 1 > columns {
            break;
        }
        cut = longer;
    }
    if columns > 0 {
        cut.push('…');
    }
    cut
}

/// Columns that a text takes on a screen.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// `950`, `12.3k`, `4.5M`: at most five columns up to a thousand tera.
pub(super) fn short(number: f64) -> String {
    const STEPS: [&str; 5] = ["", "k", "M", "G", "T"];
    let (mut number, mut step) = (number.max(0.0), 0);
    while number >= 999.5 && step + 1 < STEPS.len() {
        number /= 1000.0;
        step += 1;
    }
    let unit = STEPS.get(step).copied().unwrap_or_default();
    if step == 0 || number >= 99.95 { format!("{number:.0}{unit}") } else { format!("{number:.1}{unit}") }
}

/// A whole number in the same way.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(super) fn count(number: u64) -> String {
    short(number as f64)
}

/// `10:31:07`, UTC.
pub(super) fn clock(at: Timestamp) -> String {
    at.to_string().get(11..19).unwrap_or_default().to_owned()
}

/// `1d 02:03:04`, `02:03:04`.
pub(super) fn span(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    if days > 0 { format!("{days}d {clock}") } else { clock }
}

/// Shares of a hundred that are never 100 or 0 unless they are exactly that.
pub(super) fn percents(counts: [u64; 3]) -> Option<[u64; 3]> {
    let sum: u64 = counts.iter().sum();
    let share = |count: u64| match count.saturating_mul(100) / sum {
        0 if count > 0 => 1,
        share => share,
    };
    (sum > 0).then(|| counts.map(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_escaped_and_cut_by_columns() {
        assert_eq!(safe("web\u{1b}[2J", 20), "web\\u{1b}[2J");
        assert_eq!(safe("a\u{202e}b", 20), "a\\u{202e}b");
        assert_eq!(safe("漢字漢字", 5), "漢字…", "each takes two columns");
        assert_eq!(safe("abcdef", 6), "abcdef");
        assert_eq!((safe("abc", 0), safe("abc", 1)), (String::new(), "…".to_owned()));
        assert!(safe(&"x".repeat(1 << 20), 2000).len() <= 2 * MOST);
    }

    #[test]
    fn numbers_take_few_columns() {
        let all = [0.0, 999.4, 999.6, 1234.0, 99_960.0, 12_345_678.0, 1e15].map(short);
        assert_eq!(all, ["0", "999", "1.0k", "1.2k", "100k", "12.3M", "1000T"]);
        assert_eq!((span(59), span(90_061)), ("00:00:59".to_owned(), "1d 01:01:01".to_owned()));
    }

    #[test]
    fn a_single_ambiguous_flow_is_not_rounded_away() {
        assert_eq!(percents([100_000, 0, 1]), Some([99, 0, 1]));
        assert_eq!(percents([7, 0, 0]), Some([100, 0, 0]));
        assert_eq!(percents([0; 3]), None);
    }
}
