//! Comma-separated values (RFC 4180): a head line, then one line per flow.
//!
//! Contract: every line has as many fields as the head; what a terminal would obey is shown as escapes. Limits:
//! of several DNS messages the first stands here, a tunnel is its kind and identifier; JSON Lines have all of it.
//! Design: lines are built in the buffer that is handed over; only texts of a capture are looked at, numbers and closed words are
//! written as they are. Fields are quoted as the `csv` crate quotes them, which reads them back in the tests.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::IpAddr;

use super::lines::Lines;
use super::record::Flags;
use super::{FlowWriter, conn, fast_format};
use crate::escape::printable;
use crate::input::{AppFacts, EndReason, Endpoint, FlowRecord, Mac, Magic, Side};
use crate::names::KnownName;
use crate::time::Timestamp;

/// The head line.
const HEAD: [&str; 58] = [
    "observation_point",
    "start",
    "end",
    "protocol",
    "orig_ip",
    "orig_port",
    "orig_mac",
    "orig_packets",
    "orig_frame_bytes",
    "orig_ip_bytes",
    "orig_payload_bytes",
    "resp_ip",
    "resp_port",
    "resp_mac",
    "resp_packets",
    "resp_frame_bytes",
    "resp_ip_bytes",
    "resp_payload_bytes",
    "community_id",
    "vlans",
    "tunnels",
    "fragments",
    "tcp_state",
    "tcp_history",
    "tcp_orig_flags",
    "tcp_resp_flags",
    "end_reason",
    "tls_sni",
    "tls_alpn",
    "tls_ja4",
    "quic_version",
    "dns_messages",
    "dns_query",
    "dns_type",
    "dns_rcode",
    "http_method",
    "http_host",
    "http_connect",
    "socks_version",
    "socks_command",
    "socks_target",
    "ssh",
    "proxy_version",
    "proxy_source",
    "proxy_destination",
    "dns_more",
    "openvpn_reset",
    "openvpn_protection",
    "echo_odd_replies",
    "echo_unasked_replies",
    "orig_next_hop",
    "resp_next_hop",
    "http_path",
    "name",
    "name_known_by",
    "magic",
    "mining",
    "looks_encrypted",
];

/// Writes CSV.
#[derive(Debug)]
pub(super) struct Csv<W> {
    lines: Lines<W>,
    has_head: bool,
}

impl<W: Write> Csv<W> {
    pub(super) fn new(out: W) -> Self {
        Self { lines: Lines::new(out), has_head: false }
    }

    fn head(&mut self) -> io::Result<()> {
        if self.has_head {
            return Ok(());
        }
        self.has_head = true;
        self.lines.buffer().extend_from_slice(HEAD.join(",").as_bytes());
        self.lines.end_line()
    }
}

impl<W: Write> FlowWriter for Csv<W> {
    fn record(
        &mut self,
        _: Timestamp,
        record: &FlowRecord,
        reason: EndReason,
        name: Option<&KnownName>,
    ) -> io::Result<()> {
        self.head()?;
        let out = self.lines.buffer();
        Fields { out }.record(record, reason);
        Fields { out }.name(record, name);
        // Each field ends with a comma; the last one ends the line.
        out.pop();
        self.lines.end_line()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.head()?;
        self.lines.flush()
    }
}

/// Whether a text stands in a field as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'"'))
}

/// The fields of a line, one after the other, each with a comma behind it.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
}

