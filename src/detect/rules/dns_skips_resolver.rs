//! `dns-skips-resolver`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::{Ads, RuleMeta, Severity};

/// Parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Whether the rule speaks.
    pub enabled: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "dns-skips-resolver",
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
