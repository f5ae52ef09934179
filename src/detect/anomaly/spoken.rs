//! What a flow speaks, by its first bytes, and what its port is for.
//!
//! Contract: positive identification only: a flow whose first bytes say nothing speaks nothing. Limits: what is inside TLS is not seen; ports are those of
//! [`expected`], all others may speak anything. A protocol that turns to TLS (STARTTLS) may begin with it.

use crate::input::{AppFacts, FlowRecord, Magic, Protocol, TunnelKind};

/// A protocol that was identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spoken {
    /// TLS or DTLS.
    Tls,
    /// QUIC.
    Quic,
    /// DNS.
    Dns,
    /// HTTP/1.
    Http,
    /// SOCKS.
    Socks,
    /// SSH.
    Ssh,
    /// `OpenVPN`.
    OpenVpn,
    /// WireGuard.
    WireGuard,
    /// Mining over JSON-RPC.
    Stratum,
    /// Another one.
    Magic(Magic),
}

impl Spoken {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::Dns => "dns",
            Self::Http => "http",
            Self::Socks => "socks",
            Self::Ssh => "ssh",
            Self::OpenVpn => "openvpn",
            Self::WireGuard => "wireguard",
            Self::Stratum => "stratum",
            Self::Magic(magic) => magic.as_str(),
        }
    }

    /// Whether it carries other traffic.
    pub const fn is_carrier(self) -> bool {
        matches!(self, Self::Ssh | Self::Socks | Self::OpenVpn | Self::WireGuard)
    }
}

/// What the first bytes of a flow are.
pub fn spoken(record: &FlowRecord) -> Vec<Spoken> {
    if record.app.is_none() && record.tunnels.is_empty() {
        return Vec::new();
    }
    let wireguard = record.tunnels.iter().any(|tunnel| tunnel.kind == TunnelKind::Wireguard);
    let tunnel = wireguard.then_some(Spoken::WireGuard);
    tunnel.into_iter().chain(record.app.iter().flat_map(|app| said(app))).collect()
}

fn said(app: &AppFacts) -> impl Iterator<Item = Spoken> {
    [
        app.socks.as_ref().map(|_| Spoken::Socks),
        app.http.as_ref().map(|_| Spoken::Http),
        // A hello inside QUIC is QUIC.
        app.tls.as_ref().filter(|_| app.quic.is_none()).map(|_| Spoken::Tls),
        app.quic.map(|_| Spoken::Quic),
        app.dns.first().map(|_| Spoken::Dns),
        app.ssh.as_ref().map(|_| Spoken::Ssh),
        app.openvpn.map(|_| Spoken::OpenVpn),
        app.mining.as_ref().map(|_| Spoken::Stratum),
        app.magic.map(Spoken::Magic),
    ]
    .into_iter()
    .flatten()
}

/// The protocols that a port is for; `None` where anything may be spoken.
pub const fn expected(protocol: Protocol, port: u16) -> Option<&'static [Spoken]> {
    use Spoken::{Dns, Http, Magic as M, Quic, Ssh, Tls};
    match (protocol, port) {
        (Protocol::TCP, 21) => Some(&[M(Magic::Ftp), Tls]),
        (Protocol::TCP, 22) => Some(&[Ssh]),
        (Protocol::TCP, 25 | 587) => Some(&[M(Magic::Smtp), Tls]),
        (Protocol::TCP, 80) => Some(&[Http, M(Magic::Http2)]),
        (Protocol::TCP, 110) => Some(&[M(Magic::Pop3), Tls]),
        (Protocol::TCP, 143) => Some(&[M(Magic::Imap), Tls]),
        // HTTP/2 with prior knowledge is nobody's disguise.
        (Protocol::TCP, 443 | 8443) => Some(&[Tls, M(Magic::Http2)]),
        (Protocol::TCP, 445) => Some(&[M(Magic::Smb)]),
        (Protocol::TCP, 465 | 636 | 853 | 989 | 990 | 993 | 995) => Some(&[Tls]),
        (Protocol::TCP, 3306) => Some(&[M(Magic::Mysql), Tls]),
        (Protocol::TCP, 3389) => Some(&[M(Magic::Rdp), Tls]),
        (Protocol::TCP, 5432) => Some(&[M(Magic::Postgresql), Tls]),
        (Protocol::TCP, 6379) => Some(&[M(Magic::Redis), Tls]),
        (Protocol::UDP, 443 | 853) => Some(&[Quic, Tls]),
        (Protocol::TCP | Protocol::UDP, 53) => Some(&[Dns]),
        (Protocol::UDP, 123) => Some(&[]),
        _ => None,
    }
}

/// What a port is for, in words.
pub fn words(expected: &[Spoken]) -> String {
    let all: Vec<_> = expected.iter().map(|spoken| spoken.as_str()).collect();
    if all.is_empty() { "ntp".to_owned() } else { all.join(" or ") }
}
