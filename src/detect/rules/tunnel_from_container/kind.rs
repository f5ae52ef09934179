//! Kinds of tunnels, as the configuration names them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::TunnelKind;

/// How a container carries traffic inside other traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "TunnelName")]
pub enum Kind {
    /// IP in IP.
    IpInIp,
    /// IPv6 in IPv4.
    #[serde(rename = "6in4")]
    SixInFour,
    /// GRE.
    Gre,
    /// ERSPAN over GRE.
    Erspan,
    /// VXLAN.
    Vxlan,
    /// Geneve.
    Geneve,
    /// GTP-U.
    GtpU,
    /// Teredo.
    Teredo,
    /// Ethernet in IP.
    #[serde(rename = "etherip")]
    EtherIp,
    /// Ethernet over GRE as `MikroTik` does it.
    Eoip,
    /// MPLS in IP or UDP.
    Mpls,
    /// L2TP.
    L2tp,
    /// CAPWAP.
    Capwap,
    /// AYIYA.
    Ayiya,
    /// WireGuard.
    Wireguard,
    /// ESP.
    Esp,
    /// `OpenVPN`.
    Openvpn,
    /// SSH at another port than 22.
    Ssh,
    /// Data in ICMP echo.
    Icmp,
    /// Data in names and their answers, or other data at their port.
    Dns,
    /// An IP protocol that no container speaks.
    IpProtocol,
    /// Packets that carry a source route: IPv4 source routes, IPv6 routing headers.
    SourceRoute,
}

impl Kind {
    /// Its name for a person.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::IpInIp => "IP in IP",
            Self::SixInFour => "IPv6 in IPv4",
            Self::Gre => "GRE",
            Self::Erspan => "ERSPAN",
            Self::Vxlan => "VXLAN",
            Self::Geneve => "Geneve",
            Self::GtpU => "GTP-U",
            Self::Teredo => "Teredo",
            Self::EtherIp => "Ethernet in IP",
            Self::Eoip => "EoIP",
            Self::Mpls => "MPLS",
            Self::L2tp => "L2TP",
            Self::Capwap => "CAPWAP",
            Self::Ayiya => "AYIYA",
            Self::Wireguard => "WireGuard",
            Self::Esp => "ESP",
            Self::Openvpn => "OpenVPN",
            Self::Ssh => "SSH",
            Self::Icmp => "ICMP",
            Self::Dns => "DNS",
            Self::IpProtocol => "IP protocol",
            Self::SourceRoute => "source route",
        }
    }
}

impl From<TunnelKind> for Kind {
    fn from(kind: TunnelKind) -> Self {
        match kind {
            TunnelKind::IpInIp => Self::IpInIp,
            TunnelKind::SixInFour => Self::SixInFour,
            TunnelKind::Gre => Self::Gre,
            TunnelKind::Erspan => Self::Erspan,
            TunnelKind::Vxlan => Self::Vxlan,
            TunnelKind::Geneve => Self::Geneve,
            TunnelKind::GtpU => Self::GtpU,
            TunnelKind::Teredo => Self::Teredo,
            TunnelKind::EtherIp => Self::EtherIp,
            TunnelKind::Eoip => Self::Eoip,
            TunnelKind::Mpls => Self::Mpls,
            TunnelKind::L2tp => Self::L2tp,
            TunnelKind::Capwap => Self::Capwap,
            TunnelKind::Ayiya => Self::Ayiya,
            TunnelKind::Wireguard => Self::Wireguard,
            TunnelKind::Esp => Self::Esp,
        }
    }
}
