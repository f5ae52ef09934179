//! The strategy of `new-destination`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "new-destination",
    title: "Service contacts an external peer that is not in its baseline",
    severity: Severity::Low,
    techniques: &[
        Technique { name: "Application Layer Protocol", v19: "T1071", v18: "T1071" },
        Technique { name: "Web Service", v19: "T1102", v18: "T1102" },
    ],
    ads: Ads {
        goal: "Detects that a service contacts a domain or a network of the internet that is not in its approved baseline, or a known one at another port.",
        categorization: "Command and Control: an implant calls out to where the service never went.",
        strategy: "Each contact of a service that was answered (or a datagram that was sent) is compared with the traffic part of its approved baseline. The name comes before the \
             address: SNI and `Host` of the flow, else what the service asked DNS for; its registered domain counts, so that a CDN that rotates is no news. An address that never \
             had a name stands for its /24 or /48. New is low; medium without a name although the service reaches others by name, with a protocol that is not known, or at an unusual \
             port. One alert per service, which counts up and lists what was new.",
        technical_context: "A service without a traffic part in the baseline raises nothing, and `hopwatch audit` says so. Where the baseline knows names, an address without one counts \
             after the service's questions were watched for an hour (`watch_names`): an answer that was cached before is not seen. Below a provider such as `cloudfront.net` or \
             `github.io` each customer's full name counts.",
        blind_spots: &[
            "A name that the client writes: SNI or `Host` of a known domain passes (domain fronting).",
            "Another customer of a provider that is not in the short list of providers; another path of a known site.",
            "What goes through a proxy: the proxy is the destination, and CONNECT's target is not compared.",
            "A service whose baseline knows names, while DNS answers are not seen: an address without a name is withheld.",
            "What an attacker did while it was learned, and raised no alert.",
        ],
        assumptions: &[
            "The baseline was learned for long enough, and approved by somebody who read it.",
            "The service's traffic is captured.",
        ],
        false_positives: &[
            "A new version of the image, a feature that was switched on, a library that asks elsewhere.",
            "A weekly or monthly job, a certificate's revocation list, a service that was never restarted while it was learned.",
            "A provider that moved, a peer without a name that got addresses of another network.",
        ],
        true_positives: &["traffic-new"],
        benign_twins: &["traffic-known"],
        priority: "Low: most news is a deployment. Medium where a second sign stands beside it.",
        response: &[
            "The evidence lists each new destination with its name, how that is known, and what the baseline holds.",
            "Was the service deployed or restarted? `hopwatch baseline diff` shows whether its image or settings changed, too.",
            "Find the program: `nsenter -t PID -n ss -tnp`, `docker top NAME`.",
            "If it is expected: record some minutes, `hopwatch baseline diff --read RECORDING`, and approve it by its id.",
        ],
        resources: &["https://attack.mitre.org/techniques/T1071/", "https://attack.mitre.org/techniques/T1102/"],
    },
};
