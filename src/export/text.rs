//! One line per flow, for a person.
//!
//! Contract: control characters and bidirectional overrides that a sender chose are shown as escapes, never sent to a terminal.
//! On a terminal every line fits: below [`WIDE`] columns a flow takes two lines. Limits: columns line up for IPv4; a longer address pushes its
//! line to the right. Design: fixed widths, because a stream of
//! a million flows cannot wait for its widest value.

use std::io::{self, Write};

use super::lines::Lines;
use super::{FlowWriter, conn, fast_format};
use crate::escape::printable;
use crate::input::{AppFacts, EndReason, Endpoint, FlowRecord, HttpRequest, Protocol};
use crate::layout::hang;
use crate::names::{KnownBy, KnownName};
use crate::time::{Timestamp, readable};

/// Writes lines for a person.
#[derive(Debug)]
pub(super) struct Text<W> {
    lines: Lines<W>,
    has_head: bool,
    /// Of the terminal; `None`: no terminal, lines stay whole.
    columns: Option<usize>,
}

/// Columns of the wide form, without what a flow said. A narrower terminal gets two lines a flow.
const WIDE: usize = 158;

impl<W: Write> Text<W> {
    pub(super) fn new(out: W, columns: Option<usize>) -> Self {
        let narrow = columns.is_some_and(|columns| columns < WIDE);
        Self { lines: Lines::new(out), has_head: narrow, columns }
    }

    fn head(&mut self) -> io::Result<()> {
        self.has_head = true;
        write!(
            self.lines.buffer(),
            "{:<27} {:>12} {:<5} {:>21}    {:<21} {:>15} {:>21} {:<6} {:<15} said",
            "start",
            "seconds",
            "proto",
            "originator",
            "responder",
            "packets",
            "ip bytes",
            "state",
            "point",
        )?;
        self.lines.end_line()
    }
}

impl<W: Write> FlowWriter for Text<W> {
    fn record(&mut self, _: Timestamp, record: &FlowRecord, _: EndReason, name: Option<&KnownName>) -> io::Result<()> {
        if !self.has_head {
            self.head()?;
        }
        match self.columns {
            None => line(self.lines.buffer(), record, name)?,
            Some(columns) => self.lines.buffer().extend_from_slice(fitting(record, columns, name)?.as_bytes()),
        }
        self.lines.end_line()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.lines.flush()
    }
}

type Written = io::Result<()>;

fn line(out: &mut Vec<u8>, record: &FlowRecord, name: Option<&KnownName>) -> Written {
    let (orig, resp) = (record.orig.counters, record.resp.counters);
    // To microseconds; JSON has them to the nanosecond.
    out.extend_from_slice(&fast_format::rfc3339(record.start).as_bytes()[..26]);
    out.extend_from_slice(b"Z ");
    let lasted = i128::from(record.end.as_nanos()) - i128::from(record.start.as_nanos());
    right(out, 12, |out| {
        fast_format::seconds(out, lasted);
        Ok(())
    })?;
    left(out, 5, |out| write!(out, "{}", record.tuple.protocol))?;
    right(out, 21, |out| end(out, record, record.tuple.orig))?;
    out.extend_from_slice(b"-> ");
    left(out, 21, |out| end(out, record, record.tuple.resp))?;
    right(out, 15, |out| write!(out, "{}/{}", orig.packets, resp.packets))?;
    right(out, 21, |out| write!(out, "{}/{}", orig.ip_bytes, resp.ip_bytes))?;
    left(out, 6, |out| {
        out.extend_from_slice(conn::state_name(conn::state(record)).as_bytes());
        Ok(())
    })?;
    left(out, 15, |out| {
        safe(out, record.point.as_str());
        Ok(())
    })?;
    said(out, record)?;
    called(out, name);
    let len = out.trim_ascii_end().len();
    out.truncate(len);
    Ok(())
}

/// The flow for a terminal: one line, or two where one would be too long.
fn fitting(record: &FlowRecord, columns: usize, name: Option<&KnownName>) -> io::Result<String> {
    let mut out = Vec::new();
    if columns >= WIDE {
        line(&mut out, record, name)?;
        return Ok(hang("", "    ", &String::from_utf8_lossy(&out), Some(columns)));
    }
    let (from, to) = (record.tuple.orig.shown(record.tuple.protocol), record.tuple.resp.shown(record.tuple.protocol));
    let (orig, resp) = (record.orig.counters, record.resp.counters);
    let first = format!("{} {} {from} -> {to}", record.start.readable(), record.tuple.protocol);
    let lasted = readable(record.end.since(record.start));
    let state = conn::state_name(conn::state(record));
    let state = if state == "-" { String::new() } else { format!(", {state}") };
    write!(
        out,
        "{}/{} packets, {}/{} bytes, {lasted}{state}, at {}  ",
        orig.packets,
        resp.packets,
        orig.ip_bytes,
        resp.ip_bytes,
        printable(record.point.as_str())
    )?;
    said(&mut out, record)?;
    called(&mut out, name);
    let below = String::from_utf8_lossy(&out);
    let first = hang("", "    ", &first, Some(columns));
    Ok(format!("{first}\n{}", hang("    ", "    ", below.trim_end(), Some(columns))))
}

/// Address and port; the address alone where the protocol has no ports.
fn end(out: &mut Vec<u8>, record: &FlowRecord, end: Endpoint) -> Written {
    if record.tuple.protocol.has_ports() { write!(out, "{end}") } else { write!(out, "{}", end.ip) }
}

