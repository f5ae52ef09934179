//! `unexpected-host-network`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::{Ads, RuleMeta, Severity};
use crate::path::Selector;

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
