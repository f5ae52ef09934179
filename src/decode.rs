//! Bytes to packet headers.
//!
//! Contract: total; never panics, never reads beyond the captured bytes.

/// A link-layer header type, as pcap and pcapng number it (`LINKTYPE_` values).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// Raw IP.
    pub const RAW: Self = Self(101);
    /// Linux cooked capture.
    pub const LINUX_SLL: Self = Self(113);
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: Self = Self(276);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);

    /// Whether packets of this link type can be decoded.
    pub const fn is_supported(self) -> bool {
        matches!(self.0, 1 | 101 | 113 | 276 | 228 | 229)
    }
}
