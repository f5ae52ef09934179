//! What the configuration says of severities: what a rule's findings are worth, and where less is at stake.
//!
//! Contract: the first setting that fits gives a finding its severity, in place of the rule's own; then the first maintenance window or environment
//! that fits may lower it. The evidence says each. Findings that end an alert stay as they are. Design: granted by the configuration alone.

use super::lowering::{self, Lowering};
use crate::detect::{Finding, Severity};
use crate::path::{Evidence, Selector};

/// All that the configuration says of severities.
#[derive(Clone, Debug, Default)]
pub struct SeverityPolicy {
    /// Severities in place of the rules' own, in their order.
    pub set: Vec<SetSeverity>,
    /// Maintenance windows, then environments.
    pub lowered: Vec<Lowering>,
}

/// A severity in place of a rule's own.
#[derive(Clone, Debug)]
pub struct SetSeverity {
    /// Whose findings.
    pub rule: String,
    /// About which workloads; empty: about any, and about none.
    pub workloads: Vec<Selector>,
    /// The severity that they get.
    pub severity: Severity,
    /// Why.
    pub reason: String,
}

impl SeverityPolicy {
    /// Gives a finding the severity that the configuration wants.
    pub(super) fn apply(&self, finding: &mut Finding) {
        if finding.is_over {
            return;
        }
        if let Some(set) = self.set.iter().find(|set| set.fits(finding)) {
            set.apply(finding);
        }
        lowering::lower(&self.lowered, finding);
    }
}

impl SetSeverity {
    fn fits(&self, finding: &Finding) -> bool {
        let selects = || finding.workload.as_ref().is_some_and(|workload| Selector::any(&self.workloads, workload));
        finding.rule.name == self.rule && (self.workloads.is_empty() || selects())
    }

    fn apply(&self, finding: &mut Finding) {
        if finding.severity == self.severity {
            return;
        }
        let (before, after) = (finding.severity.as_str(), self.severity.as_str());
        finding.severity = self.severity;
        let text = format!("the configuration makes this {after} in place of {before}: {}", self.reason);
        finding.evidence.push(Evidence::new("severity", text));
    }
}
