//! The record that is written: JSON `hopwatch.flow/1`.
//!
//! Contract: fields are only ever added within version 1; `docs/flows.md` says what each means, `docs/flow.schema.json` what each
//! looks like. A part that was not seen is left out. Design: borrows the record, so that writing allocates nothing.

use std::borrow::Cow;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::fast_format;
use crate::flow::community_id;
use crate::input::{
    ConnState, DnsMessage, EchoFacts, EndReason, Endpoint, FlowRecord, History, HttpRequest, Mac, Magic,
    ObservationPoint, OpenVpn, Protocol, ProxyHeader, QuicInitial, Side, SocksRequest, TcpFacts, TlsHello, Tunnel,
    TunnelKind,
};
use crate::names::{KnownBy, KnownName};
use crate::time::Timestamp;

/// Name and version of the shape.
pub const FLOW_SCHEMA: &str = "hopwatch.flow/1";

/// One flow, from its first packet to its last.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Flow")]
pub(super) struct FlowLine<'a> {
    /// Always `hopwatch.flow/1`.
    schema: &'static str,
    /// Where it was seen: an interface, or the name of the capture file.
    observation_point: &'a ObservationPoint,
    /// First packet.
    #[serde(serialize_with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    start: Timestamp,
    /// Last packet.
    #[serde(serialize_with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    end: Timestamp,
    /// IP protocol number.
    protocol: Protocol,
    /// Originator.
    orig: End,
    /// Responder.
    resp: End,
    /// Community ID v1, seed 0: joins with Zeek and Suricata.
    community_id: String,
    /// 802.1Q identifiers of the first packet, outermost first.
    #[serde(skip_serializing_if = "<[u16]>::is_empty")]
    #[schemars(with = "Vec<u16>")]
    vlans: &'a [u16],
    /// Tunnels that the first packet went through, outermost first; for a flow of outer packets, what it carries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tunnels: Vec<TunnelPart>,
    /// Fragments among the packets.
    fragments: u64,
    /// TCP only.
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp: Option<TcpPart>,
    /// The responder's name, in lower case: what somebody asked for, or wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// How the name is known: `sni` and `host` stand in the flow itself, `dns` was asked for by the originator, `shared` by somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    name_known_by: Option<KnownBy>,
    /// Why the record ended (IPFIX information element 136).
    end_reason: EndReason,
    /// A TLS `ClientHello`, over TCP or inside QUIC.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'a TlsHello>,
    /// A QUIC Initial packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    quic: Option<QuicInitial>,
    /// DNS messages, the first few.
    #[serde(skip_serializing_if = "<[DnsMessage]>::is_empty")]
    #[schemars(with = "Vec<DnsMessage>")]
    dns: &'a [DnsMessage],
    /// DNS questions after those, repeated ones too.
    #[serde(skip_serializing_if = "Option::is_none")]
    dns_more: Option<u64>,
    /// The first HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<&'a HttpRequest>,
    /// A SOCKS request.
    #[serde(skip_serializing_if = "Option::is_none")]
    socks: Option<&'a SocksRequest>,
    /// An SSH identification string, the client's where both were seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    ssh: Option<&'a str>,
    /// A PROXY protocol header: whom the connection is made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyHeader>,
    /// The first message of an `OpenVPN` control channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    openvpn: Option<OpenVpn>,
    /// ICMP echo replies that are not what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    echo: Option<EchoFacts>,
    /// Another protocol, known by its first bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    magic: Option<Magic>,
    /// A method of mining that JSON-RPC named.
    #[serde(skip_serializing_if = "Option::is_none")]
    mining: Option<&'a str>,
    /// The originator's first bytes are of no known protocol and look like ciphertext; left out where they do not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    looks_encrypted: bool,
}

/// One end of a flow and what it sent.
#[derive(Debug, Serialize, JsonSchema)]
struct End {
    /// Address.
    ip: IpAddr,
    /// Port; 0 where the protocol has none, type or code for ICMP as Community ID v1 maps them.
    port: u16,
    /// Source MAC of its first packet.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "mac")]
    #[schemars(with = "Option<Mac>")]
    mac: Option<Mac>,
    /// Destination MAC of its first packet.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "mac")]
    #[schemars(with = "Option<Mac>")]
    next_hop: Option<Mac>,
    /// Packets sent.
    packets: u64,
    /// Bytes sent on the wire, link header included.
    frame_bytes: u64,
    /// Bytes of the IP packets sent; the captured length where a GSO frame has zero there.
    ip_bytes: u64,
    /// Bytes sent above the transport header.
    payload_bytes: u64,
}

/// How a TCP connection went.
#[derive(Debug, Serialize, JsonSchema)]
struct TcpPart {
    /// Zeek's `conn_state`.
    state: ConnState,
    /// Zeek's `history`: one letter per event, upper case from the originator.
    #[schemars(with = "String")]
    history: History,
    /// All flags that were seen.
    flags: FlagPart,
}

/// TCP flags by direction, each letter once: S SYN, A ACK, P PSH, F FIN, R RST, U URG, E ECE, C CWR.
#[derive(Debug, Serialize, JsonSchema)]
struct FlagPart {
    /// What the originator sent.
    orig: Flags,
    /// What the responder sent.
    resp: Flags,
}

/// Flag bits that print as letters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags(pub(super) u8);

