//! Which packets belong to an alert.
//!
//! Contract: packets to and from the addresses of the workload that it is about and of the hops and witnesses that it names, packets between the ends of its
//! flow, as sent and as translated, and frames with the workload's MAC as their sender, whatever they carry; inside of tunnels, too, and what
//! ARP says of these addresses and this MAC. Limits: an alert about neither a flow nor a workload with an address selects nothing.
//! Design: addresses, not flows, since a judgement rests on what else the same sender did.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::alert::Alert;
use crate::decode::{Decoded, LinkType, TunnelPorts, arp_claim, decode, innermost, sender};
use crate::input::{Attachment, Mac};

/// What to copy out of the rings.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    addresses: BTreeSet<IpAddr>,
    pairs: BTreeSet<(IpAddr, IpAddr)>,
    senders: BTreeSet<Mac>,
    tunnels: TunnelPorts,
}

impl Selection {
    /// What belongs to an alert whose workload is in these networks.
    pub fn of(alert: &Alert, networks: &[Attachment]) -> Self {
        let mut selection = Self::of_addresses(networks.iter().flat_map(|network| network.addresses.iter().copied()));
        selection.senders.extend(networks.iter().filter_map(|network| network.mac));
        if let Some(hop) = &alert.missing_hop {
            selection.addresses.extend(hop.expected.iter().filter_map(|text| leading_address(text)));
        }
        let Some(flow) = &alert.flow else { return selection.with(&alert.witnesses) };
        let tuple = flow.tuple();
        if selection.addresses.is_empty() {
            selection.addresses.insert(tuple.orig.ip);
        }
        selection.pairs.insert(in_order(tuple.orig.ip, tuple.resp.ip));
        let translated = flow.translated.as_ref().map(|other| in_order(other.orig.ip, other.resp.ip));
        selection.pairs.extend(translated);
        selection.with(&alert.witnesses)
    }

    fn with(mut self, addresses: &[IpAddr]) -> Self {
        self.addresses.extend(addresses);
        self
    }

    /// Packets to and from these addresses.
    pub fn of_addresses(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { addresses: addresses.into_iter().collect(), ..Self::default() }
    }

    /// Whether it selects nothing.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.pairs.is_empty() && self.senders.is_empty()
    }

    /// Whether a packet belongs to it.
    pub fn takes(&self, link: LinkType, wire_len: u32, data: &[u8]) -> bool {
        let headers = match decode(link, wire_len, data) {
            Ok(Decoded::Ip(headers)) => headers,
            Ok(Decoded::NonIp) => return self.takes_claim(link, data) || self.takes_sender(sender(link, data)),
            Err(_) => return self.takes_sender(sender(link, data)),
        };
        if self.takes_sender(headers.src_mac) || self.takes_ends(headers.src, headers.dst) {
            return true;
        }
        let (inner, _) = innermost(data, &headers, &self.tunnels);
        self.takes_ends(inner.src, inner.dst)
    }

    fn takes_sender(&self, mac: Option<Mac>) -> bool {
        mac.is_some_and(|mac| self.senders.contains(&mac))
    }

    fn takes_claim(&self, link: LinkType, data: &[u8]) -> bool {
        let Some(claim) = arp_claim(link, data) else { return false };
        let macs = [Some(claim.mac), claim.src_mac];
        self.addresses.contains(&claim.ip) || macs.into_iter().flatten().any(|mac| self.senders.contains(&mac))
    }

    fn takes_ends(&self, src: IpAddr, dst: IpAddr) -> bool {
        self.addresses.contains(&src) || self.addresses.contains(&dst) || self.pairs.contains(&in_order(src, dst))
    }
}

fn in_order(one: IpAddr, other: IpAddr) -> (IpAddr, IpAddr) {
    (one.min(other), one.max(other))
}

/// `172.20.0.2 (vpn-1)`, or the address alone.
fn leading_address(text: &str) -> Option<IpAddr> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn takes(selection: &Selection, src: [u8; 4], dst: [u8; 4]) -> bool {
        let mut frame = Vec::new();
        let step = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(src, dst, 64).udp(1, 2);
        step.write(&mut frame, b"x").expect("a buffer takes all");
        selection.takes(LinkType::ETHERNET, 64, &frame)
    }

    #[test]
    fn packets_of_an_address_and_between_two_ends_are_taken_and_no_others() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let mut selection = Selection::of_addresses([address("192.0.2.1")]);
        selection.pairs.insert(in_order(address("198.51.100.9"), address("192.0.2.7")));
        assert!(takes(&selection, [192, 0, 2, 1], [203, 0, 113, 1]));
        assert!(
            takes(&selection, [192, 0, 2, 7], [198, 51, 100, 9])
                && takes(&selection, [198, 51, 100, 9], [192, 0, 2, 7])
        );
        assert!(!takes(&selection, [192, 0, 2, 7], [203, 0, 113, 1]), "one of a pair alone is somebody else's traffic");
        assert!(!takes(&Selection::default(), [192, 0, 2, 7], [203, 0, 113, 1]));
    }

    #[test]
    fn what_a_workload_sends_under_another_address_is_taken_by_its_mac() {
        let selection = Selection { senders: BTreeSet::from([Mac([2; 6])]), ..Selection::default() };
        assert!(takes(&selection, [192, 0, 2, 7], [203, 0, 113, 1]));
        let other = Selection { senders: BTreeSet::from([Mac([4; 6])]), ..Selection::default() };
        assert!(!takes(&other, [192, 0, 2, 7], [203, 0, 113, 1]), "the one that it is sent to is not its sender");
        let mut claim = vec![9; 6];
        claim.extend(
            [[2; 6].as_slice(), &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &[2; 6], &[192, 0, 2, 8], &[9; 6], &[192, 0, 2, 9]]
                .concat(),
        );
        assert!(selection.takes(LinkType::ETHERNET, 42, &claim));
        assert!(!other.takes(LinkType::ETHERNET, 42, &claim));
    }

    #[test]
    fn frames_that_nothing_decodes_are_taken_by_their_sender() {
        let selection = Selection { senders: BTreeSet::from([Mac([2; 6])]), ..Selection::default() };
        let other = Selection { senders: BTreeSet::from([Mac([4; 6])]), ..Selection::default() };
        let of_its_own = [&[4; 6][..], &[2; 6], &[0x88, 0xb5], &[0; 46]].concat();
        let cut_short = [&[4; 6][..], &[2; 6], &[8, 0, 0x45]].concat();
        for frame in [of_its_own, cut_short] {
            assert!(selection.takes(LinkType::ETHERNET, 60, &frame));
            assert!(!other.takes(LinkType::ETHERNET, 60, &frame));
        }
    }

    #[test]
    fn a_hop_is_found_by_the_address_in_its_text() {
        assert_eq!(leading_address("172.20.0.2 (vpn-1)"), "172.20.0.2".parse().ok());
        assert_eq!(leading_address("any of squid*"), None);
    }
}
