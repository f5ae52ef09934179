//! Why a frame could not be decoded.
//!
//! Contract: a closed set, because it is a metric label. Where a frame has several faults, the outermost is named.

use std::fmt;

/// Why a frame could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DecodeReason {
    /// The link type of the observation point is not supported.
    UnknownLinkType,
    /// The captured bytes end inside the link header or its VLAN tags.
    TruncatedLink,
    /// More VLAN tags than [`super::VlanStack::MAX`].
    VlanDepth,
    /// More headers below IP than are followed.
    LinkDepth,
    /// The captured bytes end inside the IP header.
    TruncatedIp,
    /// The version nibble is not what the layer below announced.
    IpVersion,
    /// An IPv4 header length below 20.
    IpHeaderLength,
    /// An IPv4 total length below the header length (zero is a GSO frame and fine).
    IpTotalLength,
    /// An extension header or authentication header that was not captured whole, or is longer than the packet.
    TruncatedExtensions,
}

impl DecodeReason {
    /// All reasons, in order.
    pub const ALL: [Self; 9] = [
        Self::UnknownLinkType,
        Self::TruncatedLink,
        Self::VlanDepth,
        Self::LinkDepth,
        Self::TruncatedIp,
        Self::IpVersion,
        Self::IpHeaderLength,
        Self::IpTotalLength,
        Self::TruncatedExtensions,
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownLinkType => "unknown_link_type",
            Self::TruncatedLink => "truncated_link",
            Self::VlanDepth => "vlan_depth",
            Self::LinkDepth => "link_depth",
            Self::TruncatedIp => "truncated_ip",
            Self::IpVersion => "ip_version",
            Self::IpHeaderLength => "ip_header_length",
            Self::IpTotalLength => "ip_total_length",
            Self::TruncatedExtensions => "truncated_extensions",
        }
    }

    /// Its place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for DecodeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_distinct_and_indexed() {
        for (place, reason) in DecodeReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place);
            assert_eq!(DecodeReason::ALL.iter().filter(|other| other.as_str() == reason.as_str()).count(), 1);
        }
    }
}
