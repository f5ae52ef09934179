//! What the rules about skipped hops share: each speaks for one way to skip.
//!
//! Contract: a rule speaks for a judged flow exactly when the judge gave that flow its [`Skip`]; a flow has one, so one rule speaks.
//! Limits: keeps no state; the grouping groups by workload, contract and hop.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Findings, Rule, RuleMeta, skipped_hop};
use crate::path::{JudgedFlow, Skip};

/// Parameters of a rule that has nothing to set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Switch")]
pub struct Params {
    /// Whether the rule speaks.
    pub enabled: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// A rule that speaks for one way to skip a hop.
#[derive(Debug)]
pub struct SkipRule {
    meta: &'static RuleMeta,
    skip: Skip,
}

impl SkipRule {
    /// For this way.
    pub const fn new(meta: &'static RuleMeta, skip: Skip) -> Self {
        Self { meta, skip }
    }
}

impl Rule for SkipRule {
    fn meta(&self) -> &'static RuleMeta {
        self.meta
    }

    fn on_flow(&mut self, _context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        if let Some(finding) = skipped_hop::finding(self.meta, self.skip, flow) {
            findings.push(finding);
        }
    }
}

#[cfg(test)]
#[path = "skip_rule/tests.rs"]
mod tests;
