//! JSON that is safe on a terminal.
//!
//! Contract: valid JSON with the same meaning; what JSON itself leaves as it is and a terminal obeys (DEL, C1 controls,
//! bidirectional overrides) or cannot be seen (zero-width and tag characters) is written as escapes too.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::is_obeyed;

/// Writes a value on one line, without its end.
pub fn to_writer(out: impl Write, value: &impl Serialize) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(out, Escaping(CompactFormatter)))?)
}

/// Writes a value over several lines, for a person too, with a line break at its end.
pub fn to_pretty_writer(mut out: impl Write, value: &impl Serialize) -> io::Result<()> {
    let escaping = Escaping(PrettyFormatter::new());
    value.serialize(&mut Serializer::with_formatter(&mut out, escaping))?;
    writeln!(out)
}

/// JSON with more escapes, laid out by another formatter.
struct Escaping<F>(F);

impl<F: Formatter> Formatter for Escaping<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        // All of them but DEL are beyond ASCII: most fragments are written as they are.
        if fragment.bytes().all(|byte| byte < 0x7f) {
            return out.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, found)) = rest.char_indices().find(|(_, found)| is_obeyed(*found)) {
            out.write_all(&rest.as_bytes()[..at])?;
            let mut units = [0; 2];
            for unit in found.encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + found.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

/// A text as JSON, which YAML reads alike and a terminal does not obey.
pub fn quoted(text: &str) -> String {
    let mut quoted = Vec::new();
    // A text in memory is always written.
    let _ = to_writer(&mut quoted, &text);
    String::from_utf8_lossy(&quoted).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_means_the_same() {
        let hostile = "a\u{1b}[2J\u{7f}\u{9b}5m\u{202e}é\"b\u{200b}\u{e0041}";
        let mut out = Vec::new();
        to_writer(&mut out, &hostile).expect("a buffer takes all");
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(!text.chars().any(is_obeyed), "{text:?}");
        assert_eq!(serde_json::from_str::<String>(&text).expect("JSON"), hostile);
        let mut out = Vec::new();
        to_pretty_writer(&mut out, &serde_json::json!({"a": [hostile, 1]})).expect("a buffer takes all");
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(text.lines().count(), 6, "{text}");
        assert!(!text.chars().any(|c| c != '\n' && is_obeyed(c)), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["a"][0], hostile);
    }
}
