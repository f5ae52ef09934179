//! What the rule is.

use crate::detect::{Ads, RuleMeta, Severity};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "exception-expires",
    title: "An exception expires soon, or expired and no use of it was seen",
    severity: Severity::Low,
    techniques: &[],
    ads: Ads {
        goal: "Reports an exception before it expires, so that its owner decides whether it is still needed and nobody is woken by what was allowed yesterday; \
             and one that has expired without a use that was seen, so that it leaves the configuration.",
        categorization: "No technique: it is about hopwatch's own configuration. An exception that nobody needs is a gap that stays open for anybody who finds it.",
        strategy: "Each exception has a date. `days` before it an alert says so, with the owner, the reason, how often the exception held something back and since when that is \
             counted. At the date itself that alert ends (what the exception allowed is reported again from then on, and says that the exception expired), unless the exception held back \
             nothing and this run of hopwatch saw the whole time from `days` before the date: an alert says that it expired unused. What was used before the start is not known. \
             Another date, and an exception that a reload takes out and brings back, keep the count; other `days` begin a new one. \
             An exception that gets another date, or is taken out, by a reload ends its alert. What came near its date before hopwatch started is reported with the \
             time at which it did: after a restart with the same `days` that is the alert of the run before, with its id, unless a reload had brought the exception.",
        technical_context: "The times are event times: a replay says what would have been said then. `hopwatch exceptions list` shows the same with the last use; the metric \
             `hopwatch_exception_expires_timestamp_seconds` and the alerting rule `HopwatchExceptionExpires` are for those who watch hopwatch with Prometheus.",
        blind_spots: &[
            "What an exception held back before hopwatch started, or before `days` was changed, is not known: one that expires less than `days` later is not reported as unused, and one that was used only before counts as unused later.",
            "Of exceptions that were used and taken out of the configuration the use of 1,024 is remembered.",
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
