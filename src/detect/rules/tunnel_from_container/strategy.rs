//! What the rule is, and its strategy.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "tunnel-from-container",
    title: "Container sends traffic through a tunnel",
    severity: Severity::High,
    techniques: &[
        Technique { name: "Protocol Tunneling", v19: "T1572", v18: "T1572" },
        Technique { name: "Non-Application Layer Protocol", v19: "T1095", v18: "T1095" },
    ],
    ads: Ads {
        goal: "Detects a container that carries traffic inside other traffic without permission. Tunnelled traffic \
             passes no proxy, no resolver and no monitor, and its real destinations stay hidden.",
        categorization: "Command and Control: a tunnel makes a channel out of what is let through (names, pings, one UDP port), and leads \
             around every hop that a contract names.",
        strategy: "Only what a workload sends counts, so that the runtime's own overlay (VXLAN between hosts) does \
             not count. By headers: IP in IP, 6in4, GRE, ERSPAN, EoIP, VXLAN, Geneve, GTP-U, Teredo, Ethernet in IP, \
             MPLS, L2TP, CAPWAP, AYIYA and ESP, at their protocol numbers and ports. By first bytes, at any port: \
             WireGuard's and OpenVPN's handshakes, and an SSH identification at another port than 22. ICMP: echo \
             replies that say something else than their requests or that nobody asked for (those that come to a \
             workload too), that carry more than these, or more than `volumes.icmp_bytes` of requests. Any IP \
             protocol that neither applications nor routers speak, such as 253. Packets with a source route (IPv4 \
             source routes, IPv6 routing headers), which no ordinary program sends. DNS: for each workload and registered domain, \
             over all its flows and whatever resolver it asks, the different names of a window are counted: those of \
             type NULL or for private use (3), with bytes that no host name has (8), asked for data with TXT, KEY \
             and kin (30), with long irregular labels (25), of any form with type TXT (200) or of any type (1,000); and datagrams to port 53 that are too big for questions. \
             `dns` and `volumes` set these limits; `allowed` names workloads and kinds. Each kind is an alert of its \
             own.",
        technical_context: "A privileged container, or one with NET_ADMIN, makes GRE, VXLAN or WireGuard devices of the kernel inside its own \
             namespace; userspace WireGuard, OpenVPN and tailscale need a tun device; ssh -w/-D, iodine, dns2tcp, dnscat2, ptunnel \
             and hans need little or nothing. iodine probes types and sizes when it starts: within a second it asks for more than \
             20 names that no host has; dns2tcp asks for one TXT name a packet. A DNS tunnel works through the allowed resolver as \
             well as directly.",
        blind_spots: &[
            "Tunnels that look like HTTPS: SSH or OpenVPN behind TLS (stunnel), WebSocket tunnels, MASQUE, obfuscated WireGuard.",
            "OpenVPN and WireGuard are known by their handshakes: one that was up before observation began is not.",
            "SSH at port 22 may forward ports too; a contract about port 22 is the answer.",
            "DNS tunnels below the thresholds: a name every few seconds, or few names a domain over many domains; \
             names under `local`, and questions over encrypted DNS (dns-skips-resolver reports that).",
            "At most 256 questions of one flow are kept, and 4096 workloads and domains are counted at once.",
            "Of a flow whose packets carry a source route in one direction alone, the end that asked is blamed.",
            "Who may read the container's memory or its tun device sees what is inside; hopwatch does not.",
        ],
        assumptions: &[
            "The bridge or veth is captured, and with it the first packets of flows.",
            "VXLAN's ports are configured where they are not 4789 or 8472.",
        ],
        false_positives: &[
            "VPN and mesh containers, network plugins in a workload's namespace: name them under \
             rules.tunnel-from-container.allowed, by digest, with the kinds that they need.",
            "SSH servers at ports of their own (Git at 2222, SFTP): allow `ssh` to those who use them.",
            "Reputation services that ask by digest in names (virus scanners, mail filters): allow `dns`, or raise \
             dns.long_names.",
            "Measurements with big or many pings: allow `icmp`, or raise volumes.icmp_bytes.",
        ],
        true_positives: &[
            "tunnel-wireguard",
            "tunnel-iodine",
            "tunnel-iodine-raw",
            "tunnel-dns2tcp",
            "tunnel-icmp",
            "tunnel-ssh",
            "tunnel-vxlan",
            "tunnel-gre",
            "tunnel-ipip",
            "tunnel-openvpn",
        ],
        benign_twins: &["tunnel-allowed", "tunnel-lookalikes"],
        priority: "High: what passes the tunnel is out of sight, in both directions, for as long as it stands.",
        response: &[
            "The alert names kind and far end. Is that a VPN that the container is for? Ask its owner.",
            "Find the process or device: `nsenter -t PID -n ip -d link`, `ss -unap`, `docker top NAME`.",
            "For DNS, look at who serves the domain: `dig NS DOMAIN`; block it at the resolver.",
            "If there is no explanation, `docker pause NAME`, keep it as evidence, and block the far end at the \
             firewall.",
            "Take NET_ADMIN, NET_RAW and /dev/net/tun away where they are not needed.",
            "If it is meant, add it to rules.tunnel-from-container.allowed, by digest and kind.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1572/",
            "https://attack.mitre.org/techniques/T1095/",
            "https://attack.mitre.org/techniques/T1071/004/",
            "https://www.wireguard.com/protocol/",
            "https://code.kryo.se/iodine/",
        ],
    },
};
