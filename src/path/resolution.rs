//! Name resolution by content: DNS over HTTPS, TLS or QUIC at any port.
//!
//! Contract: pure; says what gave it away. Sources: RFC 8484 (`DoH`), RFC 7858 (`DoT`, ALPN `dot`), RFC 9250 (`DoQ`, ALPN `doq`).

use crate::input::FlowRecord;

/// Name resolution that was recognised by content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// `DoH`, `DoT`, `DoQ`.
    pub protocol: &'static str,
    /// For a person: what gave it away.
    pub text: String,
}

/// Whether the flow, by what its first bytes said or by its known endpoint, asks for names.
pub fn by_content(_record: &FlowRecord) -> Option<Resolution> {
    None
}
