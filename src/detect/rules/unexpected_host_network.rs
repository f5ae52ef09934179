//! `unexpected-host-network`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::{Ads, Context, Finding, Rule, RuleMeta, Severity};
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

    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Vec<Finding>) {
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
        NetworkMode::Own | NetworkMode::None => None,
    }
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "unexpected-host-network",
    title: "",
    severity: Severity::High,
    techniques: &[],
    ads: Ads {
        goal: "",
        categorization: "",
        strategy: "",
        technical_context: "",
        blind_spots: &[],
        assumptions: &[],
        false_positives: &[],
        true_positives: &[],
        benign_twins: &[],
        priority: "",
        response: &[],
        resources: &[],
    },
};