impl Fields<'_> {
    fn end_field(&mut self) {
        self.out.push(b',');
    }

    /// A text of which nothing needs to be escaped.
    fn plain(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.end_field();
    }

    fn text(&mut self, text: &str) {
        if is_plain(text) {
            return self.plain(text);
        }
        let shown = printable(text);
        // No line break is left: it is shown as an escape.
        if shown.contains([',', '"']) {
            self.plain(&format!("\"{}\"", shown.replace('"', "\"\"")));
        } else {
            self.plain(&shown);
        }
    }

    fn optional(&mut self, text: Option<&str>) {
        self.text(text.unwrap_or_default());
    }

    fn number(&mut self, number: impl Into<u64>) {
        fast_format::number(self.out, number.into());
        self.end_field();
    }

    fn optional_number(&mut self, number: Option<impl Into<u64>>) {
        match number {
            Some(number) => self.number(number),
            None => self.end_field(),
        }
    }

    fn ip(&mut self, ip: IpAddr) {
        fast_format::ip(self.out, ip);
        self.end_field();
    }

    /// Values with a space between them.
    fn list<T: std::fmt::Display>(&mut self, values: impl Iterator<Item = T>) {
        let mut text = String::new();
        for value in values {
            let space = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{space}{value}");
        }
        self.text(&text);
    }

    fn optional_value(&mut self, value: Option<impl std::fmt::Display>) {
        self.list(value.into_iter());
    }

    fn record(&mut self, record: &FlowRecord, reason: EndReason) {
        self.text(record.point.as_str());
        self.plain(fast_format::rfc3339(record.start).as_str());
        self.plain(fast_format::rfc3339(record.end).as_str());
        self.number(record.tuple.protocol.0);
        self.end(record.tuple.orig, record.orig);
        self.end(record.tuple.resp, record.resp);
        self.plain(&crate::flow::community_id(&record.tuple, 0));
        self.list(record.vlans.iter());
        self.list(record.tunnels.iter().map(|tunnel| {
            let id = tunnel.id.map(|id| format!(":{id}")).unwrap_or_default();
            format!("{}{id}", tunnel.kind.as_str())
        }));
        self.number(record.fragments);
        if let Some(tcp) = &record.tcp {
            self.plain(conn::state_name(tcp.state));
            self.text(tcp.history.as_str());
            Flags(tcp.orig_flags).with(|letters| self.plain(letters));
            Flags(tcp.resp_flags).with(|letters| self.plain(letters));
        } else {
            self.empty(4);
        }
        self.plain(reason.as_str());
        match record.app.as_deref() {
            Some(app) => self.facts(app),
            None => self.empty(23),
        }
        for side in [record.orig, record.resp] {
            self.mac(side.next_hop);
        }
    }

    fn name(&mut self, record: &FlowRecord, name: Option<&KnownName>) {
        let http = record.app.as_deref().and_then(|app| app.http.as_ref());
        self.optional(http.and_then(|http| http.path.as_deref()));
        self.optional(name.map(|known| &*known.name));
        self.optional(name.map(|known| known.by.as_str()));
        let app = record.app.as_deref();
        self.optional(app.and_then(|app| app.magic).map(Magic::as_str));
        self.optional(app.and_then(|app| app.mining.as_deref()));
        self.optional(app.filter(|app| app.looks_encrypted).map(|_| "true"));
    }

    fn empty(&mut self, count: usize) {
        self.out.extend(std::iter::repeat_n(b',', count));
    }

    fn end(&mut self, end: Endpoint, side: Side) {
        self.ip(end.ip);
        self.number(end.port);
        self.mac(side.mac);
        let counters = side.counters;
        self.number(counters.packets);
        self.number(counters.frame_bytes);
        self.number(counters.ip_bytes);
        self.number(counters.payload_bytes);
    }

    fn mac(&mut self, mac: Option<Mac>) {
        if let Some(mac) = mac {
            self.out.extend_from_slice(fast_format::mac(mac).as_bytes());
        }
        self.end_field();
    }

    fn facts(&mut self, app: &AppFacts) {
        let (tls, dns, http, socks) = (app.tls.as_ref(), app.dns.first(), app.http.as_ref(), app.socks.as_ref());
        self.optional(tls.and_then(|tls| tls.sni.as_deref()));
        self.list(tls.iter().flat_map(|tls| &tls.alpn));
        self.optional(tls.and_then(|tls| tls.ja4.as_deref()));
        self.optional_number(app.quic.map(|quic| quic.version));
        self.optional_value(dns.map(|_| app.dns.len()));
        self.optional(dns.map(|dns| dns.query.as_str()));
        self.optional(dns.map(|dns| &*dns.kind));
        let same = |message: &&crate::input::DnsMessage| dns.is_some_and(|dns| dns.query == message.query);
        self.optional(app.dns.iter().filter(same).find_map(|message| message.rcode.as_deref()));
        self.optional(http.map(|http| http.method.as_str()));
        self.optional(http.and_then(|http| http.host.as_deref()));
        self.optional(http.and_then(|http| http.connect.as_deref()));
        self.optional_number(socks.map(|socks| socks.version));
        self.optional(socks.map(|socks| socks.command.as_str()));
        self.optional(socks.map(|socks| socks.target.as_str()));
        self.optional(app.ssh.as_deref());
        self.optional_number(app.proxy.map(|proxy| proxy.version));
        self.optional_value(app.proxy.and_then(|proxy| proxy.source).map(std::net::SocketAddr::from));
        self.optional_value(app.proxy.and_then(|proxy| proxy.destination).map(std::net::SocketAddr::from));
        self.optional_number(Some(app.dns_more).filter(|more| *more > 0));
        self.optional(app.openvpn.map(|openvpn| openvpn.reset.as_str()));
        self.optional(app.openvpn.map(|openvpn| openvpn.protection.as_str()));
        self.optional_number(app.echo.map(|echo| echo.odd_replies));
        self.optional_number(app.echo.map(|echo| echo.unasked_replies));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fields_are_quoted_as_the_csv_crate_quotes_them(texts in prop::collection::vec("[\",\r\n a-c\u{fe}]{0,6}|\\PC{0,4}", 2..5)) {
            let (mut ours, mut theirs) = (Vec::new(), ::csv::Writer::from_writer(Vec::new()));
            for text in &texts {
                Fields { out: &mut ours }.text(text);
                theirs.write_field(printable(text)).expect("written");
            }
            theirs.write_record(None::<&[u8]>).expect("written");
            ours.pop();
            ours.push(b'\n');
            prop_assert_eq!(ours, theirs.into_inner().expect("flushed"));
        }
    }
}
