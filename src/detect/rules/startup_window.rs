//! `startup-window`.

use crate::detect::skipped_hop::SkipRule;
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::path::Skip;

pub use crate::detect::skipped_hop::Params;

/// The rule; it keeps no state.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    SkipRule::new(&META, Skip::Startup)
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "startup-window",
    title: "Container traffic left before its hop was ready",
    severity: Severity::Medium,
    techniques: &[Technique { name: "Impair Defenses: Disable or Modify Tools", v19: "T1685", v18: "T1562.001" }],
    ads: Ads {
        goal: "Detects a workload that sends traffic between its own start and the first moment at which its hop is \
             ready. That traffic went around the hop, or cannot be shown to have passed it.",
        categorization: "Defense Impairment: the control is there, only late. Code that runs first thing at a container's start \
             can count on that window, and a restart opens it again.",
        strategy: "A flow that a contract covers began within `detection.startup_grace` of its workload's start, \
             while no workload of the hop was running, and no flow was seen to pass the hop since that start. If it \
             provably went elsewhere, the verdict is bypassed; if it cannot be shown where it went, it is \
             unobservable (hop_not_ready). In both cases this rule fires instead of the rule for the kind of hop.",
        technical_context: "Compose's `depends_on` waits for a container's start, not for its readiness, unless `condition: \
             service_healthy` says so. Pods start their containers one after the other; sidecars as init containers \
             with `restartPolicy: Always` (Kubernetes 1.29 and later) are ready before the application, ordinary ones \
             are not. VPN containers are up seconds before their tunnel. A kill switch or default-deny filter closes \
             the window.",
        blind_spots: &[
            "A hop counts as ready when it runs: one that runs and does not serve yet is skipped, and the rule for \
             its kind reports that.",
            "Containers that were running before hopwatch started have no window.",
            "A hop that goes away later is no startup; hop-silent and the rule for its kind report that.",
            "Hops named by address alone have no start of their own.",
        ],
        assumptions: &[
            "The runtime reports the start of workload and hop.",
            "Runtime and capture are timed by one clock.",
        ],
        false_positives: &[
            "Stacks that start together without an order: give them one, or write an exception for the workloads that \
             may.",
            "Health checks and name resolution at start: narrow the contract's `to` or `ports`.",
        ],
        true_positives: &["startup-window"],
        benign_twins: &["startup-after-proxy"],
        priority: "Medium: it is mostly a race, but what left has left. Low for an attempt that nobody answered, and where \
             it cannot be shown where it went.",
        response: &[
            "What left in the window? Destinations and bytes are in the alert.",
            "How long was the window? Compare the flow's time with the start order: `docker inspect -f \
             '{{.State.StartedAt}}' NAME HOP`.",
            "Close it: `depends_on` with `condition: service_healthy`, a native sidecar, or a filter that lets only \
             the hop out until it is ready.",
            "Did somebody restart it to open the window? `docker events --since 1h --until 0s --filter \
             container=NAME`.",
            "If it is allowed, write an exception: `hopwatch exceptions add ALERT --help`.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1562/001/",
            "https://docs.docker.com/compose/how-tos/startup-order/",
            "https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/",
        ],
    },
};
