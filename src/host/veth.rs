//! Which host-side veth carries an attachment of a container.
//!
//! Contract: best effort; a name is given only when exactly one veth fits. Limits: [`MAX_PROC`] bytes of each file; a
//! container without IPv4 and IPv6 address, or with an overlay or macvlan, has none.
//! Design: the container's own interface indexes come from `/proc/PID/net`, which needs no privilege and no `setns`; the
//! host's veth names the same index as its peer. Indexes can repeat between namespaces, so the bridge must fit as well.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::links::{Link, host_links};

/// A container with thousands of routes is not worth reading further.
const MAX_PROC: u64 = 256 * 1024;

/// An attachment whose veth is wanted.
#[derive(Clone, Copy, Debug)]
pub struct VethRequest<'a> {
    /// The container's addresses there.
    pub addresses: &'a [IpAddr],
    /// The network's bridge, if it is known.
    pub bridge: Option<&'a str>,
}

/// Finds veths; keeps the last list of links, and reads it again only when that has no answer.
#[derive(Debug, Default)]
pub struct VethFinder {
    links: Vec<Link>,
}

impl VethFinder {
    /// The host-side veth of each attachment of the container with this first process.
    pub fn find(&mut self, pid: u32, wanted: &[VethRequest<'_>]) -> Vec<Option<String>> {
        let inside = Inside::read(pid);
        let indexes: Vec<Option<u32>> = wanted.iter().map(|request| inside.index_of(request.addresses)).collect();
        let find = |links: &[Link]| -> Vec<Option<String>> {
            let each = indexes.iter().zip(wanted);
            each.map(|(index, request)| index.and_then(|index| peer_of(links, index, request.bridge))).collect()
        };
        let found = find(&self.links);
        let complete = found.iter().zip(&indexes).all(|(found, index)| found.is_some() || index.is_none());
        if complete {
            return found;
        }
        match host_links() {
            Ok(links) => self.links = links,
            Err(_) => return found,
        }
        find(&self.links)
    }
}

/// The only link whose peer has this index, on this bridge if that is known.
fn peer_of(links: &[Link], index: u32, bridge: Option<&str>) -> Option<String> {
    let master = bridge.and_then(|name| links.iter().find(|link| link.name == name)).map(|link| link.index);
    let fits = |link: &&Link| {
        // A VLAN or macvlan names its parent as peer, but that is in this namespace, and it is on no bridge of Docker's.
        link.peer == Some(index) && link.master.is_some() && (master.is_none() || link.master == master)
    };
    let mut fitting = links.iter().filter(fits);
    let first = fitting.next()?;
    fitting.next().is_none().then(|| first.name.clone())
}

/// Interfaces inside a container's network namespace.
#[derive(Debug, Default)]
struct Inside {
    /// Index by name.
    indexes: BTreeMap<String, u32>,
    /// Directly connected IPv4 ranges: network, mask, interface.
    routes: Vec<(u32, u32, String)>,
    /// Index by IPv6 address.
    v6: BTreeMap<Ipv6Addr, u32>,
}

impl Inside {
    fn read(pid: u32) -> Self {
        let mut inside = Self::default();
        inside.read_indexes(&proc_file(pid, "igmp"));
        inside.read_routes(&proc_file(pid, "route"));
        inside.read_v6(&proc_file(pid, "if_inet6"));
        inside
    }

    fn index_of(&self, addresses: &[IpAddr]) -> Option<u32> {
        addresses.iter().find_map(|address| match address {
            IpAddr::V4(ip) => {
                let ip = u32::from(*ip);
                let on_link = self.routes.iter().filter(|(network, mask, _)| ip & mask == *network);
                let (_, _, name) = on_link.max_by_key(|(_, mask, _)| *mask)?;
                self.indexes.get(name).copied()
            }
            IpAddr::V6(ip) => self.v6.get(ip).copied(),
        })
    }

    /// `4\teth0      :     1      V3`; the lines of the groups are indented.
    fn read_indexes(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with(char::is_whitespace)) {
            let mut words = line.split([' ', '\t', ':']).filter(|word| !word.is_empty());
            if let (Some(Ok(index)), Some(name)) = (words.next().map(str::parse), words.next()) {
                self.indexes.insert(name.to_owned(), index);
            }
        }
    }

    /// `eth0 00001EAC 00000000 0001 0 0 0 00FFFFFF …`: interface, network, gateway and mask, in network byte order.
    fn read_routes(&mut self, text: &str) {
        let read =
            |word: &str| u32::from_str_radix(word, 16).ok().map(|raw| u32::from(Ipv4Addr::from(raw.to_ne_bytes())));
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, network, "00000000", _, _, _, _, mask, ..] = words[..] else { continue };
            if let (Some(network), Some(mask)) = (read(network), read(mask)) {
                self.routes.push((network, mask, name.to_owned()));
            }
        }
    }

    /// `fd000030000000000000000000000002 04 40 00 82     eth0`: address and index in hexadecimal.
    fn read_v6(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(address), Some(index)) = (words.next(), words.next()) else { continue };
            if let (Ok(address), Ok(index)) = (u128::from_str_radix(address, 16), u32::from_str_radix(index, 16)) {
                self.v6.insert(Ipv6Addr::from(address), index);
            }
        }
    }
}

fn proc_file(pid: u32, name: &str) -> String {
    let mut text = String::new();
    // A process that has ended, or one of another pid namespace, simply has nothing to say.
    if let Ok(file) = File::open(format!("/proc/{pid}/net/{name}")) {
        let _ = file.take(MAX_PROC).read_to_string(&mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const IGMP: &str = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
        1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
        4\teth0      :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
        7\teth1      :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n";
    const ROUTE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t01001EAC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth1\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
        eth0\t00001EAC\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
    const INET6: &str = "fe800000000000000042acfffe1e0002 04 40 20 c0     eth0\n\
        fd000030000000000000000000000002 0a 40 00 82     eth2\n";

    fn inside() -> Inside {
        let mut inside = Inside::default();
        inside.read_indexes(IGMP);
        inside.read_routes(ROUTE);
        inside.read_v6(INET6);
        inside
    }

    fn link(index: u32, name: &str, peer: Option<u32>, master: Option<u32>) -> Link {
        Link { index, name: name.to_owned(), peer, master, ..Link::default() }
    }

    #[test]
    fn an_address_leads_to_the_index_of_its_interface() {
        let inside = inside();
        let index = |text: &str| inside.index_of(&[text.parse().expect("address")]);
        assert_eq!((index("172.30.0.2"), index("172.18.0.2")), (Some(4), Some(7)));
        assert_eq!((index("fd00:30::2"), index("10.0.0.1")), (Some(10), None));
    }

    #[test]
    fn the_bridge_decides_where_an_index_repeats() {
        let links = [
            link(2, "br-front", None, None),
            link(3, "br-back", None, None),
            link(5, "veth-front", Some(4), Some(2)),
            link(6, "veth-back", Some(4), Some(3)),
            link(9, "eth0.10", Some(7), None),
        ];
        assert_eq!(peer_of(&links, 4, Some("br-back")).as_deref(), Some("veth-back"));
        assert_eq!(peer_of(&links, 4, None), None, "two fit");
        assert_eq!(peer_of(&links, 7, None), None, "a VLAN is no veth");
    }

    #[test]
    fn a_process_that_is_gone_has_no_veth() {
        let wanted = [VethRequest { addresses: &[IpAddr::from([172, 17, 0, 2])], bridge: None }];
        assert_eq!(VethFinder::default().find(u32::MAX, &wanted), [None]);
    }
}
