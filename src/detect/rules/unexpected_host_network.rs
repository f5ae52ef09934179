//! `unexpected-host-network`.

use std::sync::Arc;

use crate::baseline::{self, Baseline, Hostile};
use crate::detect::debounce::{Next, PendingFindings};
use crate::detect::params::rule_params;
use crate::detect::placement::ByRuntime;
use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, Technique, placement};
use crate::input::{InventoryEvent, NetworkMode, RecordedFact, Workload, WorkloadId};
use crate::inventory::Timeline;
use crate::inventory::configuration::{Field, ServiceKey, Value};
use crate::path::{Evidence, Selector};
use crate::time::Timestamp;

rule_params! {
    /// Workloads that may use the host's network.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// The rule; it remembers which runs of workloads it reported.
#[derive(Debug)]
pub struct UnexpectedHostNetwork {
    allowed: Vec<Selector>,
    /// When the first fact came.
    begun: Option<Timestamp>,
    /// By workload and start.
    reported: PendingFindings<WorkloadId, Option<Timestamp>>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    UnexpectedHostNetwork { allowed: params.allowed.clone(), begun: None, reported: PendingFindings::default() }
}

impl Rule for UnexpectedHostNetwork {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, _findings: &mut Findings) {
        self.begun.get_or_insert(context.now);
        match fact {
            RecordedFact::Inventory(InventoryEvent::Stopped { id, .. }) => self.reported.forget(id),
            RecordedFact::Inventory(InventoryEvent::Reconciled { .. }) => {
                self.reported.keep_subjects(|id| context.timeline.is_running(id));
            }
            _ => {}
        }
    }

    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        self.check(context, workload, findings);
        if workload.network_mode == NetworkMode::Host {
            // Who joined it before it was known can be reported only now.
            let joined = |other: &&Arc<Workload>| {
                placement::joined(context.timeline, other).is_some_and(|owner| owner.id == workload.id)
            };
            context.timeline.running().filter(joined).for_each(|other| self.check(context, other, findings));
        }
    }
}

impl UnexpectedHostNetwork {
    fn check(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        let Context { timeline, now, .. } = context;
        let by_baseline = ByBaseline::of(context.baseline, workload);
        let is_allowed = Selector::any(&self.allowed, workload) || by_baseline == Some(ByBaseline::Approved);
        let is_meant = placement::runs(timeline, workload) && !is_allowed && !timeline.kernel().is_sensor(workload);
        let Some(how) = placement::host_by_runtime(timeline, workload).filter(|_| is_meant) else {
            self.reported.keep(&workload.id, |_| false);
            return;
        };
        self.reported.keep(&workload.id, |since| *since == workload.since);
        if self.reported.observe(&workload.id, workload.since, now, now) != Next::Report {
            return;
        }
        let mut evidence = vec![runtime_word(workload, how), self.start_word(workload), self.policy_word(workload)];
        evidence.extend(by_baseline.map(|word| Evidence::new("baseline", word.text())));
        evidence.extend(kernel_word(timeline, workload));
        let at = workload.since.unwrap_or(now);
        let finding = Finding::of_workload(&META, at, workload, "host network", evidence);
        findings.push(Finding { is_hostile: true, stands: true, ..finding });
    }

    /// Whether its start was observed.
    fn start_word(&self, workload: &Workload) -> Evidence {
        let text = match workload.since {
            Some(since) if self.begun.is_some_and(|begun| since >= begun) => {
                format!("it was started at {}", since.readable())
            }
            Some(since) => {
                format!("it was already running when observation began; started at {}", since.readable())
            }
            None => "it was already running when observation began".to_owned(),
        };
        Evidence::new("start", text)
    }

    /// What policy says, and how to name it there.
    fn policy_word(&self, workload: &Workload) -> Evidence {
        let digest = match workload.image_digest.as_str() {
            "" => "its image digest is not known".to_owned(),
            digest => format!("its image digest is {digest}"),
        };
        let selectors = match self.allowed.len() {
            0 => "no workload is allowed to be there".to_owned(),
            1 => "the one selector that allows it does not match".to_owned(),
            many => format!("none of the {many} selectors that allow it matches"),
        };
        Evidence::new("policy", format!("{selectors}; {digest}"))
    }
}

/// The network mode among the fields of a baseline.
const MODE: Field = Field::single("network.mode");

/// What the baseline says of the host's network for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ByBaseline {
    /// It may be there.
    Approved,
    /// It is expected elsewhere.
    Elsewhere(String),
    /// It is not expected anywhere: the service is not known, or this was not approved.
    Unknown,
}

