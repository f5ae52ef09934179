//! `dns-skips-resolver`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::{Ads, Context, Finding, Rule, RuleMeta, Severity, skipped_hop};
use crate::path::{JudgedFlow, Service};

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

/// The rule; it keeps no state.
#[derive(Debug)]
pub struct DnsSkipsResolver;

/// The rule with its parameters.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    DnsSkipsResolver
}

impl Rule for DnsSkipsResolver {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn on_flow(&mut self, _context: Context<'_>, flow: &JudgedFlow, findings: &mut Vec<Finding>) {
        findings.extend(skipped_hop::finding(&META, Service::Dns, flow));
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
