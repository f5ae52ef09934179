//! Text from elsewhere, made safe for a terminal.
//!
//! Contract: what a terminal may obey instead of showing is written as an escape; everything else is unchanged. Every text of a
//! runtime, a capture file or a configuration passes here before a person reads it.

pub mod json;

/// Whether a terminal may obey a character instead of showing it: control characters, line breaks, bidirectional overrides.
pub(crate) fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with control characters (terminal escapes, line breaks, bidirectional overrides) shown as escapes.
pub fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        if is_obeyed(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn terminal_escapes_in_names_are_shown_not_obeyed() {
        assert_eq!(printable("web\u{1b}[2J\n"), "web\\u{1b}[2J\\u{a}");
        assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(printable("dépôt-1"), "dépôt-1");
    }
}
