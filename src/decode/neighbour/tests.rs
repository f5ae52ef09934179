//! Messages as RFC 826 and RFC 4861 lay them out, built here byte by byte, and what is not to be believed.

use proptest::prelude::*;

use super::*;
use crate::decode::{Decoded, decode};

const VICTIM: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 0x20];
const ALL: [u8; 6] = [0xff; 6];

fn ethernet(tags: &[u16], kind: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = [ALL, SENDER].concat();
    for tag in tags {
        frame.extend(0x8100_u16.to_be_bytes());
        frame.extend(tag.to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(body);
    frame
}

fn arp_message(operation: u8, ip: [u8; 4], mac: [u8; 6]) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, operation][..], &mac, &ip, &[0; 6], &[10, 0, 0, 1]].concat()
}

fn arp_of(frame: &[u8]) -> Option<Claim> {
    arp_claim(LinkType::ETHERNET, frame)
}

/// IPv6, extension headers, then a neighbour message with `options`.
fn nd(kind: u8, src: [u8; 16], hops: u8, extension: bool, options: &[u8]) -> Vec<u8> {
    let message = [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &target(), options].concat();
    let extensions: &[u8] = if extension { &[58, 0, 5, 2, 0, 0, 1, 0] } else { &[] };
    let next = if extension { 0 } else { 58 };
    let len = u16::try_from(message.len() + extensions.len()).expect("short");
    let head = [&[0x60, 0, 0, 0][..], &len.to_be_bytes(), &[next, hops], &src, &target()].concat();
    ethernet(&[], 0x86dd, &[&head[..], extensions, &message].concat())
}

fn target() -> [u8; 16] {
    [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10]
}

fn source() -> [u8; 16] {
    [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20]
}

fn link_address(kind: u8, mac: [u8; 6]) -> Vec<u8> {
    [&[kind, 1][..], &mac].concat()
}

fn nd_of(frame: &[u8]) -> Option<Claim> {
    let wire_len = u32::try_from(frame.len()).expect("short");
    match decode(LinkType::ETHERNET, wire_len, frame) {
        Ok(Decoded::Ip(headers)) => neighbour_claim(&headers, frame),
        other => panic!("{other:?}"),
    }
}

#[test]
fn arp_names_its_sender_behind_tags_and_on_cooked_links() {
    for (operation, kind) in [(1, ClaimKind::ArpRequest), (2, ClaimKind::ArpReply)] {
        let message = arp_message(operation, [10, 0, 0, 16], VICTIM);
        for tags in [&[][..], &[7], &[7, 8]] {
            let claim = arp_of(&ethernet(tags, 0x0806, &message)).expect("a claim");
            assert_eq!((claim.kind, claim.ip), (kind, IpAddr::from([10, 0, 0, 16])));
            assert_eq!((claim.mac, claim.src_mac, claim.dst_mac), (Mac(VICTIM), Some(Mac(SENDER)), Some(Mac(ALL))));
        }
        let cooked = [&[0, 0, 0, 1, 0, 6][..], &SENDER, &[0, 0, 8, 6], &message].concat();
        let claim = arp_claim(LinkType::LINUX_SLL, &cooked).expect("a claim");
        assert_eq!((claim.mac, claim.src_mac), (Mac(VICTIM), Some(Mac(SENDER))));
    }
}

#[test]
fn a_probe_and_what_is_not_ethernet_with_ipv4_claim_nothing() {
    assert_eq!(arp_of(&ethernet(&[], 0x0806, &arp_message(1, [0; 4], VICTIM))), None, "RFC 5227: a probe");
    let good = arp_message(2, [10, 0, 0, 16], VICTIM);
    for (at, value) in [(1, 6), (2, 0x86), (4, 8), (5, 16), (6, 1), (7, 3), (7, 8)] {
        let mut message = good.clone();
        message[at] = value;
        assert_eq!(arp_of(&ethernet(&[], 0x0806, &message)), None, "byte {at} is {value}");
    }
    assert_eq!(arp_of(&ethernet(&[], 0x0806, &good[..27])), None, "cut");
    assert_eq!(arp_of(&ethernet(&[], 0x8035, &good)), None, "reverse ARP");
    assert_eq!(arp_of(&ethernet(&[], 0x0806, &[&good[..], &[0; 18]].concat())).map(|c| c.mac), Some(Mac(VICTIM)));
}

