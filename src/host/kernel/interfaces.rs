//! The interfaces inside a network namespace, and what of the host is behind them.
//!
//! Contract: a peer is named only where the namespace's own number for the host's namespace (`RTM_GETNSID`) is the one that the
//! interface gives for its peer (`IFLA_LINK_NETNSID`). Limits: [`MAX_INTERFACES`], [`MAX_ADDRESSES`] a namespace, reported when more.
//! Sources: rtnetlink(7), `linux/if_link.h`, `linux/if_addr.h`, `linux/net_namespace.h`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

use crate::host::HostError;
use crate::host::links::{self, LINKS, Link};
use crate::host::netlink::{Message, Netlink, Query, attribute, attributes, number, signed};
use crate::input::InsideInterface;

const MAX_INTERFACES: usize = 256;
const MAX_ADDRESSES: usize = 4096;

const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;
const ADDRESSES: Query = Query::new("the list of addresses", RTM_GETADDR);
const NAMESPACE: Query = Query::new("the number of a network namespace", RTM_GETNSID);
const IFADDR: usize = 8;

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
    listed.changed |= route.dump(&LINKS, &links::request(), buffer, |message| match links::read(message) {
        Some(link) if links.len() < MAX_INTERFACES => links.push(link),
        Some(_) => listed.overflow += 1,
        None => {}
    })?;
    let mut addresses: HashMap<u32, Vec<IpAddr>> = HashMap::new();
    let mut count = 0;
    listed.changed |= route.dump(&ADDRESSES, &[0; IFADDR], buffer, |message| match read_address(message) {
        Some(_) if count >= MAX_ADDRESSES => listed.overflow += 1,
        Some((index, address)) => {
            count += 1;
            addresses.entry(index).or_default().push(address);
        }
        None => {}
    })?;
    let crosses = links.iter().any(|link| link.peer.is_some() && link.peer_netns.is_some());
    let host_number = if crosses { number_of(route, host_namespace, buffer)? } else { None };
    for link in links {
        let peer_on_host = link.peer.filter(|_| link.peer_netns.is_some() && link.peer_netns == host_number);
        let mut addresses = addresses.remove(&link.index).unwrap_or_default();
        addresses.sort_unstable();
        let host_interface = peer_on_host.and_then(&mut host);
        listed.interfaces.push(inside(link, addresses, host_interface));
    }
    listed.interfaces.sort_by_key(|interface| interface.index);
    Ok(listed)
}

/// The names of the host's links by index.
pub(super) fn host_links(route: &mut Netlink, buffer: &mut [u8]) -> Result<HashMap<u32, String>, HostError> {
    let mut names = HashMap::new();
    route.dump(&LINKS, &links::request(), buffer, |message| {
        if let Some(link) = links::read(message).filter(|_| names.len() < links::MAX_LINKS) {
            names.insert(link.index, link.name);
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
        attributes(body).find(|(kind, _)| *kind == NSID).and_then(|(_, value)| signed(value, 0))
    };
    Ok(route.ask(&NAMESPACE, &request, buffer, read)?.filter(|number| *number >= 0))
}

fn inside(link: Link, addresses: Vec<IpAddr>, host_interface: Option<String>) -> InsideInterface {
    let Link { index, name, mac, up, kind, promiscuity, settings, .. } = link;
    let promiscuity = promiscuity.unwrap_or(0);
    InsideInterface { name, index, kind, mac, addresses, up, promiscuity, host_interface, settings }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u16, body: &[u8]) -> Message<'_> {
        Message { kind, flags: 0, sequence: 0, body }
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
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_address(&message(RTM_NEWADDR, &bytes));
        }
    }
}
