//! The strategy of `volume-anomaly`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "volume-anomaly",
    title: "Much more or less traffic than such hours have",
    severity: Severity::Low,
    techniques: &[
        Technique { name: "Network Denial of Service", v19: "T1498", v18: "T1498" },
        Technique { name: "Resource Hijacking", v19: "T1496", v18: "T1496" },
        Technique { name: "Service Stop", v19: "T1489", v18: "T1489" },
    ],
    ads: Ads {
        goal: "Detects an hour in which a service has far more or far less traffic than its approved baseline knows of such hours, and silence of a service that always talks.",
        categorization: "Impact: resources are used for something else, or a service was stopped or cut off.",
        strategy: "For each service payload, packets and contacts of an hour are counted in each direction, for one container. With y = ln(1 + x), median m and spread \
             s = max(1.4826 × MAD, 0.25) of the same hours in the baseline, z = (y − m) ÷ s. An hour is reported where |z| ≥ 6, or ≥ 4 in three hours in a row, if it is a \
             megabyte, 10,000 packets or 100 contacts away from the median, and more than 28 % outside of all that was seen in such hours, in those beside them, and at this hour of \
             the other kind of day. Such hours are the same hour of the week (from 4 values on), else the same hour of days of work or of rest (from 6), else all (from 24). \
             Silence: at least 20 contacts are expected, no such hour was ever without, and there is nothing at all, until five minutes after the hour.",
        technical_context: "Hours go by the clock that `time_zone` named while learning, because people and cron do; the two hours at which it is changed are left out. Hours in which a \
             container started are neither learned nor judged. A service that scales stays the same: figures are of one container. Median and median deviation \
             are not moved by one spike, as mean and standard deviation are.",
        blind_spots: &[
            "Slow growth, and what moves with the season.",
            "A spike as large as one that was seen in such hours while learning.",
            "A service without a volume in the approved baseline, or that was never heard since hopwatch started.",
            "Silence of everybody: then it is the observation that may have ended.",
            "A job that comes once a week is not known before the second week.",
        ],
        assumptions: &[
            "The baseline was learned from whole hours, and approved.",
            "The runtime reports which containers run; both directions are seen, and flows are reported while they go on.",
        ],
        false_positives: &[
            "The end of a month, a campaign, an import, a backup at another time, a cold cache after a deployment.",
            "A holiday in a baseline that saw no weekend; maintenance.",
        ],
        true_positives: &["volume-anomaly"],
        benign_twins: &["volume-anomaly-twin"],
        priority: "Low: amounts alone do not tell what was done. One alert per service, direction and day.",
        response: &[
            "The evidence gives each figure, what is expected, and from which hours that is known.",
            "More: whom with? `hopwatch observe` lists its flows, live or of a recording.",
            "Less, or silence: does the service still do its work? Read its log, and what it depends on.",
            "If it is expected, `hopwatch baseline diff --read RECORDING` lists it, and `hopwatch baseline approve ID` accepts it.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1498/",
            "https://attack.mitre.org/techniques/T1496/",
            "https://attack.mitre.org/techniques/T1489/",
        ],
    },
};
