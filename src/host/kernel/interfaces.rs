//! The interfaces inside a network namespace, and what of the host is behind them.
//!
//! Contract: a peer is named only where the namespace's own number for the host's namespace (`RTM_GETNSID`) is the one that the
//! interface gives for its peer (`IFLA_LINK_NETNSID`). Limits: [`MAX_INTERFACES`], [`MAX_ADDRESSES`] a namespace, told when more.
//! Sources: rtnetlink(7), `linux/if_link.h`, `linux/if_addr.h`, `linux/net_namespace.h`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

use super::netlink::{Message, Netlink, attribute, attributes, number, text};
use crate::host::HostError;
use crate::input::{InsideInterface, Mac};

const MAX_INTERFACES: usize = 256;
const MAX_ADDRESSES: usize = 4096;
const MAX_HOST_LINKS: usize = 32_768;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;
const IFINFO: usize = 16;
const IFADDR: usize = 8;
const UP: u32 = 1;

/// A link as the kernel tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Link {
    inside: InsideInterface,
    /// The other end, and the number of its namespace; without a number it is in the same one.
    peer: Option<(u32, i32)>,
}

/// What was listed.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// In order of index.
    pub(super) interfaces: Vec<InsideInterface>,
    /// It changed meanwhile: worth another look.
    pub(super) changed: bool,
    /// Interfaces or addresses for which there was no room.
    pub(super) overflow: usize,
}

/// Lists the namespace in which the socket is. `host` names the host's links by index.
pub(super) fn list(
    route: &mut Netlink,
    host_namespace: RawFd,
    mut host: impl FnMut(u32) -> Option<String>,
    buffer: &mut [u8],
) -> Result<Listed, HostError> {
    let mut listed = Listed::default();
    let mut links: Vec<Link> = Vec::new();
    listed.changed |= route.dump(RTM_GETLINK, &links_request(), buffer, |message| match read_link(message) {
        Some(link) if links.len() < MAX_INTERFACES => links.push(link),
        Some(_) => listed.overflow += 1,
        None => {}
    })?;
    let mut addresses: HashMap<u32, Vec<IpAddr>> = HashMap::new();
    let mut count = 0;
    listed.changed |= route.dump(RTM_GETADDR, &[0; IFADDR], buffer, |message| match read_address(message) {
        Some(_) if count >= MAX_ADDRESSES => listed.overflow += 1,
        Some((index, address)) => {
            count += 1;
            addresses.entry(index).or_default().push(address);
        }
        None => {}
    })?;
    let crosses = links.iter().any(|link| link.peer.is_some());
    let host_number = if crosses { number_of(route, host_namespace, buffer)? } else { None };
    for mut link in links {
        link.inside.addresses = addresses.remove(&link.inside.index).unwrap_or_default();
        link.inside.addresses.sort_unstable();
        link.inside.host_interface =
            link.peer.filter(|(_, number)| host_number == Some(*number)).and_then(|(index, _)| host(index));
        listed.interfaces.push(link.inside);
    }
    listed.interfaces.sort_by_key(|interface| interface.index);
    Ok(listed)
}

/// The names of the host's links by index.
pub(super) fn host_links(route: &mut Netlink, buffer: &mut [u8]) -> Result<HashMap<u32, String>, HostError> {
    let mut names = HashMap::new();
    route.dump(RTM_GETLINK, &links_request(), buffer, |message| {
        if let Some(link) = read_link(message).filter(|_| names.len() < MAX_HOST_LINKS) {
            names.insert(link.inside.index, link.inside.name);
        }
    })?;
    Ok(names)
}

/// How the socket's namespace numbers another one, if it does.
fn number_of(route: &mut Netlink, namespace: RawFd, buffer: &mut [u8]) -> Result<Option<i32>, HostError> {
    const NSID: u16 = 1;
    const FD: u16 = 3;
    let request = [vec![0; 4], attribute(FD, &namespace.to_ne_bytes())].concat();
    let read = |message: &Message<'_>| {
        let body = (message.kind == RTM_NEWNSID).then(|| message.body.get(4..)).flatten()?;
        attributes(body).find(|(kind, _)| *kind == NSID).and_then(|(_, value)| signed(value))
    };
    Ok(route.ask(RTM_GETNSID, &request, buffer, read)?.filter(|number| *number >= 0))
}

/// All links, without their counters.
fn links_request() -> Vec<u8> {
    const EXT_MASK: u16 = 29;
    const SKIP_STATS: u32 = 1 << 3;
    [vec![0; IFINFO], attribute(EXT_MASK, &SKIP_STATS.to_ne_bytes())].concat()
}

