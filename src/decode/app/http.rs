//! HTTP/1 requests (RFC 9112): method, path, `Host`, and the target of `CONNECT`.
//!
//! Contract: a request line with its version makes it HTTP; then the head is read up to `Host` or to its end.
//! A request may be the second on its connection: [`next_connect`] finds a later `CONNECT`.
//! Limits: heads of [`MAX_HEAD`] bytes, values of [`MAX_VALUE`] bytes. HTTP/0.9 has no version and is not distinguished from text;
//! HTTP/2 has its names compressed and is passed over. A repeated `Host` is not noticed. Bodies are not measured: a later
//! request is found at the start of a segment or of a line.
//! Design: ours instead of a library: only two lines of the head are wanted, also of a head that is cut or has odd fields.

use super::{Parsed, text};
use crate::input::HttpRequest;

/// Bytes of a head that are read.
pub const MAX_HEAD: usize = 8 * 1024;
/// Bytes of a value that are kept.
pub const MAX_VALUE: usize = 512;
/// Bytes of a path that are kept.
pub const MAX_PATH: usize = 64;
/// Longest method that is believed.
const MAX_METHOD: usize = 24;

/// Methods whose first line may come in pieces; of others the line must be in the first piece.
const COMMON: [&[u8]; 10] =
    [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"TRACE ", b"PATCH ", b"PROPFIND "];

/// A request and the length of its head; 0 where `Host` came before the head's end.
pub type Request = (HttpRequest, usize);

/// Reads the request at the start of a stream. With `last`, nothing more will come.
pub fn request(stream: &[u8], last: bool) -> Parsed<Request> {
    let stream = stream.get(..MAX_HEAD).unwrap_or(stream);
    let last = last || stream.len() == MAX_HEAD;
    // Empty lines before a request are passed over (RFC 9112 §2.2).
    let empty = stream.iter().take_while(|byte| is_line_end(**byte)).count();
    if empty == stream.len() && !last && empty > 0 {
        return Parsed::More;
    }
    let from = stream.get(empty..).unwrap_or(&[]);
    head(from, last).map(|(request, len)| (request, if len > 0 { empty + len } else { 0 }))
}

/// Where in a segment that follows a first request a `CONNECT`, or what may become one, begins.
pub fn next_connect(segment: &[u8]) -> Option<usize> {
    let starts = segment.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    [0].into_iter().chain(starts).find(|at| segment.get(*at..).is_some_and(may_connect))
}

fn may_connect(bytes: &[u8]) -> bool {
    const CONNECT: &[u8] = b"CONNECT ";
    !bytes.is_empty() && (bytes.starts_with(CONNECT) || CONNECT.starts_with(bytes))
}

const fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Reads a request line and the head that follows it.
fn head(stream: &[u8], last: bool) -> Parsed<Request> {
    let method_len = stream.iter().take(MAX_METHOD).position(|byte| !is_method(*byte));
    let Some(method) = method_len.filter(|len| *len >= 3 && stream.get(*len) == Some(&b' ')) else {
        let may_be = !last && COMMON.iter().any(|method| method.starts_with(stream));
        return if may_be && !stream.is_empty() { Parsed::More } else { Parsed::Other };
    };
    let Some((line, rest)) = next_line(stream) else {
        let may_go_on = !last && COMMON.iter().any(|method| stream.starts_with(method));
        return if may_go_on { Parsed::More } else { Parsed::Other };
    };
    let (method, target) = line.split_at(method);
    let Some(target) = target_of(target) else { return Parsed::Other };
    let connect = (method == b"CONNECT").then(|| text(target, MAX_VALUE));
    let path = if connect.is_none() { path(target).map(|path| text(path, MAX_PATH)) } else { None };
    let request = HttpRequest { method: text(method, MAX_METHOD), path, host: None, connect };
    fields(request, stream, rest, last)
}

/// Reads the fields of a head; `rest` is what follows the request line in `stream`.
fn fields(mut request: HttpRequest, stream: &[u8], mut rest: &[u8], last: bool) -> Parsed<Request> {
    while let Some((line, after)) = next_line(rest) {
        rest = after;
        if line.is_empty() {
            return Parsed::Whole((request, stream.len() - rest.len()));
        }
        if request.host.is_none() {
            request.host = host(line);
        }
        if request.host.is_some() && request.connect.is_none() {
            return Parsed::Whole((request, 0));
        }
    }
    if last { Parsed::Whole((request, 0)) } else { Parsed::More }
}

const fn is_method(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'-' | b'_')
}

/// A line without its end, and what follows.
fn next_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at(end);
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or(&[])))
}

/// The target in what follows the method, if the version comes last.
fn target_of(rest: &[u8]) -> Option<&[u8]> {
    let rest = rest.trim_ascii();
    let at = rest.iter().rposition(|byte| *byte == b' ')?;
    let (target, version) = rest.split_at(at);
    version.starts_with(b" HTTP/1.").then(|| target.trim_ascii())
}

/// The path of a target, without the query: that of a proxy's request stands behind scheme and authority.
fn path(target: &[u8]) -> Option<&[u8]> {
    let behind = |at: usize| target.get(at + 3..).unwrap_or(&[]);
    let scheme = target.windows(3).take(8).position(|window| window == b"://").map(behind);
    let from = scheme.map_or(Some(target), |rest| rest.get(rest.iter().position(|byte| *byte == b'/')?..))?;
    let end = from.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(from.len());
    from.get(..end).filter(|path| path.first() == Some(&b'/'))
}

/// The value of a `Host` field.
fn host(line: &[u8]) -> Option<String> {
    let (name, value) = line.split_at_checked(5)?;
    let value = value.trim_ascii();
    (name.eq_ignore_ascii_case(b"host:") && !value.is_empty()).then(|| text(value, MAX_VALUE))
}
