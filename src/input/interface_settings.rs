//! Settings of the kernel by which packets enter, leave and cross a network namespace.
//!
//! Contract: those that decide whose packets are taken and where they go, as the kernel holds them; of an interface, or of `conf/all`. Limits: sizes, timers
//! and `ip_unprivileged_port_start` say nothing about paths, and are not here (ADR 29).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the kernel does with packets of an interface, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InterfaceSettings {
    /// It forwards IPv4 packets.
    #[serde(default, skip_serializing_if = "is_off")]
    pub forwarding: u32,
    /// It answers ARP for its neighbours' addresses.
    #[serde(default, skip_serializing_if = "is_off")]
    pub proxy_arp: u32,
    /// Neighbours change its routes.
    #[serde(default, skip_serializing_if = "is_off")]
    pub accept_redirects: u32,
    /// It changes its neighbours' routes.
    #[serde(default, skip_serializing_if = "is_off")]
    pub send_redirects: u32,
    /// Whether senders' addresses are checked by their route: 1 strictly, 2 loosely.
    #[serde(default, skip_serializing_if = "is_off")]
    pub rp_filter: u32,
    /// Senders choose their packets' route.
    #[serde(default, skip_serializing_if = "is_off")]
    pub accept_source_route: u32,
    /// Its loopback addresses can be reached from outside.
    #[serde(default, skip_serializing_if = "is_off")]
    pub route_localnet: u32,
    /// It forwards IPv6 packets.
    #[serde(default, skip_serializing_if = "is_off")]
    pub ipv6_forwarding: u32,
    /// It answers neighbour discovery for others.
    #[serde(default, skip_serializing_if = "is_off")]
    pub ipv6_proxy_ndp: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_off(value: &u32) -> bool {
    *value == 0
}

impl InterfaceSettings {
    /// Each with its name in `/proc/sys/net`: the part before the interface's name, and the part behind it.
    pub const fn each(&self) -> [(&'static str, &'static str, u32); 9] {
        const IPV4: &str = "net.ipv4.conf.";
        const IPV6: &str = "net.ipv6.conf.";
        [
            (IPV4, ".forwarding", self.forwarding),
            (IPV4, ".proxy_arp", self.proxy_arp),
            (IPV4, ".accept_redirects", self.accept_redirects),
            (IPV4, ".send_redirects", self.send_redirects),
            (IPV4, ".rp_filter", self.rp_filter),
            (IPV4, ".accept_source_route", self.accept_source_route),
            (IPV4, ".route_localnet", self.route_localnet),
            (IPV6, ".forwarding", self.ipv6_forwarding),
            (IPV6, ".proxy_ndp", self.ipv6_proxy_ndp),
        ]
    }
}
