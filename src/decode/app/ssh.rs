//! SSH identification strings (RFC 4253 §4.2).
//!
//! Contract: the line that begins with `SSH-`, without its end. Limits: [`MAX_LINE`] bytes; lines that a server sends before it
//! are not passed over.

use super::{Parsed, text};

/// Longest identification string, in bytes, with its end.
pub const MAX_LINE: usize = 255;

/// Reads the identification string at the start of a stream. With `last`, nothing more will come.
pub fn identification(stream: &[u8], last: bool) -> Parsed<String> {
    const PREFIX: &[u8] = b"SSH-";
    if !stream.starts_with(PREFIX) {
        let may_be = !last && !stream.is_empty() && PREFIX.starts_with(stream);
        return if may_be { Parsed::More } else { Parsed::Other };
    }
    let head = stream.get(..MAX_LINE).unwrap_or(stream);
    match head.iter().position(|byte| *byte == b'\n') {
        Some(end) => Parsed::Whole(text(head.get(..end).unwrap_or(head).trim_ascii_end(), MAX_LINE)),
        None if last || head.len() == MAX_LINE => Parsed::Other,
        None => Parsed::More,
    }
}
