//! The strategy of `beacon`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "beacon",
    title: "Regular contact with one peer",
    severity: Severity::Low,
    techniques: &[
        Technique { name: "Application Layer Protocol: Web Protocols", v19: "T1071.001", v18: "T1071.001" },
        Technique { name: "Application Layer Protocol: DNS", v19: "T1071.004", v18: "T1071.004" },
        Technique { name: "Non-Standard Port", v19: "T1571", v18: "T1571" },
    ],
    ads: Ads {
        goal: "Detects a service or an address that contacts the same peer again and again at nearly equal intervals, as an implant does when it polls its control server; \
             with a jitter of up to 40 %.",
        categorization: "Command and Control: an implant has to call, because it cannot be called.",
        strategy: "For each actor, peer (server name, HTTP host, else address), port and protocol the starts of answered and one-sided contacts are kept; inside a connection, also \
             each time one end sends something new after 2 s in which nobody sent anything (64 times a record; what keeps a connection alive does not count). \
             Of questions to a resolver, those for names below one registered domain that were not among the last 64 count. Of the last 32 intervals \
             D1 = median|x − m| ÷ m and D2 = (P90 − P10) ÷ m are compared with what arrivals without memory reach in one of 1,000 cases. A series is looked at \
             after 6, 8, 12, 16, 24 and 32 intervals, then after every 32; it must span a minute and six periods, and 60 % of its periods must have a contact. Regularity \
             finds and does not judge: the alert is low, one for all regular contacts of an actor. After an hour or 60 contacts it is medium if the peer is \
             outside and has no name although other contacts of the actor have.",
        technical_context: "Most that is regular is harmless: telemetry, updates, health checks, heartbeats. Time, leases and discovery on the link are never series; neither are failed contacts (a \
             retry is regular) nor contacts that come in (a scrape).",
        blind_spots: &[
            "Jitter of more than half a period, exponential sleep, fewer than 7 contacts, one contact a day.",
            "Inside one connection: a channel that is never silent for 2 s.",
            "Another name in each contact is another series; questions for the same name again, which its cache may answer, are none.",
            "Traffic that is shaped like the service's own.",
            "Of one actor 256 peers are followed; the one that was quiet longest makes room.",
        ],
        assumptions: &[
            "The start of each contact is seen.",
            "The actor is a workload, or its address is local (actors.local, --local).",
        ],
        false_positives: &[
            "Telemetry, update and connectivity checks, polls of feeds and registries.",
            "Heartbeats of client libraries and of protocols that keep their connection, connection pools, monitoring agents that report by themselves.",
            "Loops that wait for a deploy, and cron.",
        ],
        true_positives: &["beacon-regular"],
        benign_twins: &["beacon-twin"],
        priority: "Low: regular contact is common. Medium where it lasts and the peer has no name.",
        response: &[
            "The evidence gives peer, period, jitter and number; `objects` lists all regular contacts of this actor.",
            "Whose is the peer? Does the image's documentation name it, and this period?",
            "Find the program: `nsenter -t PID -n ss -tnp`, `docker top NAME`; was it there when the container started?",
            "If it is expected, approve it in the baseline or name the service under rules.beacon.allowed.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1071/001/",
            "https://github.com/activecm/rita",
            "https://www.elastic.co/security-labs/identifying-beaconing-malware-using-elastic",
        ],
    },
};
