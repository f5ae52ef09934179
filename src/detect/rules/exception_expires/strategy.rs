//! What the rule is.

use crate::detect::{Ads, RuleMeta, Severity};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "exception-expires",
    title: "An exception expires soon, or expired without ever being used",
    severity: Severity::Low,
    techniques: &[],
    ads: Ads {
        goal: "Reports an exception before it expires, so that its owner decides whether it is still needed and nobody is woken by what was allowed yesterday; \
             and one that has expired and never held back anything, so that it leaves the configuration.",
        categorization: "No technique: it is about hopwatch's own configuration. An exception that nobody needs is a gap that stays open for anybody who finds it.",
        strategy: "Each exception has a date. `days` before it an alert says so, with the owner, the reason and how often the exception held something back since \
             hopwatch started. At the date itself the alert ends if the exception was used (what it allowed is reported again from then on, and says that the \
             exception expired); if it was not, an alert says that it expired and held back nothing. There is one alert for each name, and none is repeated. \
             An exception that gets another date, or is taken out, by a reload ends its alert. What had come about before hopwatch started is reported with the \
             time at which it did, so that the alert has the same id after each restart, and `hopwatch alerts` and the outbox have it once.",
        technical_context: "The times are event times: a replay says what would have been said then. `hopwatch exceptions list` shows the same with the last use; the metric \
             `hopwatch_exception_expires_timestamp_seconds` and the alerting rule `HopwatchExceptionExpires` are for those who watch hopwatch with Prometheus.",
        blind_spots: &[
            "What an exception held back is counted from hopwatch's start: one that expired before, or was used before the last restart only, counts as unused.",
            "Kept alerts leave after 30 days; an exception that is still there then is reported again at the next start.",
        ],
        assumptions: &["Somebody reads alerts of low severity."],
        false_positives: &[
            "An exception for something that happens once a quarter, which expired between two of them.",
        ],
        true_positives: &["exception-expires"],
        benign_twins: &["exception-lasts"],
        priority: "Low: nothing happened; something will be reported again, or something may leave.",
        response: &[
            "See all of them with their use: `hopwatch exceptions list`.",
            "Is it still needed? Ask its owner. If so, give it another date and reload: `systemctl reload hopwatch`.",
            "If not, take out what has expired: `hopwatch exceptions expire > expired.patch`, read the patch, apply it, reload.",
        ],
        resources: &["docs/configuration.md", "https://github.com/palantir/alerting-detection-strategy-framework"],
    },
};