#[test]
fn neighbour_discovery_claims_source_or_target() {
    for extension in [false, true] {
        let asked = nd_of(&nd(135, source(), 255, extension, &link_address(1, SENDER))).expect("a claim");
        assert_eq!((asked.kind, asked.ip, asked.mac), (ClaimKind::NeighbourSolicitation, source().into(), Mac(SENDER)));
        let claim = nd_of(&nd(136, source(), 255, extension, &link_address(2, VICTIM))).expect("a claim");
        assert_eq!(
            (claim.kind, claim.ip, claim.mac),
            (ClaimKind::NeighbourAdvertisement, target().into(), Mac(VICTIM))
        );
        assert_eq!((claim.src_mac, claim.dst_mac), (Some(Mac(SENDER)), Some(Mac(ALL))));
    }
}

#[test]
fn what_a_host_would_throw_away_claims_nothing() {
    let option = link_address(2, VICTIM);
    assert_eq!(nd_of(&nd(136, source(), 254, false, &option)), None, "it came through a router");
    assert_eq!(nd_of(&nd(135, [0; 16], 255, false, &link_address(1, SENDER))), None, "duplicate address detection");
    assert_eq!(nd_of(&nd(136, source(), 255, false, &[])), None, "no address in it");
    assert_eq!(nd_of(&nd(136, source(), 255, false, &link_address(1, VICTIM))), None, "an option of the other kind");
    assert_eq!(nd_of(&nd(136, source(), 255, false, &[&option[..], &[14, 0]].concat())), None, "an option of length 0");
    assert_eq!(nd_of(&nd(136, source(), 255, false, &[&option[..], &[14]].concat())), None, "half an option");
    assert_eq!(nd_of(&nd(136, source(), 255, false, &[2, 2].repeat(8))), None, "no Ethernet address");
    let mut coded = nd(136, source(), 255, false, &option);
    coded[14 + 40 + 1] = 1;
    assert_eq!(nd_of(&coded), None, "a code");
    let mut group = nd(136, source(), 255, false, &option);
    group[14 + 40 + 8] = 0xff;
    assert_eq!(nd_of(&group), None, "a multicast target");
    let mut redirect = nd(137, source(), 255, false, &option);
    assert_eq!(nd_of(&redirect), None, "neither of the two");
    redirect[14 + 6] = 44;
    assert_eq!(nd_of(&redirect), None, "a fragment header that is none");
}

#[test]
fn the_first_option_of_a_kind_counts_and_others_are_stepped_over() {
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    let options = [&nonce[..], &link_address(2, VICTIM), &link_address(2, SENDER), &nonce].concat();
    assert_eq!(nd_of(&nd(136, source(), 255, false, &options)).map(|claim| claim.mac), Some(Mac(VICTIM)));
    let frame = nd(136, source(), 255, false, &options);
    let Ok(Decoded::Ip(headers)) = decode(LinkType::ETHERNET, u32::try_from(frame.len()).expect("short"), &frame)
    else {
        panic!("IP")
    };
    let cut = &frame[..frame.len() - 5];
    assert_eq!(neighbour_claim(&headers, cut).map(|claim| claim.mac), Some(Mac(VICTIM)), "the end was not captured");
}

proptest! {
    /// Whatever is in the option field, a claim is an address that stands there, never the unspecified one.
    #[test]
    fn any_options_are_survived(
        kind in 135_u8..=136,
        options in proptest::collection::vec(prop_oneof![0_u8..=4, any::<u8>()], 0..64),
        hops in prop_oneof![4 => Just(255_u8), 1 => any::<u8>()],
        extension: bool,
        cut in 0_usize..64,
    ) {
        let frame = nd(kind, source(), hops, extension, &options);
        let wire_len = u32::try_from(frame.len()).expect("short");
        let frame = &frame[..frame.len().saturating_sub(cut)];
        if let Ok(Decoded::Ip(headers)) = decode(LinkType::ETHERNET, wire_len, frame)
            && let Some(claim) = neighbour_claim(&headers, frame)
        {
            prop_assert_eq!(hops, 255);
            prop_assert!(options.windows(6).any(|window| window == claim.mac.0));
            prop_assert_eq!(claim.ip, IpAddr::from(if kind == 135 { source() } else { target() }));
        }
    }

    /// Of any bytes behind any tags: an ARP claim is what the message says, and never of a probe.
    #[test]
    fn any_arp_message_is_survived(body in proptest::collection::vec(any::<u8>(), 0..40), good: bool, cut in 0_usize..60) {
        let mut body = body;
        if good && body.len() >= 8 {
            body[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 2]);
        }
        let frame = ethernet(&[7], 0x0806, &body);
        let frame = &frame[..frame.len().saturating_sub(cut)];
        let claim = arp_of(frame);
        let whole = good && body.len() >= 28 && frame.len() >= 18 + 28 && body[14..18] != [0; 4];
        prop_assert!(claim.is_some() || !whole);
        if let Some(claim) = claim {
            prop_assert_eq!(&claim.mac.0[..], &body[8..14]);
            prop_assert!(!claim.ip.is_unspecified());
        }
    }
}
