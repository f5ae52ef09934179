//! The links of a network namespace, with their peers, bridges, promiscuity and XDP programs: the one reader of `RTM_GETLINK`.
//!
//! Contract: total; a message or attribute that is not known is skipped. Limits: [`MAX_LINKS`] of the host. Source: rtnetlink(7),
//! `linux/if_link.h`.

use nix::sys::socket::SockProtocol;

use super::HostError;
use super::kernel::settings;
use super::netlink::{BUFFER, Message, Netlink, Query, attribute, attributes, number, signed, text};
use crate::input::{InterfaceSettings, Mac};

/// Far above what a host with a thousand containers on several networks has.
pub(super) const MAX_LINKS: usize = 32_768;
/// All links.
pub(super) const LINKS: Query = Query::new("the list of links", RTM_GETLINK);

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
/// Length of `struct ifinfomsg`.
const IFINFO: usize = 16;
/// `IFF_UP`.
const UP: u32 = 1;

/// One link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) mac: Option<Mac>,
    pub(super) up: bool,
    /// `veth`, `bridge`; empty for hardware.
    pub(super) kind: String,
    /// Of a veth: the index of the other end, as the other end's namespace counts.
    pub(super) peer: Option<u32>,
    /// The number of the peer's namespace; without one it is in the same.
    pub(super) peer_netns: Option<i32>,
    /// The bridge that it is a port of.
    pub(super) master: Option<u32>,
    /// How many ask it to take in every frame.
    pub(super) promiscuity: Option<u32>,
    /// Whether an XDP program is attached.
    pub(super) xdp: bool,
    /// What the kernel does with its packets.
    pub(super) settings: Option<InterfaceSettings>,
}

/// All links of the network namespace of the calling thread.
pub(super) fn host_links() -> Result<Vec<Link>, HostError> {
    let mut route = Netlink::open(SockProtocol::NetlinkRoute, 0).map_err(|error| LINKS.failed(error))?;
    let mut links = Vec::new();
    route.dump(&LINKS, &request(), &mut vec![0; BUFFER], |message| {
        links.extend(read(message).filter(|_| links.len() <= MAX_LINKS));
    })?;
    if links.len() > MAX_LINKS {
        return Err(HostError::TooMany { asked: LINKS.asked, limit: MAX_LINKS });
    }
    Ok(links)
}

/// The body of a request for all links, without their counters.
pub(super) fn request() -> Vec<u8> {
    const EXT_MASK: u16 = 29;
    const SKIP_STATS: u32 = 1 << 3;
    [vec![0; IFINFO], attribute(EXT_MASK, &SKIP_STATS.to_ne_bytes())].concat()
}

/// The link that a message describes.
pub(super) fn read(message: &Message<'_>) -> Option<Link> {
    const ADDRESS: u16 = 1;
    const IFNAME: u16 = 3;
    const LINK: u16 = 5;
    const MASTER: u16 = 10;
    const LINKINFO: u16 = 18;
    const AF_SPEC: u16 = 26;
    const PROMISCUITY: u16 = 30;
    const LINK_NETNSID: u16 = 37;
    const XDP: u16 = 43;
    if message.kind != RTM_NEWLINK {
        return None;
    }
    let body = message.body;
    let up = number(body, 8)? & UP != 0;
    let mut link = Link { index: number(body, 4)?, up, ..Link::default() };
    for (kind, value) in attributes(body.get(IFINFO..)?) {
        match kind {
            ADDRESS => link.mac = value.try_into().ok().filter(|mac| *mac != [0; 6]).map(Mac),
            IFNAME => link.name = text(value),
            LINK => link.peer = number(value, 0),
            MASTER => link.master = number(value, 0),
            AF_SPEC => link.settings = settings::of_link(value),
            LINKINFO => link.kind = driver(value),
            PROMISCUITY => link.promiscuity = number(value, 0),
            LINK_NETNSID => link.peer_netns = signed(value, 0),
            XDP => link.xdp = has_xdp(value),
            _ => {}
        }
    }
    Some(link)
}

/// `IFLA_INFO_KIND`.
fn driver(nested: &[u8]) -> String {
    const INFO_KIND: u16 = 1;
    let kind = attributes(nested).find(|(kind, _)| *kind == INFO_KIND);
    kind.map(|(_, value)| text(value)).unwrap_or_default()
}

/// `IFLA_XDP_ATTACHED` says in which mode a program runs; 0 is none.
fn has_xdp(nested: &[u8]) -> bool {
    const ATTACHED: u16 = 2;
    attributes(nested).any(|(kind, value)| kind == ATTACHED && value.first().is_some_and(|mode| *mode != 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u16, body: &[u8]) -> Message<'_> {
        Message { kind, flags: 0, sequence: 0, body }
    }

    fn veth() -> Vec<u8> {
        let mut body = vec![0; IFINFO];
        body[4..8].copy_from_slice(&5_u32.to_ne_bytes());
        body[8..12].copy_from_slice(&0x1003_u32.to_ne_bytes());
        body.extend(attribute(1, &[2, 66, 172, 17, 0, 2]));
        body.extend(attribute(3, b"veth5981c7a\0"));
        body.extend(attribute(5, &4_u32.to_ne_bytes()));
        body.extend(attribute(10, &3_u32.to_ne_bytes()));
        body.extend(attribute(18, &attribute(1, b"veth\0")));
        body.extend(attribute(30, &1_u32.to_ne_bytes()));
        // IFLA_XDP, marked as nested: the mode, then the program's number.
        let xdp = [attribute(2, &[2]), attribute(4, &77_u32.to_ne_bytes())].concat();
        body.extend(attribute(0x802b, &xdp));
        body.extend(attribute(37, &0_i32.to_ne_bytes()));
        body
    }

    #[test]
    fn a_veth_is_read_with_its_peer_bridge_promiscuity_and_program() {
        let expected = Link {
            index: 5,
            name: "veth5981c7a".to_owned(),
            mac: Some(Mac([2, 66, 172, 17, 0, 2])),
            up: true,
            kind: "veth".to_owned(),
            peer: Some(4),
            peer_netns: Some(0),
            master: Some(3),
            promiscuity: Some(1),
            xdp: true,
            settings: None,
        };
        assert_eq!(read(&message(RTM_NEWLINK, &veth())), Some(expected));
        let same_namespace = &veth()[..veth().len() - 8];
        assert_eq!(read(&message(RTM_NEWLINK, same_namespace)).and_then(|link| link.peer_netns), None);
        assert_eq!(read(&message(20, &veth())), None, "an address is no link");
    }

    #[test]
    fn a_link_without_a_program_says_so() {
        assert!(!has_xdp(&attribute(2, &[0])));
        assert!(!has_xdp(&[]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..120_usize) {
            let _ = read(&message(RTM_NEWLINK, &bytes));
            let mut broken = veth();
            for (place, byte) in broken.iter_mut().zip(&bytes) {
                *place ^= if byte % 7 == 0 { *byte } else { 0 };
            }
            let _ = read(&message(RTM_NEWLINK, broken.get(..cut).unwrap_or(&broken)));
        }
    }
}
