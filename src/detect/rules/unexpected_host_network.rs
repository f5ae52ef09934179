//! `unexpected-host-network`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, Technique};
use crate::input::{NetworkMode, Workload, WorkloadState};
use crate::inventory::Timeline;
use crate::path::{Evidence, Selector};

/// Parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Whether the rule speaks.
    pub enabled: bool,
    /// Workloads that may use the host's network.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<Selector>,
}

impl Default for Params {
    fn default() -> Self {
        Self { enabled: true, allowed: Vec::new() }
    }
}

/// The rule; the engine calls it only when a workload changed, so it keeps no state.
#[derive(Debug)]
pub struct UnexpectedHostNetwork {
    allowed: Vec<Selector>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    UnexpectedHostNetwork { allowed: params.allowed.clone() }
}

impl Rule for UnexpectedHostNetwork {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        let runs = matches!(workload.state, WorkloadState::Running | WorkloadState::Paused);
        let allowed = self.allowed.iter().any(|selector| selector.matches(workload));
        let Some(text) = host_network(context.timeline, workload).filter(|_| runs && !allowed) else { return };
        findings.push(Finding {
            rule: &META,
            at: workload.since.unwrap_or(context.now),
            severity: META.severity,
            workload: Some(Arc::clone(workload)),
            attribution: None,
            flow: None,
            destination: None,
            contract: None,
            verdict: None,
            missing_hop: None,
            evidence: vec![Evidence { kind: "runtime".to_owned(), text }],
            cause: "host network".to_owned(),
        });
    }
}

/// How the workload shares the host's network, in a sentence; `None` when it does not.
fn host_network(timeline: &Timeline, workload: &Workload) -> Option<String> {
    match &workload.network_mode {
        NetworkMode::Host => Some(format!("{} says network mode host", workload.runtime)),
        NetworkMode::Container(joined) => {
            let joined = timeline.workload(joined).filter(|owner| owner.network_mode == NetworkMode::Host)?;
            Some(format!("{} says it joined the network of {}, which is the host's", workload.runtime, joined.name))
        }
        NetworkMode::Own | NetworkMode::None | NetworkMode::Rootless(_) => None,
    }
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "unexpected-host-network",
    title: "Container runs in the host network namespace",
    severity: Severity::High,
    techniques: &[Technique { name: "Deploy Container", v19: "T1610", v18: "T1610" }, Technique { name: "Escape to Host", v19: "T1611", v18: "T1611" }],
    ads: Ads {
        goal: "Tell when a container shares the host's network namespace although nobody allowed it: it sees the host's \
             traffic and loopback services, and its own traffic passes no bridge, proxy or per-container monitoring.",
        categorization: "Execution and Privilege Escalation: deploying a container with host networking is a short way around \
             network isolation.",
        strategy: "The runtime's network mode is read at every snapshot, start and reconcile. Mode host, or joining the \
             namespace of a container that has it, fires unless a selector under \
             `rules.unexpected-host-network.allowed` matches; name allowed workloads by digest where you can.",
        technical_context: "Docker's --network host gives the container the host's interfaces, addresses and sockets; it can bind \
             any port, reach services on 127.0.0.1 and, with NET_RAW, capture. Node exporters, network plugins and \
             some proxies need it legitimately.",
        blind_spots: &[
            "A container that enters the host's namespace later (nsenter, setns) is not seen by the runtime's word; \
             comparing with the kernel is planned.",
            "A container that lives shorter than one inspect call may be known only by its create event.",
            "While the runtime does not answer, nothing is known; /readyz and hopwatch_runtime_connected say so.",
        ],
        assumptions: &[
            "The runtime's socket can be read.",
            "The list of allowed workloads is kept up to date.",
        ],
        false_positives: &[
            "Monitoring and network agents that are not on the list yet.",
            "Builds that use the host's network for speed.",
        ],
        true_positives: &[
            "host-network-unexpected",
        ],
        benign_twins: &[
            "host-network-allowed",
        ],
        priority: "High: from the moment it runs, isolation and per-container observation are gone.",
        response: &[
            "Who started it? `docker inspect NAME`, the orchestrator's history, the shell history of the host.",
            "Look at its capabilities and mounts: privileged or with the runtime socket it owns the host.",
            "List its sockets: `ss -tanp` on the host shows the container's processes.",
            "If nobody can explain it, `docker pause NAME`, keep it as evidence, and look at what it reached on \
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