impl Flags {
    /// Bits and letters in the order they are written: how a usual connection goes.
    const LETTERS: [(u8, u8); 8] = [
        (0x02, b'S'),
        (0x10, b'A'),
        (0x08, b'P'),
        (0x01, b'F'),
        (0x04, b'R'),
        (0x20, b'U'),
        (0x40, b'E'),
        (0x80, b'C'),
    ];

    /// The letters, and how many there are.
    fn letters(self) -> ([u8; 8], usize) {
        let mut text = [0; 8];
        let set = Self::LETTERS.iter().filter(|(bit, _)| self.0 & bit != 0);
        let len = text.iter_mut().zip(set).map(|(place, (_, letter))| *place = *letter).count();
        (text, len)
    }

    /// Gives the letters to `take`.
    pub(super) fn with<T>(self, take: impl FnOnce(&str) -> T) -> T {
        let (text, len) = self.letters();
        take(std::str::from_utf8(&text[..len]).unwrap_or_default())
    }
}

impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with(|letters| serializer.serialize_str(letters))
    }
}

impl JsonSchema for Flags {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Flags".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^S?A?P?F?R?U?E?C?$"})
    }
}

/// A tunnel; its identifier is named as its kind names it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Tunnel")]
struct TunnelPart {
    /// Its kind.
    #[serde(rename = "type")]
    kind: TunnelKind,
    /// VXLAN and Geneve: network identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    vni: Option<u32>,
    /// GRE: key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<u32>,
    /// ERSPAN: session.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u32>,
    /// `EoIP`: tunnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<u32>,
    /// MPLS: first label.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<u32>,
    /// GTP-U: tunnel endpoint identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    teid: Option<u32>,
    /// ESP: security parameters index.
    #[serde(skip_serializing_if = "Option::is_none")]
    spi: Option<u32>,
    /// WireGuard: receiver index.
    #[serde(skip_serializing_if = "Option::is_none")]
    receiver: Option<u32>,
    /// Sender of the carrying packet.
    src: IpAddr,
    /// Receiver of the carrying packet.
    dst: IpAddr,
}

impl TunnelPart {
    fn new(tunnel: &Tunnel) -> Self {
        let named = |kinds: &[TunnelKind]| tunnel.id.filter(|_| kinds.contains(&tunnel.kind));
        Self {
            kind: tunnel.kind,
            vni: named(&[TunnelKind::Vxlan, TunnelKind::Geneve]),
            key: named(&[TunnelKind::Gre]),
            session: named(&[TunnelKind::Erspan, TunnelKind::L2tp]),
            tunnel: named(&[TunnelKind::Eoip]),
            label: named(&[TunnelKind::Mpls]),
            teid: named(&[TunnelKind::GtpU]),
            spi: named(&[TunnelKind::Esp]),
            receiver: named(&[TunnelKind::Wireguard]),
            src: tunnel.src,
            dst: tunnel.dst,
        }
    }
}

impl End {
    const fn new(end: Endpoint, side: Side) -> Self {
        let counters = side.counters;
        Self {
            ip: end.ip,
            port: end.port,
            mac: side.mac,
            next_hop: side.next_hop,
            packets: counters.packets,
            frame_bytes: counters.frame_bytes,
            ip_bytes: counters.ip_bytes,
            payload_bytes: counters.payload_bytes,
        }
    }
}

impl TcpPart {
    const fn new(tcp: TcpFacts) -> Self {
        let flags = FlagPart { orig: Flags(tcp.orig_flags), resp: Flags(tcp.resp_flags) };
        Self { state: tcp.state, history: tcp.history, flags }
    }
}

impl<'a> FlowLine<'a> {
    /// The record as it is written.
    pub(super) fn new(record: &'a FlowRecord, end_reason: EndReason, name: Option<&'a KnownName>) -> Self {
        let app = record.app.as_deref();
        Self {
            schema: FLOW_SCHEMA,
            observation_point: &record.point,
            start: record.start,
            end: record.end,
            protocol: record.tuple.protocol,
            orig: End::new(record.tuple.orig, record.orig),
            resp: End::new(record.tuple.resp, record.resp),
            community_id: community_id(&record.tuple, 0),
            vlans: &record.vlans,
            tunnels: record.tunnels.iter().map(TunnelPart::new).collect(),
            fragments: record.fragments,
            tcp: record.tcp.map(TcpPart::new),
            name: name.map(|known| &*known.name),
            name_known_by: name.map(|known| known.by),
            end_reason,
            tls: app.and_then(|app| app.tls.as_ref()),
            quic: app.and_then(|app| app.quic),
            dns: app.map_or(&[], |app| &app.dns),
            dns_more: app.map(|app| app.dns_more).filter(|more| *more > 0),
            http: app.and_then(|app| app.http.as_ref()),
            socks: app.and_then(|app| app.socks.as_ref()),
            ssh: app.and_then(|app| app.ssh.as_deref()),
            proxy: app.and_then(|app| app.proxy),
            openvpn: app.and_then(|app| app.openvpn),
            echo: app.and_then(|app| app.echo),
            magic: app.and_then(|app| app.magic),
            mining: app.and_then(|app| app.mining.as_deref()),
            looks_encrypted: app.is_some_and(|app| app.looks_encrypted),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(fast_format::rfc3339(*time).as_str())
}

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn mac<S: Serializer>(mac: &Option<Mac>, serializer: S) -> Result<S::Ok, S::Error> {
    match *mac {
        Some(mac) => serializer.serialize_str(fast_format::mac(mac).as_str()),
        None => serializer.serialize_none(),
    }
}

/// The published JSON Schema of a flow record.
pub fn json_schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<FlowLine<'static>>().to_value()
}
