//! Text from elsewhere, made safe for a terminal.
//!
//! Contract: what a terminal may obey instead of showing is written as an escape; everything else is unchanged. Every text of a
//! runtime, a capture file or a configuration passes here before a person reads it.

pub mod json;

/// Whether a terminal obeys a character instead of showing it (control characters, line breaks, bidirectional overrides), or shows nothing of
/// it, so that two names look alike (zero-width, soft hyphen, byte order mark, fillers, variation selectors, tags).
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The text with every character that [`is_obeyed`] shown as an escape.
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
        assert_eq!(printable("dépôt-1 漢字"), "dépôt-1 漢字");
    }

    #[test]
    fn what_cannot_be_seen_is_made_visible() {
        for c in ['\u{200b}', '\u{ad}', '\u{feff}', '\u{e0041}', '\u{2060}', '\u{fe0f}', '\u{3164}'] {
            assert_eq!(printable(&format!("squid{c}")), format!("squid{}", c.escape_unicode()));
        }
    }
}
