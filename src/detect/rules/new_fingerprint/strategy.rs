//! The strategy of `new-fingerprint`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "new-fingerprint",
    title: "Service speaks with a known peer in a way that is not in its baseline",
    severity: Severity::Low,
    techniques: &[
        Technique { name: "Web Protocols", v19: "T1071.001", v18: "T1071.001" },
        Technique { name: "Encrypted Channel", v19: "T1573", v18: "T1573" },
    ],
    ads: Ads {
        goal: "Detects that a service speaks another protocol with a known peer, or greets it with another TLS fingerprint, than its approved baseline holds.",
        categorization: "Command and Control: another program than the service's own uses a path that the service has by right.",
        strategy: "Of each contact with a peer and port of the approved baseline, the protocols that its first bytes show and the JA4 fingerprint of its TLS hello are compared with those \
             that were learned for that peer and port. New is low; medium where the protocol carries other traffic (SSH, SOCKS, a VPN). An entry without protocols, or without fingerprints, \
             has none that are new. The alert names the old ones, which parts of the fingerprint changed, and whether the image is the expected one. One alert per service.",
        technical_context: "JA4 describes a TLS library and how it is used, not a program: several programs have the same one, and one program has several. Its three parts are protocol, \
             server name and ALPN; ciphers; extensions. Protocols are identified positively: what is not known is no change.",
        blind_spots: &[
            "A program that uses the same TLS library, or imitates its hello.",
            "Peers of which more than 16 fingerprints were learned.",
            "What is inside TLS; hellos that were not captured to their end.",
        ],
        assumptions: &[
            "The baseline was learned for long enough, and approved by somebody who read it.",
            "First bytes of connections are captured.",
        ],
        false_positives: &[
            "An update of a library or of the image, a switched feature flag, a second client of the same service that is used rarely.",
            "A person's tool in a debug shell.",
        ],
        true_positives: &["traffic-new"],
        benign_twins: &["traffic-known"],
        priority: "Low: updates change fingerprints. Medium for a protocol that carries others.",
        response: &[
            "The evidence gives the new and the learned values, and whether the image is the expected one.",
            "Find the program: `nsenter -t PID -n ss -tnp`, `docker top NAME`.",
            "Was a package installed, or a shell opened? `docker diff NAME`, and the runtime's exec events.",
            "If it is expected: record some minutes, `hopwatch baseline diff --read RECORDING`, and approve it by its id.",
        ],
        resources: &["https://attack.mitre.org/techniques/T1071/001/", "https://github.com/FoxIO-LLC/ja4"],
    },
};
