//! The strategy of `dns-anomaly`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "dns-anomaly",
    title: "Name resolution carries data, or asks for what does not exist",
    severity: Severity::Medium,
    techniques: &[
        Technique { name: "DNS", v19: "T1071.004", v18: "T1071.004" },
        Technique { name: "Protocol Tunneling", v19: "T1572", v18: "T1572" },
        Technique { name: "Exfiltration Over Unencrypted Non-C2 Protocol", v19: "T1048.003", v18: "T1048.003" },
        Technique { name: "Domain Generation Algorithms", v19: "T1568.002", v18: "T1568.002" },
    ],
    ads: Ads {
        goal: "Detects names that carry data below one domain, by statistics over all questions of an actor, and actors whose questions mostly ask for domains that do not exist.",
        categorization: "Command and Control, Exfiltration: names pass where nothing else does.",
        strategy: "For each actor and registered domain, over ten minutes in two halves and over a day, whatever the resolver, one score: bytes of the labels of new different names \
             (2,000 in ten minutes, or 20,000 in a day with 200 names: 3 points); a third of the types NULL, TXT, KEY or private (2); three names with bytes that no host name has (2); \
             40 characters before the domain on average, or irregular labels (1); four times as many bytes answered as asked (1); twenty names, hardly any asked twice (1). 4 points are medium, \
             6 high. Apart from that: 20 registered domains that do not exist within ten minutes, and half of all questions, are a storm (low). Reverse names and `local` are left out; \
             search lists add one registered domain each.",
        technical_context: "iodine, dnscat2 and dns2tcp put some 30 to 200 bytes into each name. The bytes of new names are what the channel can move; length and irregularity alone would accuse \
             content networks. Malware that generates its domains finds one in hundreds; the others do not exist.",
        blind_spots: &[
            "A tunnel of less than 2,000 bytes in ten minutes and 20,000 a day, and one over many domains.",
            "A single question that carries a file's name.",
            "CNAME, MX and SRV whose answers are never contacted are not told from others.",
            "Generated names that exist, and whether a name looks generated: only that it does not exist counts.",
            "Questions over TLS, HTTPS or QUIC; the 257th and later question of one flow.",
            "Registered domains are cut by a short list of registries, so that customers of an unlisted registry are counted together.",
        ],
        assumptions: &["Questions pass an observation point between the actor and its resolver."],
        false_positives: &[
            "Reputation and virus look-ups that ask by digest, measurement with a name for each request: name the service under rules.dns-anomaly.allowed, or raise tunnel.bytes.",
            "Resolvers that pass on what others ask, crawlers and mail filters.",
        ],
        true_positives: &["anomaly-dns"],
        benign_twins: &["anomaly-lookalikes"],
        priority: "Medium from 4 points, high from 6: then several independent parts agree. A storm alone is low.",
        response: &[
            "The evidence shows each part of the score. Who serves the domain? `dig NS DOMAIN`.",
            "Find the program: `docker top NAME`, `nsenter -t PID -n ss -unap`.",
            "Block the domain at the resolver, and keep a capture of the questions.",
            "If it is meant, name the service under rules.dns-anomaly.allowed.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1071/004/",
            "https://attack.mitre.org/techniques/T1568/002/",
            "https://github.com/ntop/nDPI/issues/1397",
        ],
    },
};
