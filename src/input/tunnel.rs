//! Tunnels: packets inside packets.
//!
//! Contract: a tunnel is named by what its header says; its ends are the addresses of the header that carries it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How a packet was carried inside another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TunnelKind {
    /// IPv4 in IPv4, IPv6 in IPv6, IPv4 in IPv6 (RFC 2003, RFC 2473).
    IpInIp,
    /// IPv6 in IPv4 (RFC 4213).
    #[serde(rename = "6in4")]
    SixInFour,
    /// GRE (RFC 2784, RFC 2890).
    Gre,
    /// ERSPAN over GRE.
    Erspan,
    /// VXLAN (RFC 7348).
    Vxlan,
    /// Geneve (RFC 8926).
    Geneve,
    /// GTP-U (3GPP TS 29.281).
    GtpU,
    /// Teredo (RFC 4380).
    Teredo,
    /// Ethernet in IP (RFC 3378, RFC 8986).
    #[serde(rename = "etherip")]
    EtherIp,
    /// Ethernet over GRE as `MikroTik` does it.
    Eoip,
    /// MPLS in IP or UDP (RFC 4023, RFC 7510).
    Mpls,
    /// L2TP (RFC 2661, RFC 3931).
    L2tp,
    /// CAPWAP data (RFC 5415).
    Capwap,
    /// AYIYA.
    Ayiya,
    /// WireGuard; what it carries is encrypted.
    Wireguard,
    /// ESP (RFC 4303); what it carries is encrypted.
    Esp,
}

impl TunnelKind {
    /// Its name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IpInIp => "ip_in_ip",
            Self::SixInFour => "6in4",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::GtpU => "gtp_u",
            Self::Teredo => "teredo",
            Self::EtherIp => "etherip",
            Self::Eoip => "eoip",
            Self::Mpls => "mpls",
            Self::L2tp => "l2tp",
            Self::Capwap => "capwap",
            Self::Ayiya => "ayiya",
            Self::Wireguard => "wireguard",
            Self::Esp => "esp",
        }
    }
}

/// A tunnel that a packet went through, or that a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tunnel {
    /// Its kind.
    pub kind: TunnelKind,
    /// VNI, GRE key or PPTP call, ERSPAN session, TEID, SPI, `EoIP` tunnel, L2TP tunnel and session, first label or peer index; `None` where the kind has none or it is absent.
    pub id: Option<u32>,
    /// Sender of the carrying packet.
    pub src: IpAddr,
    /// Receiver of the carrying packet.
    pub dst: IpAddr,
}
