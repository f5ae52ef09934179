//! Where clouds answer for the machine that asks.
//!
//! Contract: addresses that clouds document, each with its source. Limits: what has only a public name is not listed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(text: [u16; 8]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(text[0], text[1], text[2], text[3], text[4], text[5], text[6], text[7]))
}

const ENDPOINTS: &[(IpAddr, &str)] = &[
    // docs.aws.amazon.com "Use instance metadata"; learn.microsoft.com "Azure Instance Metadata Service"; cloud.google.com "VM metadata";
    // docs.oracle.com, docs.digitalocean.com, docs.openstack.org, docs.hetzner.cloud, docs.vultr.com, techdocs.akamai.com say the same address.
    (v4(169, 254, 169, 254), "the convention of most clouds"),
    // docs.aws.amazon.com "Use instance metadata", Nitro instances over IPv6.
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]), "AWS EC2 over IPv6"),
    // docs.aws.amazon.com "Amazon ECS task IAM role" and "task metadata endpoint".
    (v4(169, 254, 170, 2), "AWS ECS tasks"),
    // docs.aws.amazon.com "EKS Pod Identity": the agent on each node.
    (v4(169, 254, 170, 23), "AWS EKS Pod Identity"),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23]), "AWS EKS Pod Identity over IPv6"),
    // cloud.google.com "VM metadata", IPv6-only instances.
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]), "Google Cloud over IPv6"),
    // learn.microsoft.com "What is IP address 168.63.129.16": wire server and host agent.
    (v4(168, 63, 129, 16), "Azure's wire server"),
    // alibabacloud.com/help/ecs "Instance metadata".
    (v4(100, 100, 100, 200), "Alibaba Cloud"),
    // docs.oracle.com "Oracle Compute Cloud Service: instance metadata" (Classic).
    (v4(192, 0, 0, 192), "Oracle Cloud Classic"),
    // docs.oracle.com "Instance metadata", IPv6-only subnets; as in oci-python-sdk.
    (v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]), "Oracle Cloud over IPv6"),
    // www.scaleway.com/en/docs "Use instance metadata".
    (v4(169, 254, 42, 42), "Scaleway"),
    (v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42]), "Scaleway over IPv6"),
    // techdocs.akamai.com "Metadata service API".
    (v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1]), "Akamai (Linode) over IPv6"),
    // cloud.tencent.com "Instance metadata": metadata.tencentyun.com.
    (v4(169, 254, 0, 23), "Tencent Cloud"),
    // docs.openstack.org "Metadata service", IPv6.
    (v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]), "OpenStack over IPv6"),
];

/// Whose metadata service is at this address (canonical), if one is.
pub(super) fn service_at(ip: IpAddr) -> Option<&'static str> {
    ENDPOINTS.iter().find(|(address, _)| *address == ip).map(|(_, whose)| *whose)
}