impl ByBaseline {
    fn of(baseline: Option<&Baseline>, workload: &Workload) -> Option<Self> {
        let service = baseline?.service(&ServiceKey::of(workload));
        let mode = Value::Text(match &workload.network_mode {
            NetworkMode::Container(_) => "another container".to_owned(),
            mode => mode.to_string(),
        });
        Some(match service.and_then(|service| service.expectation(&MODE)) {
            None => Self::Unknown,
            Some(expected) if baseline::holds(expected, &mode) => Self::Approved,
            Some(expected) => Self::Elsewhere(expected.words().unwrap_or_default()),
        })
    }

    fn text(&self) -> String {
        match self {
            Self::Approved => "the baseline expects its service there".to_owned(),
            Self::Elsewhere(mode) => format!("the baseline expects its service in network mode {mode}"),
            Self::Unknown => "the baseline has nothing approved for its service's network".to_owned(),
        }
    }
}

/// The host's network as learning holds it back.
pub(in crate::detect) fn hostile(workload: &Workload) -> Option<Hostile> {
    let reason = "it is in the host's network namespace".to_owned();
    (workload.network_mode == NetworkMode::Host).then_some(Hostile { field: MODE, reason })
}

fn runtime_word(workload: &Workload, how: ByRuntime<'_>) -> Evidence {
    let runtime = &workload.runtime;
    let text = match how {
        ByRuntime::Itself => format!("{runtime} says network mode host"),
        ByRuntime::Joined(owner) => {
            format!("{runtime} says it joined the network of {}, which is the host's", owner.name)
        }
    };
    Evidence::new("runtime", text)
}

/// What the kernel shows, where it was reported already.
fn kernel_word(timeline: &Timeline, workload: &Workload) -> Option<Evidence> {
    let kernel = timeline.kernel();
    let (host, own) = kernel.host().zip(kernel.netns_of(&workload.id))?;
    let text = if host == own {
        format!("the kernel shows its first process in {own}, the host's namespace")
    } else {
        format!(
            "the kernel shows its first process in {own}; hopwatch's host namespace is {host}; the runtime seems to run inside a different host namespace"
        )
    };
    Some(Evidence::new("kernel", text))
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "unexpected-host-network",
    title: "Container runs in the host network namespace",
    severity: Severity::High,
    techniques: &[
        Technique { name: "Deploy Container", v19: "T1610", v18: "T1610" },
        Technique { name: "Escape to Host", v19: "T1611", v18: "T1611" },
    ],
    ads: Ads {
        goal: "Detects a container that shares the host's network namespace without permission: it sees the host's \
             traffic and loopback services, and its own traffic passes no bridge, proxy or per-container monitoring.",
        categorization: "Execution and Privilege Escalation: deploying a container with host networking is a short way around \
             network isolation.",
        strategy: "The runtime's network mode is read at every snapshot, start and reconcile. Mode host, or joining the \
             namespace of a container that has it, fires once a run, unless a selector under \
             `rules.unexpected-host-network.allowed` or an exception matches; name workloads by digest where you can, \
             since a name is anybody's. A baseline that approved network mode host for the service allows it, too. The \
             evidence says whether the start was observed or the container was already running, what policy and the \
             baseline said, and in which namespace the kernel shows its first process.",
        technical_context: "Docker's --network host gives the container the host's interfaces, addresses and sockets; it can bind \
             any port, reach services on 127.0.0.1 and, with NET_RAW, capture. Node exporters, network plugins and \
             some proxies need it legitimately.",
        blind_spots: &[
            "A container that enters the host's namespace later (nsenter, setns), or is there although its runtime \
             says otherwise, is reported by namespace-mismatch; what one does there, by host-network-flow.",
            "What the kernel shows is added only where it came before the runtime's report; the alert does not wait for it.",
            "A container that lives shorter than one inspect call may be known only by its create event.",
            "While the runtime does not answer, nothing is known; /readyz and hopwatch_runtime_connected say so.",
            "hopwatch's own container, which is known by its process, is not reported.",
        ],
        assumptions: &["The runtime's socket can be read.", "The list of allowed workloads is kept up to date."],
        false_positives: &[
            "Monitoring and network agents that are not on the list yet.",
            "Builds that use the host's network for speed.",
        ],
        true_positives: &["host-network-unexpected"],
        benign_twins: &["host-network-allowed"],
        priority: "High: from the moment it runs, isolation and per-container observation are gone.",
        response: &[
            "Who started it? `docker inspect NAME`, the orchestrator's history, the shell history of the host.",
            "Look at its capabilities and mounts: privileged or with the runtime socket it owns the host.",
            "List its sockets: `ss -tanp` on the host shows the container's processes.",
            "If there is no explanation, `docker pause NAME`, keep it as evidence, and look at what it reached on \
             127.0.0.1.",
            "If it is allowed, add it to rules.unexpected-host-network.allowed, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1610/",
            "https://attack.mitre.org/techniques/T1611/",
            "https://docs.docker.com/engine/network/drivers/host/",
        ],
    },
};
