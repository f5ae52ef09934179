//! The strategy of `new-listener`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "new-listener",
    title: "Service answers at a port that is not in its baseline",
    severity: Severity::Medium,
    techniques: &[
        Technique { name: "Non-Standard Port", v19: "T1571", v18: "T1571" },
        Technique { name: "External Remote Services", v19: "T1133", v18: "T1133" },
    ],
    ads: Ads {
        goal: "Detects that a service completes connections, or answers datagrams, at a port at which it never did while its approved baseline was learned.",
        categorization: "Persistence and Command and Control: a bind shell or a proxy waits to be asked.",
        strategy: "A connection to a service whose handshake was completed and that carried something, or a datagram that it answered, at a port that no entry `listens` of its approved \
             baseline has. Eight different ephemeral ports that were learned are one range. Medium; low where only the host asks. One alert per service, which counts up and lists the ports.",
        technical_context: "A port that is open and that nobody asks is not seen by its traffic. A scan makes a service answer at its ports, too: those that are known are no news, and \
             the scan has a rule of its own. The direction must be certain: the handshake was seen.",
        blind_spots: &[
            "A listener at a port that the baseline holds, or in a learned range.",
            "A listener inside a container that is reached over its loopback interface.",
            "A shell that calls out instead of waiting: `new-destination`.",
            "What an attacker did while it was learned, and raised no alert.",
        ],
        assumptions: &[
            "The baseline was learned while the service's ports were in use.",
            "The service's traffic is captured.",
        ],
        false_positives: &[
            "A new version with a metrics or debug port; a port that was open and that nobody asked during the learning.",
            "Passive FTP and RPC with few transfers during the learning.",
        ],
        true_positives: &["traffic-new"],
        benign_twins: &["traffic-known"],
        priority: "Medium: services rarely open ports between deployments.",
        response: &[
            "The evidence names the port, who asked, and what is spoken there.",
            "Find the process: `nsenter -t PID -n ss -ltnup`, and when it started.",
            "Is the port declared by the image (`EXPOSE`), or named in its configuration?",
            "If it is expected: record some minutes, `hopwatch baseline diff --read RECORDING`, and approve it by its id.",
        ],
        resources: &["https://attack.mitre.org/techniques/T1571/", "https://attack.mitre.org/techniques/T1133/"],
    },
};
