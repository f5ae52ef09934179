//! JSON that is safe on a terminal.
//!
//! Contract: valid JSON with the same meaning; what JSON itself leaves as it is and a terminal obeys (DEL, C1 controls,
//! bidirectional overrides) is written as escapes too.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::is_obeyed;

/// Writes a value on one line, without its end.
pub fn to_writer(out: impl Write, value: &impl Serialize) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(out, Escaping))?)
}

/// Compact JSON with more escapes.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        // All of them but DEL are beyond ASCII: most fragments are written as they are.
        if fragment.bytes().all(|byte| byte < 0x7f) {
            return out.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, found)) = rest.char_indices().find(|(_, found)| is_obeyed(*found)) {
            out.write_all(&rest.as_bytes()[..at])?;
            write!(out, "\\u{:04x}", u32::from(found))?;
            rest = &rest[at + found.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_means_the_same() {
        let hostile = "a\u{1b}[2J\u{7f}\u{9b}5m\u{202e}é\"b";
        let mut out = Vec::new();
        to_writer(&mut out, &hostile).expect("a buffer takes all");
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(!text.chars().any(is_obeyed), "{text:?}");
        assert_eq!(serde_json::from_str::<String>(&text).expect("JSON"), hostile);
    }
}
