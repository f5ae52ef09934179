//! What the host's kernel says of its interfaces.
//!
//! Contract: the interfaces of the network namespace that this thread is in, now. Limits: [`links::MAX_LINKS`]
//! interfaces. Design: asked over netlink and getifaddrs, not read from `/sys/class/net`: that shows the namespace in which
//! it was mounted, which is another one after `nsenter`.

mod audit_stream;
mod capabilities;
pub mod conntrack;
pub mod firewall;
pub mod kernel;
mod link_monitor;
mod links;
pub mod log_entries;
pub mod log_files;
pub mod logging;
mod namespace;
mod netlink;
mod packet_programs;
mod routes;
mod veth;

use std::collections::BTreeMap;
use std::net::IpAddr;

use globset::GlobSet;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;

pub use self::audit_stream::{AuditStream, is_in_initial_network};
pub use self::capabilities::missing_capabilities;
pub use self::link_monitor::LinkMonitor;
pub use self::namespace::{EnterError, Netns};
pub use self::routes::default_route_interfaces;
pub use self::veth::{VethFinder, VethRequest};
use crate::input::{LinkEvent, Mac, ObservationPoint};

/// The kernel could not be asked, or not be understood.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The kernel refused, or could not be asked.
    #[error("cannot read {asked} from the kernel; check that this process may open netlink sockets: {source}")]
    Netlink {
        /// What was asked.
        asked: &'static str,
        /// Why not.
        source: nix::Error,
    },
    /// The kernel's answer makes no sense.
    #[error("cannot understand {asked} of the kernel at byte {at}; report it with the kernel's version")]
    Malformed {
        /// What was asked.
        asked: &'static str,
        /// Where in the answer.
        at: usize,
    },
    /// The answer is longer than what is read.
    #[error("{asked} is longer than the {limit} entries that are read")]
    TooMany {
        /// What was asked.
        asked: &'static str,
        /// The bound.
        limit: usize,
    },
    /// This process cannot see itself.
    #[error("cannot see the network namespace of this process; check that /proc is mounted for it: {0}")]
    OwnNamespace(std::io::Error),
}

/// In words, what getifaddrs is asked.
const ADDRESSES: &str = "the list of interfaces with their addresses";

/// An interface of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// Index; the kernel gives the same number again only after a very long time.
    pub index: u32,
    /// Its MAC, where it has one.
    pub mac: Option<Mac>,
    /// Administratively up.
    pub up: bool,
    /// Loopback.
    pub loopback: bool,
    /// Its addresses, in order.
    pub addresses: Vec<IpAddr>,
    /// Whether every frame is taken in there; absent until [`examine`] looked.
    pub promiscuous: Option<bool>,
    /// Programs that see frames before or instead of a tap; empty until [`examine`] looked.
    pub programs: Vec<String>,
    /// The bridge that it is a port of, once [`examine`] looked.
    pub master: Option<String>,
    /// A veth, which ends with its container; false until [`examine`] looked.
    pub ephemeral: bool,
}

impl Interface {
    /// As a fact for the engine.
    pub fn link_event(&self) -> LinkEvent {
        LinkEvent {
            point: ObservationPoint::new(&self.name),
            up: self.up,
            mac: self.mac,
            addresses: self.addresses.clone(),
            promiscuous: self.promiscuous,
            programs: self.programs.clone(),
            ..LinkEvent::default()
        }
    }
}

/// Looks closer: promiscuity and bridge of all, programs of those that are `observed`. Nothing is changed when the kernel does not
/// report. One list of links and one of queueing disciplines, whatever their number; see [`packet_programs`] for what is asked beyond that.
pub fn examine(all: &mut [Interface], observed: impl Fn(&Interface) -> bool) -> Result<(), HostError> {
    let links: BTreeMap<u32, links::Link> = links::host_links()?.into_iter().map(|link| (link.index, link)).collect();
    let hooks = packet_programs::hooks()?;
    for interface in all {
        let Some(link) = links.get(&interface.index).filter(|link| link.name == interface.name) else { continue };
        interface.promiscuous = link.promiscuity.map(|count| count > 0);
        interface.ephemeral = link.kind == "veth";
        interface.master = link.master.and_then(|index| Some(links.get(&index)?.name.clone()));
        if observed(interface) {
            interface.programs = hooks.programs(interface.index)?;
            interface.programs.extend(link.xdp.then(|| "xdp".to_owned()));
        }
    }
    Ok(())
}

/// All interfaces, in order of name.
pub fn interfaces() -> Result<Vec<Interface>, HostError> {
    let mut found = BTreeMap::new();
    for entry in getifaddrs().map_err(|source| HostError::Netlink { asked: ADDRESSES, source })? {
        note(&mut found, &entry);
        if found.len() > links::MAX_LINKS {
            return Err(HostError::TooMany { asked: ADDRESSES, limit: links::MAX_LINKS });
        }
    }
    let mut all: Vec<Interface> = found.into_values().collect();
    for interface in &mut all {
        interface.addresses.sort_unstable();
    }
    Ok(all)
}

/// The interfaces whose names match, in order of name.
pub fn interfaces_matching(globs: &GlobSet) -> Result<Vec<Interface>, HostError> {
    Ok(interfaces()?.into_iter().filter(|interface| globs.is_match(&interface.name)).collect())
}

fn note(found: &mut BTreeMap<String, Interface>, entry: &InterfaceAddress) {
    let name = &entry.interface_name;
    let interface =
        found.entry(name.clone()).or_insert_with(|| Interface { name: name.clone(), ..Interface::default() });
    interface.up = entry.flags.contains(InterfaceFlags::IFF_UP);
    interface.loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
    let Some(address) = &entry.address else { return };
    if let Some(link) = address.as_link_addr() {
        interface.index = u32::try_from(link.ifindex()).unwrap_or(0);
        interface.mac = link.addr().filter(|mac| *mac != [0; 6]).map(Mac);
    } else if let Some(v4) = address.as_sockaddr_in() {
        interface.addresses.push(IpAddr::V4(v4.ip()));
    } else if let Some(v6) = address.as_sockaddr_in6() {
        interface.addresses.push(IpAddr::V6(v6.ip()));
    }
}

#[cfg(test)]
mod tests {
    use globset::{Glob, GlobSetBuilder};

    use super::*;

    #[test]
    fn loopback_is_there_and_has_its_address() {
        let globs = GlobSetBuilder::new().add(Glob::new("lo").expect("glob")).build().expect("globs");
        let found = interfaces_matching(&globs).expect("interfaces");
        let [lo] = &found[..] else { panic!("{found:?}") };
        assert!(lo.loopback && lo.index > 0 && lo.mac.is_none());
        assert_eq!(lo.link_event().point.as_str(), "lo");
        if lo.up {
            assert!(lo.addresses.contains(&IpAddr::from([127, 0, 0, 1])), "{lo:?}");
        }
    }

    #[test]
    fn netlink_and_getifaddrs_name_the_same_interfaces() {
        let by_index: BTreeMap<u32, String> =
            interfaces().expect("interfaces").into_iter().map(|found| (found.index, found.name)).collect();
        let links = links::host_links().expect("links");
        assert!(!links.is_empty());
        for link in links {
            // An interface may appear or vanish between the two questions; one that both know has one name.
            if let Some(name) = by_index.get(&link.index) {
                assert_eq!(*name, link.name);
            }
        }
    }
}
