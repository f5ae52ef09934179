//! Settings of a namespace's interfaces, and of `conf/all` in it.
//!
//! Contract: an interface's come with the list of links (`IFLA_AF_SPEC`), so they cost nothing more; those of `all` have no place in netlink and are
//! read from `/proc/sys` by a thread that is in the namespace. Limits: what a kernel does not report is 0 for an interface, and nothing at all for `all`.
//! Sources: `linux/ip.h` (`IPV4_DEVCONF_*`), `linux/ipv6.h` (`DEVCONF_*`), `inet_fill_link_af`.

use std::fs;

use crate::host::netlink::{attributes, number};
use crate::input::InterfaceSettings;

/// Places in `IFLA_INET_CONF`: the constant less one.
const FORWARDING: usize = 0;
const PROXY_ARP: usize = 2;
const ACCEPT_REDIRECTS: usize = 3;
const SEND_REDIRECTS: usize = 5;
const RP_FILTER: usize = 7;
const ACCEPT_SOURCE_ROUTE: usize = 8;
const ROUTE_LOCALNET: usize = 25;
/// Places in `IFLA_INET6_CONF`.
const IPV6_FORWARDING: usize = 0;
const IPV6_PROXY_NDP: usize = 22;

/// What `IFLA_AF_SPEC` says of a link.
pub(in crate::host) fn of_link(nested: &[u8]) -> Option<InterfaceSettings> {
    const INET: u16 = 2;
    const INET6: u16 = 10;
    let ipv4 = inside(nested, INET, 1)?;
    let ipv6 = inside(nested, INET6, 2).unwrap_or_default();
    let at = |values: &[u8], place: usize| number(values, place * 4).unwrap_or(0);
    Some(InterfaceSettings {
        forwarding: at(ipv4, FORWARDING),
        proxy_arp: at(ipv4, PROXY_ARP),
        accept_redirects: at(ipv4, ACCEPT_REDIRECTS),
        send_redirects: at(ipv4, SEND_REDIRECTS),
        rp_filter: at(ipv4, RP_FILTER),
        accept_source_route: at(ipv4, ACCEPT_SOURCE_ROUTE),
        route_localnet: at(ipv4, ROUTE_LOCALNET),
        ipv6_forwarding: at(ipv6, IPV6_FORWARDING),
        ipv6_proxy_ndp: at(ipv6, IPV6_PROXY_NDP),
    })
}

/// An attribute of the address family's.
fn inside(nested: &[u8], family: u16, wanted: u16) -> Option<&[u8]> {
    let of = attributes(nested).find(|(kind, _)| *kind == family)?.1;
    attributes(of).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// Those of an interface, or of `all`, in the namespace of the calling thread.
pub(super) fn read(scope: &str) -> Option<InterfaceSettings> {
    let value = |family: &str, name: &str| {
        signed(&fs::read_to_string(format!("/proc/sys/net/{family}/conf/{scope}/{name}")).ok()?)
    };
    let ipv4 = |name: &str| value("ipv4", name);
    // IPv6 may be absent.
    let ipv6 = |name: &str| value("ipv6", name).unwrap_or(0);
    Some(InterfaceSettings {
        forwarding: ipv4("forwarding")?,
        proxy_arp: ipv4("proxy_arp")?,
        accept_redirects: ipv4("accept_redirects")?,
        send_redirects: ipv4("send_redirects")?,
        rp_filter: ipv4("rp_filter")?,
        accept_source_route: ipv4("accept_source_route")?,
        route_localnet: ipv4("route_localnet")?,
        ipv6_forwarding: ipv6("forwarding"),
        ipv6_proxy_ndp: ipv6("proxy_ndp"),
    })
}

/// Some settings take any number, and show it with its sign.
fn signed(text: &str) -> Option<u32> {
    text.trim().parse::<i32>().ok().map(i32::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::links;

    #[test]
    fn what_netlink_says_of_each_own_interface_is_what_proc_says() {
        let own = links::host_links().expect("links");
        assert!(own.iter().any(|link| link.name == "lo"));
        for link in own {
            let (told, read) = (link.settings, read(&link.name));
            assert!(told.is_some() && told == read, "{}: {told:?} {read:?}", link.name);
        }
        assert!(read("all").is_some());
        assert_eq!(read("no-such-interface"), None);
    }

    #[test]
    fn a_number_below_zero_is_on_and_hides_no_other() {
        assert_eq!(["0\n", "1\n", "-1\n", "x"].map(signed), [Some(0), Some(1), Some(u32::MAX), None]);
    }

    #[test]
    fn values_that_are_cut_are_off_and_no_ipv4_is_unknown() {
        assert_eq!(of_link(&[]), None);
        assert_eq!(of_link(&[255; 7]), None);
        let conf = crate::host::netlink::attribute(1, &1_u32.to_ne_bytes());
        let found = of_link(&crate::host::netlink::attribute(2, &conf));
        assert_eq!(found, Some(InterfaceSettings { forwarding: 1, ..InterfaceSettings::default() }));
    }
}
