//! What ARP and neighbour discovery claim on a link: this address is at this MAC.
//!
//! Contract: made from packets by the flow meter, when a claim is new or differs from the last one of that address at that point, or when its sender asks
//! for an address that it did not ask for lately; so a replay makes the same ones. Source: RFC 826, RFC 5227 (ARP), RFC 4861 (neighbour advertisements and solicitations).

use std::net::IpAddr;

use super::{Mac, ObservationPoint};

/// How an address was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimKind {
    /// An ARP request names its sender.
    ArpRequest,
    /// An ARP reply, asked for or not (gratuitous).
    ArpReply,
    /// A neighbour solicitation with its source link-layer address.
    NeighbourSolicitation,
    /// A neighbour advertisement with its target link-layer address.
    NeighbourAdvertisement,
}

impl ClaimKind {
    /// For a person.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ArpRequest => "ARP request",
            Self::ArpReply => "ARP reply",
            Self::NeighbourSolicitation => "neighbour solicitation",
            Self::NeighbourAdvertisement => "neighbour advertisement",
        }
    }
}

/// Somebody says that an address is at a MAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighbourClaim {
    /// Where it was seen.
    pub point: ObservationPoint,
    /// How.
    pub kind: ClaimKind,
    /// The address claimed; never unspecified (a probe claims nothing).
    pub ip: IpAddr,
    /// The MAC that it is said to be at.
    pub mac: Mac,
    /// Whose MAC it asks for, where it asks for another's.
    pub asks: Option<IpAddr>,
    /// Source MAC of the frame, where it differs from the one claimed.
    pub frame_mac: Option<Mac>,
    /// Destination MAC of the frame, where the link has one.
    pub to: Option<Mac>,
}
