//! Zeek's conn.log, tab-separated, with its head and tail lines.
//!
//! Contract: what reads Zeek's logs (`zeek-cut`, importers) reads this one; fields and types are those of a current Zeek.
//! Limits: `missed_bytes` and `tunnel_parents` are unset (`-`): gaps are not counted, and a tunnel's own flow is not known by
//! its uid. `#open` and `#close` are event times: the end of the first and of the last record, so that two runs are equal.
//! Design: every value is made here (numbers, addresses, closed words), so nothing has to be escaped.

use std::io::{self, Write};

use super::lines::Lines;
use super::{FlowWriter, conn, fast_format};
use crate::flow::{ZeekConn, zeek_conn};
use crate::input::{EndReason, FlowId, FlowRecord};
use crate::names::KnownName;
use crate::time::Timestamp;

/// Names and types of the columns.
pub const FIELDS: [(&str, &str); 22] = [
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("proto", "enum"),
    ("service", "string"),
    ("duration", "interval"),
    ("orig_bytes", "count"),
    ("resp_bytes", "count"),
    ("conn_state", "string"),
    ("local_orig", "bool"),
    ("local_resp", "bool"),
    ("missed_bytes", "count"),
    ("history", "string"),
    ("orig_pkts", "count"),
    ("orig_ip_bytes", "count"),
    ("resp_pkts", "count"),
    ("resp_ip_bytes", "count"),
    ("tunnel_parents", "set[string]"),
    ("ip_proto", "count"),
];

/// Writes conn.log.
#[derive(Debug)]
pub(super) struct Zeek<W> {
    lines: Lines<W>,
    /// The end of the last record.
    reached: Option<Timestamp>,
}

impl<W: Write> Zeek<W> {
    pub(super) fn new(out: W) -> Self {
        Self { lines: Lines::new(out), reached: None }
    }

    fn head(&mut self, at: Timestamp) -> io::Result<()> {
        let out = self.lines.buffer();
        out.extend_from_slice(
            b"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n",
        );
        out.extend_from_slice(b"#open\t");
        out.extend_from_slice(fast_format::dashed(at).as_bytes());
        for (title, values) in [("\n#fields", FIELDS.map(|field| field.0)), ("\n#types", FIELDS.map(|field| field.1))] {
            out.extend_from_slice(title.as_bytes());
            for value in values {
                out.push(b'\t');
                out.extend_from_slice(value.as_bytes());
            }
        }
        self.lines.end_line()
    }
}

impl<W: Write> FlowWriter for Zeek<W> {
    fn record(&mut self, at: Timestamp, record: &FlowRecord, _: EndReason, _: Option<&KnownName>) -> io::Result<()> {
        if self.reached.is_none() {
            self.head(at)?;
        }
        self.reached = Some(at);
        line(self.lines.buffer(), record)?;
        self.lines.end_line()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        let at = self.reached.unwrap_or_default();
        if self.reached.is_none() {
            self.head(at)?;
        }
        let out = self.lines.buffer();
        out.extend_from_slice(b"#close\t");
        out.extend_from_slice(fast_format::dashed(at).as_bytes());
        self.lines.end_line()?;
        self.lines.flush()
    }
}

fn line(out: &mut Vec<u8>, record: &FlowRecord) -> io::Result<()> {
    let ZeekConn { record, state, history } = &zeek_conn(record.clone());
    let (tuple, orig, resp) = (&record.tuple, record.orig.counters, record.resp.counters);
    let flag = |yes: bool| if yes { 'T' } else { 'F' };
    let nanos = |time: Timestamp| i128::from(time.as_nanos());
    fast_format::seconds(out, nanos(record.start));
    out.push(b'\t');
    out.extend_from_slice(&uid(record.id));
    write!(out, "\t{}\t{}\t{}\t{}\t", tuple.orig.ip, tuple.orig.port, tuple.resp.ip, tuple.resp.port)?;
    out.extend_from_slice(conn::transport(tuple.protocol).as_bytes());
    out.push(b'\t');
    services(out, record);
    out.push(b'\t');
    // Zeek leaves duration and sizes unset where the first packet is also the last.
    let duration = nanos(record.end) - nanos(record.start);
    if duration > 0 {
        fast_format::seconds(out, duration);
        write!(out, "\t{}\t{}", orig.payload_bytes, resp.payload_bytes)?;
    } else {
        out.extend_from_slice(b"-\t-\t-");
    }
    let state = conn::state_name(*state);
    let local = [tuple.orig.ip, tuple.resp.ip].map(|ip| flag(conn::is_local(ip)));
    let history = Some(history.as_str()).filter(|history| !history.is_empty()).unwrap_or("-");
    write!(out, "\t{state}\t{}\t{}\t-\t{history}", local[0], local[1])?;
    write!(out, "\t{}\t{}\t{}\t{}", orig.packets, orig.ip_bytes, resp.packets, resp.ip_bytes)?;
    write!(out, "\t-\t{}", tuple.protocol.0)
}

/// The services, with commas between them.
fn services(out: &mut Vec<u8>, record: &FlowRecord) {
    let start = out.len();
    for service in record.app.iter().flat_map(|app| conn::services(app)) {
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(service.as_bytes());
    }
    if out.len() == start {
        out.push(b'-');
    }
}

/// `C` and eleven digits to base 62: the record's identity, so a second run gives the same.
fn uid(id: FlowId) -> [u8; 12] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = *b"C00000000000";
    let mut rest = id.0;
    for place in text[1..].iter_mut().rev() {
        *place = usize::try_from(rest % 62).map_or(b'0', |digit| DIGITS[digit]);
        rest /= 62;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_its_uid() {
        assert_eq!(&uid(FlowId(0)), b"C00000000000");
        assert_eq!(&uid(FlowId(61)), b"C0000000000z");
        assert_eq!(&uid(FlowId(u64::MAX)), b"CLygHa16AHYF");
    }
}
