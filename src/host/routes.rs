//! The interfaces by which traffic leaves the host: those of its default routes.
//!
//! Contract: of the network namespace of the calling thread; what cannot be read or understood names no interface. Limits: the main
//! table only, as the kernel shows it. Source: `/proc/net/route` and `/proc/net/ipv6_route`, proc(5).

use std::collections::BTreeSet;

/// `RTF_UP`.
const UP: u32 = 1;
/// `RTF_REJECT`: nothing leaves by it.
const REJECT: u32 = 0x200;

/// The interfaces of the default routes, in order of name.
pub fn default_route_interfaces() -> BTreeSet<String> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
    parse(&read("route"), ipv4).chain(parse(&read("ipv6_route"), ipv6)).collect::<BTreeSet<_>>()
}

fn parse(table: &str, of: fn(&[&str]) -> Option<String>) -> std::vec::IntoIter<String> {
    let lines = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    lines.filter_map(|fields| of(&fields)).collect::<Vec<_>>().into_iter()
}

/// `eth0 00000000 0100A8C0 0003 0 0 0 00000000 …`: interface, destination, gateway, flags, …, mask at 7.
fn ipv4(fields: &[&str]) -> Option<String> {
    let is_default = fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000");
    (is_default && is_used(fields.get(3)?)).then(|| fields.first().map(|&name| name.to_owned()))?
}

/// Destination, its prefix length, source, its prefix length, next hop, metric, references, uses, flags, interface.
fn ipv6(fields: &[&str]) -> Option<String> {
    let is_default = fields.first()?.bytes().all(|byte| byte == b'0') && fields.get(1) == Some(&"00");
    (is_default && is_used(fields.get(8)?)).then(|| fields.get(9).map(|&name| name.to_owned()))?
}

fn is_used(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & UP != 0 && flags & REJECT == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        br-app\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
        down0\t00000000\t0100A8C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n";
    const ROUTE6: &str = "\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     wan0\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n\
        fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001   br-app\n";

    #[test]
    fn only_default_routes_that_are_used_count() {
        assert_eq!(parse(ROUTE, ipv4).collect::<Vec<_>>(), ["eth0"]);
        assert_eq!(parse(ROUTE6, ipv6).collect::<Vec<_>>(), ["wan0"]);
    }

    #[test]
    fn any_cut_table_is_read_without_a_panic() {
        for end in 0..ROUTE6.len() {
            let _ = parse(&ROUTE6[..end], ipv6).chain(parse(&ROUTE6[..end], ipv4)).count();
        }
    }
}
