//! Comma-separated values (RFC 4180): a head line, then a line a flow.
//!
//! Contract: every line has as many fields as the head; what a terminal would obey is shown as escapes. Limits:
//! of several DNS messages the first stands here, a tunnel is its kind and identifier; JSON Lines have all of it.
//! Design: the `csv` crate quotes and buffers; numbers are written into one reused buffer.

use std::io::{self, Write};

use super::record::Flags;
use super::{FlowWriter, conn, fast_format};
use crate::escape::printable;
use crate::input::{AppFacts, EndReason, Endpoint, FlowRecord, Mac, Side};
use crate::time::Timestamp;

/// The head line.
const HEAD: [&str; 52] = [
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
];

/// Writes CSV.
pub(super) struct Csv<W: Write> {
    fields: Fields<W>,
    has_head: bool,
}

impl<W: Write> Csv<W> {
    pub(super) fn new(out: W) -> Self {
        let csv = ::csv::WriterBuilder::new().buffer_capacity(128 * 1024).from_writer(out);
        Self { fields: Fields { csv, scratch: Vec::new() }, has_head: false }
    }

    fn head(&mut self) -> io::Result<()> {
        if !self.has_head {
            self.fields.csv.write_record(HEAD).map_err(io_error)?;
            self.has_head = true;
        }
        Ok(())
    }
}

impl<W: Write> FlowWriter for Csv<W> {
    fn record(&mut self, _: Timestamp, record: &FlowRecord, reason: EndReason) -> io::Result<()> {
        self.head()?;
        self.fields.record(record, reason)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.fields.csv.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.head()?;
        self.fields.csv.flush()
    }
}

/// What only input can cause does not happen here: the lines are all of one length.
fn io_error(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// The fields of a line, one after the other.
struct Fields<W: Write> {
    csv: ::csv::Writer<W>,
    scratch: Vec<u8>,
}

impl<W: Write> Fields<W> {
    fn text(&mut self, text: &str) -> io::Result<()> {
        self.csv.write_field(printable(text)).map_err(io_error)
    }

    fn optional(&mut self, text: Option<&str>) -> io::Result<()> {
        self.text(text.unwrap_or_default())
    }

    fn value(&mut self, value: impl std::fmt::Display) -> io::Result<()> {
        self.scratch.clear();
        write!(self.scratch, "{value}")?;
        self.csv.write_field(&self.scratch).map_err(io_error)
    }

    /// Values with a space between them.
    fn list<T: std::fmt::Display>(&mut self, values: impl Iterator<Item = T>) -> io::Result<()> {
        self.scratch.clear();
        for value in values {
            let space = if self.scratch.is_empty() { "" } else { " " };
            write!(self.scratch, "{space}{}", printable(&value.to_string()))?;
        }
        self.csv.write_field(&self.scratch).map_err(io_error)
    }

    fn optional_value(&mut self, value: Option<impl std::fmt::Display>) -> io::Result<()> {
        match value {
            Some(value) => self.value(value),
            None => self.text(""),
        }
    }

    fn record(&mut self, record: &FlowRecord, reason: EndReason) -> io::Result<()> {
        self.text(record.point.as_str())?;
        self.text(fast_format::rfc3339(record.start).as_str())?;
        self.text(fast_format::rfc3339(record.end).as_str())?;
        self.value(record.tuple.protocol.0)?;
        self.end(record.tuple.orig, record.orig)?;
        self.end(record.tuple.resp, record.resp)?;
        self.text(&crate::flow::community_id(&record.tuple, 0))?;
        self.list(record.vlans.iter())?;
        self.list(record.tunnels.iter().map(|tunnel| {
            let id = tunnel.id.map(|id| format!(":{id}")).unwrap_or_default();
            format!("{}{id}", tunnel.kind.as_str())
        }))?;
        self.value(record.fragments)?;
        if let Some(tcp) = &record.tcp {
            self.text(conn::state_name(tcp.state))?;
            self.text(tcp.history.as_str())?;
            Flags(tcp.orig_flags).with(|letters| self.text(letters))?;
            Flags(tcp.resp_flags).with(|letters| self.text(letters))?;
        } else {
            self.empty(4)?;
        }
        self.text(reason.as_str())?;
        match record.app.as_deref() {
            Some(app) => self.facts(app)?,
            None => self.empty(23)?,
        }
        for side in [record.orig, record.resp] {
            self.mac(side.next_hop)?;
        }
        self.csv.write_record(None::<&[u8]>).map_err(io_error)
    }

    fn empty(&mut self, count: usize) -> io::Result<()> {
        (0..count).try_for_each(|_| self.text(""))
    }

    fn end(&mut self, end: Endpoint, side: Side) -> io::Result<()> {
        self.value(end.ip)?;
        self.value(end.port)?;
        self.mac(side.mac)?;
        let counters = side.counters;
        self.value(counters.packets)?;
        self.value(counters.frame_bytes)?;
        self.value(counters.ip_bytes)?;
        self.value(counters.payload_bytes)
    }

    fn mac(&mut self, mac: Option<Mac>) -> io::Result<()> {
        self.optional(mac.map(fast_format::mac).as_ref().map(fast_format::Short::as_str))
    }

    fn facts(&mut self, app: &AppFacts) -> io::Result<()> {
        let (tls, dns, http, socks) = (app.tls.as_ref(), app.dns.first(), app.http.as_ref(), app.socks.as_ref());
        self.optional(tls.and_then(|tls| tls.sni.as_deref()))?;
        self.list(tls.iter().flat_map(|tls| &tls.alpn))?;
        self.optional(tls.and_then(|tls| tls.ja4.as_deref()))?;
        self.optional_value(app.quic.map(|quic| quic.version))?;
        self.optional_value(dns.map(|_| app.dns.len()))?;
        self.optional(dns.map(|dns| dns.query.as_str()))?;
        self.optional(dns.map(|dns| &*dns.kind))?;
        let same = |message: &&crate::input::DnsMessage| dns.is_some_and(|dns| dns.query == message.query);
        self.optional(app.dns.iter().filter(same).find_map(|message| message.rcode.as_deref()))?;
        self.optional(http.map(|http| http.method.as_str()))?;
        self.optional(http.and_then(|http| http.host.as_deref()))?;
        self.optional(http.and_then(|http| http.connect.as_deref()))?;
        self.optional_value(socks.map(|socks| socks.version))?;
        self.optional(socks.map(|socks| socks.command.as_str()))?;
        self.optional(socks.map(|socks| socks.target.as_str()))?;
        self.optional(app.ssh.as_deref())?;
        self.optional_value(app.proxy.map(|proxy| proxy.version))?;
        self.optional_value(app.proxy.and_then(|proxy| proxy.source).map(std::net::SocketAddr::from))?;
        self.optional_value(app.proxy.and_then(|proxy| proxy.destination).map(std::net::SocketAddr::from))?;
        self.optional_value(Some(app.dns_more).filter(|more| *more > 0))?;
        self.optional(app.openvpn.map(|openvpn| openvpn.reset.as_str()))?;
        self.optional(app.openvpn.map(|openvpn| openvpn.protection.as_str()))?;
        self.optional_value(app.echo.map(|echo| echo.odd_replies))?;
        self.optional_value(app.echo.map(|echo| echo.unasked_replies))
    }
}