fn read_link(message: &Message<'_>) -> Option<Link> {
    const ADDRESS: u16 = 1;
    const IFNAME: u16 = 3;
    const LINK: u16 = 5;
    const LINKINFO: u16 = 18;
    const PROMISCUITY: u16 = 30;
    const LINK_NETNSID: u16 = 37;
    const INFO_KIND: u16 = 1;
    if message.kind != RTM_NEWLINK {
        return None;
    }
    let (mut link, mut peer, mut namespace) = (InsideInterface::default(), None, None);
    link.index = number(message.body, 4)?;
    link.up = number(message.body, 8)? & UP != 0;
    for (kind, value) in attributes(message.body.get(IFINFO..)?) {
        match kind {
            ADDRESS => link.mac = value.try_into().ok().filter(|mac| *mac != [0; 6]).map(Mac),
            IFNAME => link.name = text(value),
            LINK => peer = number(value, 0),
            LINKINFO => {
                let kind = attributes(value).find(|(kind, _)| *kind == INFO_KIND);
                link.kind = kind.map(|(_, value)| text(value)).unwrap_or_default();
            }
            PROMISCUITY => link.promiscuity = number(value, 0).unwrap_or(0),
            LINK_NETNSID => namespace = signed(value),
            _ => {}
        }
    }
    Some(Link { inside: link, peer: peer.zip(namespace) })
}

fn read_address(message: &Message<'_>) -> Option<(u32, IpAddr)> {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    let ip = |value: &[u8]| match value.len() {
        4 => Some(IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?))),
        16 => Some(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?))),
        _ => None,
    };
    if message.kind != RTM_NEWADDR {
        return None;
    }
    let index = number(message.body, 4)?;
    let (mut address, mut local) = (None, None);
    for (kind, value) in attributes(message.body.get(IFADDR..)?) {
        match kind {
            ADDRESS => address = ip(value),
            LOCAL => local = ip(value),
            _ => {}
        }
    }
    // Of a point-to-point link ADDRESS is the other end.
    Some((index, local.or(address)?))
}

fn signed(value: &[u8]) -> Option<i32> {
    number(value, 0).map(|number| i32::from_ne_bytes(number.to_ne_bytes()))
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
        body[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        body[8..12].copy_from_slice(&0x1003_u32.to_ne_bytes());
        body.extend(attribute(1, &[2, 66, 172, 17, 0, 2]));
        body.extend(attribute(3, b"eth0\0"));
        body.extend(attribute(5, &9_u32.to_ne_bytes()));
        body.extend(attribute(18, &attribute(1, b"veth\0")));
        body.extend(attribute(30, &2_u32.to_ne_bytes()));
        body.extend(attribute(37, &0_i32.to_ne_bytes()));
        body
    }

    #[test]
    fn a_link_is_read_with_its_kind_and_the_namespace_of_its_peer() {
        let link = read_link(&message(RTM_NEWLINK, &veth())).expect("a link");
        assert_eq!((&*link.inside.name, link.inside.index, &*link.inside.kind), ("eth0", 7, "veth"));
        assert_eq!((link.inside.up, link.inside.promiscuity, link.peer), (true, 2, Some((9, 0))));
        assert_eq!(link.inside.mac, Some(Mac([2, 66, 172, 17, 0, 2])));
        let here = veth();
        let here = &here[..here.len() - 8];
        let link = read_link(&message(RTM_NEWLINK, here)).expect("a link");
        assert_eq!(link.peer, None, "its parent is in the same namespace");
        assert_eq!(read_link(&message(RTM_NEWADDR, &veth())), None);
    }

    #[test]
    fn the_own_address_of_a_point_to_point_link_is_read() {
        let mut body = vec![0; IFADDR];
        body[4..8].copy_from_slice(&3_u32.to_ne_bytes());
        body.extend(attribute(1, &[10, 0, 0, 2]));
        assert_eq!(read_address(&message(RTM_NEWADDR, &body)), Some((3, IpAddr::from([10, 0, 0, 2]))));
        body.extend(attribute(2, &[10, 0, 0, 1]));
        assert_eq!(read_address(&message(RTM_NEWADDR, &body)), Some((3, IpAddr::from([10, 0, 0, 1]))));
        assert_eq!(read_address(&message(RTM_NEWADDR, &body[..IFADDR])), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..100_usize) {
            for kind in [RTM_NEWLINK, RTM_NEWADDR] {
                let _ = (read_link(&message(kind, &bytes)), read_address(&message(kind, &bytes)));
                let mut broken = veth();
                for (place, byte) in broken.iter_mut().zip(&bytes) {
                    *place ^= if byte % 5 == 0 { *byte } else { 0 };
                }
                let broken = broken.get(..cut).unwrap_or(&broken);
                let _ = (read_link(&message(kind, broken)), read_address(&message(kind, broken)));
            }
        }
    }
}
