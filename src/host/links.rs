//! The links of this network namespace with their peers, bridges, promiscuity and XDP programs, over netlink.
//!
//! Contract: one dump of `RTM_GETLINK`; the parser is total, a message or attribute it does not know is skipped.
//! Limits: [`MAX_LINKS`]. Source: rtnetlink(7), `linux/if_link.h`.

use super::HostError;
use super::netlink::{self, More, attributes, number};

/// Far above what a host with a thousand containers on several networks has.
pub(super) const MAX_LINKS: usize = 32_768;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
/// Length of `struct ifinfomsg`.
const IFINFO: usize = 16;

/// One link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostLink {
    pub(super) index: u32,
    pub(super) name: String,
    /// Of a veth: the index of the other end, as the other end's namespace counts.
    pub(super) peer: Option<u32>,
    /// The bridge that it is a port of.
    pub(super) master: Option<u32>,
    /// How many ask it to take in every frame.
    pub(super) promiscuity: Option<u32>,
    /// Whether an XDP program is attached.
    pub(super) xdp: bool,
}

/// All links of this network namespace.
pub(super) fn host_links() -> Result<Vec<HostLink>, HostError> {
    let mut links = Vec::new();
    netlink::dump(RTM_GETLINK, &[0; IFINFO], |kind, body| take(kind, body, &mut links))?;
    Ok(links)
}

fn take(kind: u16, body: &[u8], links: &mut Vec<HostLink>) -> Result<More, HostError> {
    if kind == RTM_NEWLINK {
        links.extend(link(body));
    }
    if links.len() > MAX_LINKS { Err(HostError::TooMany { limit: MAX_LINKS }) } else { Ok(More::Yes) }
}

fn link(body: &[u8]) -> Option<HostLink> {
    const IFNAME: u16 = 3;
    const LINK: u16 = 5;
    const MASTER: u16 = 10;
    const PROMISCUITY: u16 = 30;
    const XDP: u16 = 43;
    let mut link = HostLink { index: number(body, 4)?, ..HostLink::default() };
    body.get(..IFINFO)?;
    for (kind, value) in attributes(body, IFINFO) {
        match kind {
            IFNAME => String::from_utf8_lossy(value).trim_end_matches('\0').clone_into(&mut link.name),
            LINK => link.peer = number(value, 0),
            MASTER => link.master = number(value, 0),
            PROMISCUITY => link.promiscuity = number(value, 0),
            XDP => link.xdp = has_xdp(value),
            _ => {}
        }
    }
    Some(link)
}

/// `IFLA_XDP_ATTACHED` says in which mode a program runs; 0 is none.
fn has_xdp(nested: &[u8]) -> bool {
    const ATTACHED: u16 = 2;
    attributes(nested, 0).any(|(kind, value)| kind == ATTACHED && value.first().is_some_and(|mode| *mode != 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::netlink::build::{attribute, done, message};
    use super::super::netlink::messages;
    use super::*;

    fn parse(answer: &[u8]) -> Result<(More, Vec<HostLink>), HostError> {
        let mut links = Vec::new();
        let more = messages(answer, &mut |kind, body| take(kind, body, &mut links))?;
        Ok((more, links))
    }

    fn veth() -> Vec<u8> {
        let mut body = vec![0; IFINFO];
        body[4..8].copy_from_slice(&5_u32.to_ne_bytes());
        body.extend(attribute(3, b"veth5981c7a\0"));
        body.extend(attribute(5, &4_u32.to_ne_bytes()));
        body.extend(attribute(10, &3_u32.to_ne_bytes()));
        body.extend(attribute(30, &1_u32.to_ne_bytes()));
        // IFLA_XDP, marked as nested: the mode, then the program's number.
        let xdp = [attribute(2, &[2]), attribute(4, &77_u32.to_ne_bytes())].concat();
        body.extend(attribute(0x802b, &xdp));
        message(RTM_NEWLINK, &body)
    }

    #[test]
    fn a_veth_is_read_with_its_peer_bridge_promiscuity_and_program() {
        let (more, links) = parse(&[veth(), done()].concat()).expect("answer");
        let name = "veth5981c7a".into();
        let expected = HostLink { index: 5, name, peer: Some(4), master: Some(3), promiscuity: Some(1), xdp: true };
        assert_eq!((more, links), (More::No, vec![expected]));
    }

    #[test]
    fn a_link_without_a_program_says_so() {
        assert!(!has_xdp(&attribute(2, &[0])));
        assert!(!has_xdp(&[]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..80_usize) {
            let _ = parse(&bytes);
            let mut broken = veth();
            for (place, byte) in broken.iter_mut().zip(&bytes) {
                *place ^= if byte % 7 == 0 { *byte } else { 0 };
            }
            let _ = parse(broken.get(..cut).unwrap_or(&broken));
        }
    }
}
