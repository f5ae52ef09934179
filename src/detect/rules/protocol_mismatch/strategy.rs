//! The strategy of `protocol-mismatch`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "protocol-mismatch",
    title: "Traffic speaks another protocol than its port is for",
    severity: Severity::Low,
    techniques: &[
        Technique { name: "Non-Standard Port", v19: "T1571", v18: "T1571" },
        Technique { name: "Protocol or Service Impersonation", v19: "T1001.003", v18: "T1001.003" },
    ],
    ads: Ads {
        goal: "Detects a service that speaks a known protocol at a port that is for another one: SSH at 443, HTTP at 53, SOCKS at 80. Firewalls that let \
             through by port let such traffic pass.",
        categorization: "Command and Control: what is let through by its port carries something else.",
        strategy: "Positive identification only: the first bytes of a flow are those of TLS, QUIC, DNS, HTTP, SOCKS, SSH, OpenVPN, WireGuard, SMB, RDP, VNC, \
             FTP, SMTP, POP3, IMAP, MySQL, PostgreSQL, Redis, MQTT, BitTorrent, Stratum or a chain's node, and the responder's port is one of those that are \
             for others. Absence of TLS at 443 is no finding. What a proxy was asked for by CONNECT counts at the port of its target. Protocols that turn to TLS \
             may begin with it. SSH, SOCKS and VPN at a web or DNS port are medium, everything else is low. SSH, OpenVPN and WireGuard of a container are left \
             to tunnel-from-container, which reports them at any port. SOCKS, OpenVPN and WireGuard to the outside are left to anonymizer: one cause, one \
             alert.",
        technical_context: "SSH servers listen at 443 so that hotel networks let them pass; sslh puts several protocols behind one port. Malware uses 443, 80 and 53 with \
             protocols of its own, which are unknown, not mismatched.",
        blind_spots: &[
            "Unknown protocols: absence of the expected one is no evidence.",
            "What is inside TLS or QUIC, and connections whose first bytes were not captured.",
            "Ports that are for nothing in particular, such as 8080 and all ephemeral ones.",
            "What comes in from outside: a scanner tries every protocol at every port.",
        ],
        assumptions: &[
            "The first payload of the connection is captured, at the observation point that meters it.",
            "The actor is a workload, or its address is local (actors.local, --local).",
        ],
        false_positives: &[
            "A server that was given a free port on purpose: name the port under allowed_ports or its clients under allowed.",
            "A client with `http://` where `https://` belongs, and the other way round.",
        ],
        true_positives: &["anomaly-protocols"],
        benign_twins: &["anomaly-lookalikes"],
        priority: "Low: most are mistakes. Medium where the protocol carries other traffic at a port that firewalls leave open.",
        response: &[
            "The evidence names protocol, port and what gave it away. Is that server meant to speak it?",
            "Find the program: `docker top NAME`, `nsenter -t PID -n ss -tnp`.",
            "Look at who owns the far end, and since when it is contacted.",
            "If it is meant, name the port or the service under rules.protocol-mismatch.",
        ],
        resources: &["https://attack.mitre.org/techniques/T1571/", "https://attack.mitre.org/techniques/T1001/003/"],
    },
};
