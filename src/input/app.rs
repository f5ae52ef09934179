//! What the first payload bytes of a flow said: names, questions, requests.
//!
//! Contract: the sender chooses the text; the printing code must escape it. Every list and string is bounded by its parser.
//! Design: a fact that was not seen is absent, never empty; [`AppFacts`] is kept apart from the flow's counters, because
//! most flows have none.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// First-payload facts of one flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AppFacts {
    /// A TLS `ClientHello`, over TCP, inside QUIC, or of DTLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsHello>,
    /// A QUIC Initial packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quic: Option<QuicInitial>,
    /// DNS questions with their answers: the first few that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<DnsMessage>,
    /// DNS questions after those, repeated ones too.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dns_more: u64,
    /// The first HTTP request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpRequest>,
    /// A SOCKS request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socks: Option<SocksRequest>,
    /// An SSH identification string (RFC 4253 §4.2), the client's where both were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// A PROXY protocol header: whom the connection is made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyHeader>,
    /// An `OpenVPN` handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openvpn: Option<OpenVpn>,
    /// ICMP echo replies that are not what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<EchoFacts>,
    /// Another protocol, known by its first bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub magic: Option<Magic>,
    /// A method of mining that JSON-RPC named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mining: Option<Cow<'static, str>>,
    /// The originator's first bytes are of no known protocol and look like ciphertext.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub looks_encrypted: bool,
}

/// A protocol that is known by its first bytes, and of which nothing more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Magic {
    /// HTTP/2 without TLS.
    Http2,
    /// SMB.
    Smb,
    /// Remote desktop.
    Rdp,
    /// VNC.
    Vnc,
    /// FTP, by the server's greeting.
    Ftp,
    /// SMTP, by the server's greeting.
    Smtp,
    /// POP3, by the server's greeting.
    Pop3,
    /// IMAP, by the server's greeting.
    Imap,
    /// `MySQL`, by the server's greeting.
    Mysql,
    /// `PostgreSQL`.
    Postgresql,
    /// Redis.
    Redis,
    /// MQTT.
    Mqtt,
    /// `BitTorrent`.
    Bittorrent,
    /// A node of Bitcoin or of a chain that was made from it.
    Bitcoin,
    /// A node of Monero.
    Monero,
}

impl Magic {
    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http2 => "http2",
            Self::Smb => "smb",
            Self::Rdp => "rdp",
            Self::Vnc => "vnc",
            Self::Ftp => "ftp",
            Self::Smtp => "smtp",
            Self::Pop3 => "pop3",
            Self::Imap => "imap",
            Self::Mysql => "mysql",
            Self::Postgresql => "postgresql",
            Self::Redis => "redis",
            Self::Mqtt => "mqtt",
            Self::Bittorrent => "bittorrent",
            Self::Bitcoin => "bitcoin",
            Self::Monero => "monero",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A TLS `ClientHello` (RFC 8446 §4.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TlsHello {
    /// Server name indication (RFC 6066 §3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Application protocols offered (RFC 7301).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alpn: Vec<String>,
    /// JA4 client fingerprint; absent where the hello was not captured to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ja4: Option<String>,
}

/// A QUIC Initial packet of a client (RFC 9000 §17.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct QuicInitial {
    /// Version, as on the wire: 1 for RFC 9000.
    pub version: u32,
}

/// A DNS question, and its answer where one was seen (RFC 1035 §4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DnsMessage {
    /// Name of the first question, without the final dot.
    pub query: String,
    /// Its type: `A`, `AAAA`, `TXT`, … or `TYPE65280`.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// How it was answered: `NOERROR`, `NXDOMAIN`, …; absent where no answer was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rcode: Option<Cow<'static, str>>,
}

/// An HTTP/1 request (RFC 9112).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HttpRequest {
    /// Method.
    pub method: String,
    /// The start of the target's path, without what follows a `?`: that may be secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `Host` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Target of `CONNECT`: `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<String>,
}

/// A SOCKS request (version 4, 4a; RFC 1928).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SocksRequest {
    /// 4 or 5.
    pub version: u8,
    /// `connect`, `bind`, `udp_associate`.
    pub command: String,
    /// Where to: `host:port`.
    pub target: String,
}

/// A PROXY protocol header, version 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProxyHeader {
    /// 1 or 2.
    pub version: u8,
    /// The client's address and port, where stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<(IpAddr, u16)>,
    /// The address and port that the client connected to, where stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<(IpAddr, u16)>,
}

/// The first message of an `OpenVPN` control channel that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OpenVpn {
    /// Which it was.
    pub reset: OpenVpnReset,
    /// How the control channel is protected.
    pub protection: OpenVpnProtection,
}

/// A message that opens an `OpenVPN` control channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpenVpnReset {
    /// `P_CONTROL_HARD_RESET_CLIENT_V2`.
    ClientV2,
    /// `P_CONTROL_HARD_RESET_CLIENT_V3`.
    ClientV3,
    /// `P_CONTROL_HARD_RESET_SERVER_V2`.
    ServerV2,
}

impl OpenVpnReset {
    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientV2 => "client_v2",
            Self::ClientV3 => "client_v3",
            Self::ServerV2 => "server_v2",
        }
    }
}

/// How an `OpenVPN` control channel is protected, beside by TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpenVpnProtection {
    /// Not.
    None,
    /// Signed by a shared key.
    TlsAuth,
    /// Encrypted by a shared key.
    TlsCrypt,
    /// Encrypted by a key of the client's own.
    TlsCryptV2,
}

impl OpenVpnProtection {
    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::TlsAuth => "tls_auth",
            Self::TlsCrypt => "tls_crypt",
            Self::TlsCryptV2 => "tls_crypt_v2",
        }
    }
}

/// ICMP echo replies that are not what was asked for. A host's own replies to ping repeat the request; those of a tunnel do not.
/// How many requests and replies there were is in the flow's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EchoFacts {
    /// Replies that say something else than their request, or more.
    pub odd_replies: u32,
    /// Replies to which no request was seen, or one that was forgotten since.
    pub unasked_replies: u32,
}