/// A column with its text at the left, and a space.
fn left(out: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>) -> Written) -> Written {
    let start = out.len();
    write(out)?;
    out.resize(out.len().max(start + width), b' ');
    out.push(b' ');
    Ok(())
}

/// A column with its text at the right, and a space.
fn right(out: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>) -> Written) -> Written {
    let start = out.len();
    write(out)?;
    let missing = (start + width).saturating_sub(out.len());
    out.resize(out.len() + missing, b' ');
    out[start..].rotate_right(missing);
    out.push(b' ');
    Ok(())
}

/// Text that a sender chose.
fn safe(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend_from_slice(printable(text).as_bytes());
    }
}

/// A word and a space.
fn word(out: &mut Vec<u8>, text: &str) {
    safe(out, text);
    out.push(b' ');
}

/// The responder's name, where somebody asked for it: what the flow says itself stands there already.
fn called(out: &mut Vec<u8>, name: Option<&KnownName>) {
    if let Some(known) = name.filter(|known| matches!(known.by, KnownBy::Dns | KnownBy::Shared)) {
        word(out, "to");
        word(out, &known.name);
        word(out, if known.by == KnownBy::Dns { "(by dns)" } else { "(by dns, shared)" });
    }
}

/// What the flow said of itself: tunnels, names, questions, requests.
fn said(out: &mut Vec<u8>, record: &FlowRecord) -> Written {
    for tunnel in &record.tunnels {
        let kind = tunnel.kind.as_str();
        match tunnel.id {
            Some(id) => write!(out, "{kind} {id} ")?,
            None => write!(out, "{kind} ")?,
        }
    }
    if matches!(record.tuple.protocol, Protocol::ICMP | Protocol::ICMPV6) {
        write!(out, "type {} ", record.tuple.orig.port)?;
    }
    record.app.as_deref().map_or(Ok(()), |app| facts(out, app))
}

fn facts(out: &mut Vec<u8>, app: &AppFacts) -> Written {
    if let Some(source) = app.proxy.and_then(|proxy| proxy.source) {
        write!(out, "for {} ", std::net::SocketAddr::from(source))?;
    }
    if let Some(socks) = &app.socks {
        write!(out, "socks{} {} ", socks.version, socks.command)?;
        word(out, &socks.target);
    }
    if let Some(http) = &app.http {
        request(out, http);
    }
    if let Some(hello) = &app.tls {
        word(out, if app.quic.is_some() { "quic" } else { "tls" });
        word(out, hello.sni.as_deref().unwrap_or("(no name)"));
        if let Some(ja4) = &hello.ja4 {
            word(out, ja4);
        }
    } else if app.quic.is_some() {
        word(out, "quic");
    }
    if let Some(version) = &app.ssh {
        word(out, version);
    }
    if let Some(openvpn) = &app.openvpn {
        write!(out, "openvpn {} {} ", openvpn.reset.as_str(), openvpn.protection.as_str())?;
    }
    if let Some(magic) = app.magic {
        word(out, magic.as_str());
    }
    if let Some(method) = &app.mining {
        word(out, method);
    }
    if let Some(echo) = &app.echo {
        write!(out, "{} odd and {} unasked replies ", echo.odd_replies, echo.unasked_replies)?;
    }
    questions(out, app)
}

fn request(out: &mut Vec<u8>, http: &HttpRequest) {
    word(out, &http.method);
    if let Some(target) = http.connect.as_ref().or(http.host.as_ref()) {
        word(out, target);
    }
}

/// The first message, whether it was answered, and how many there are more.
fn questions(out: &mut Vec<u8>, app: &AppFacts) -> Written {
    let messages = &app.dns;
    let Some(first) = messages.first() else { return Ok(()) };
    word(out, "dns");
    word(out, &first.query);
    word(out, &first.kind);
    let answer = messages.iter().find(|message| message.query == first.query && message.rcode.is_some());
    if let Some(rcode) = answer.and_then(|message| message.rcode.as_ref()) {
        word(out, rcode);
    }
    let others = messages.iter().filter(|message| message.query != first.query).count() as u64 + app.dns_more;
    if others > 0 { write!(out, "and {others} more ") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(app: &AppFacts) -> String {
        let mut out = Vec::new();
        facts(&mut out, app).expect("a buffer takes all");
        String::from_utf8(out).expect("UTF-8").trim_end().to_owned()
    }

    #[test]
    fn what_a_sender_chose_never_reaches_the_terminal_as_it_is() {
        let hostile = "a\u{1b}[2J\n\u{202e}b\u{9b}".to_owned();
        let message = crate::input::DnsMessage {
            query: hostile.clone(),
            kind: hostile.clone().into(),
            rcode: Some(hostile.clone().into()),
        };
        let app = AppFacts {
            dns: vec![message],
            http: Some(HttpRequest {
                method: hostile.clone(),
                host: Some(hostile.clone()),
                connect: None,
                ..HttpRequest::default()
            }),
            ssh: Some(hostile),
            ..AppFacts::default()
        };
        let shown = shown(&app);
        assert!(shown.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{shown:?}");
        assert_eq!(shown.matches("a\\u{1b}[2J\\u{a}\\u{202e}b\\u{9b}").count(), 6, "{shown}");
    }

    #[test]
    fn columns_line_up() {
        let mut out = Vec::new();
        left(&mut out, 5, |out| write!(out, "ab")).expect("a buffer takes all");
        right(&mut out, 5, |out| write!(out, "cd")).expect("a buffer takes all");
        right(&mut out, 1, |out| write!(out, "too long")).expect("a buffer takes all");
        assert_eq!(String::from_utf8_lossy(&out), "ab       cd too long ");
    }
}
