//! The strategy of `anonymizer`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "anonymizer",
    title: "Traffic hides its destination",
    severity: Severity::Low,
    techniques: &[
        Technique { name: "Multi-hop Proxy", v19: "T1090.003", v18: "T1090.003" },
        Technique { name: "External Proxy", v19: "T1090.002", v18: "T1090.002" },
        Technique { name: "Encrypted Channel", v19: "T1573", v18: "T1573" },
    ],
    ads: Ads {
        goal: "Detects a service or an address that uses a proxy, a VPN, Tor or a protocol that is made to look like nothing, so that its destination is not seen.",
        categorization: "Command and Control: the far end that shows is not the one that is meant.",
        strategy: "Certain (medium): SOCKS to the outside; OpenVPN and WireGuard handshakes of plain addresses (tunnel-from-container reports those of containers). \
             Named (low): a name below one of a short list of such services was asked for, or is in the TLS hello. Likely (low, medium from \
             `likely_medium` connections of an actor whose names are seen): a TLS hello without ALPN to an address that no answer names, with a name as Tor makes them up; \
             a browser's TLS hello (ciphers of Chrome, Firefox or Safari, HTTP/2) that asks for no name, to such an address; \
             and ciphertext from the first byte on, over TCP to an outside address that no answer names: 3.4 to 4.6 bits set a byte, the first six bytes not \
             all printable, at most half printable, no twenty printable in a row, no known protocol.",
        technical_context: "Shadowsocks, VMess and obfs4 encrypt everything, so that no byte has a meaning; that itself is rare. Tor's TLS looks ordinary but for its made-up names. \
             A capture that begins in the middle of connections shows ciphertext everywhere, so only those count whose SYN was seen.",
        blind_spots: &[
            "TLS in TLS, and what hides inside real TLS or QUIC (Trojan, MASQUE, domain fronting).",
            "Encrypted protocols with a printable or fixed start, and first segments of less than 32 bytes.",
            "Where questions of name resolution are not seen, no address has a name: likely signs stay low.",
            "Services that are not on the list.",
        ],
        assumptions: &[
            "The first payload of the connection is captured, and for likely signs the questions of name resolution.",
            "The actor is a workload, or its address is local (actors.local, --local).",
        ],
        false_positives: &[
            "VPN and proxy clients by intent: name them under rules.anonymizer.allowed.",
            "Games, telephony and backups with a compressed or encrypted protocol of their own.",
            "A person who reads such a service's web page, or who types an address in a browser.",
        ],
        true_positives: &["anomaly-anonymizer"],
        benign_twins: &["anomaly-lookalikes"],
        priority: "Low: most are likely, not certain. Medium where the protocol is certain or the likely ones repeat.",
        response: &[
            "The evidence gives the sign and the far end. Is that a VPN or a proxy that the service is for?",
            "Find the program: `docker top NAME`, `nsenter -t PID -n ss -tnp`.",
            "Look at who owns the far end, and at how much went there.",
            "If it is meant, name the service under rules.anonymizer.allowed.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1090/003/",
            "https://www.usenix.org/conference/usenixsecurity23/presentation/wu-mingshi",
            "https://github.com/FoxIO-LLC/ja4",
        ],
    },
};
