//! Rules about skipped hops: each reports one way to skip.
//!
//! Contract: a rule reports a judged flow exactly when the judge gave that flow its [`Skip`]; a flow has one, so one rule reports it. An
//! attempt that nobody answered is one severity lower, and so is a flow that cannot be shown to have skipped the hop.
//! Limits: keeps no state; alerts are grouped by workload, contract and hop.

use std::net::IpAddr;

use super::params::rule_params;
use super::{Context, Finding, Findings, Rule, RuleMeta};
use crate::inventory::Owner;
use crate::path::{Evidence, JudgedFlow, MissingHop, Skip, Verdict};

rule_params! {
    #![schemars(rename = "Switch")]
}

/// A rule that reports one way to skip a hop.
#[derive(Debug)]
pub struct SkipRule {
    meta: &'static RuleMeta,
    skip: Skip,
    also: Option<fn(&JudgedFlow) -> Evidence>,
}

impl SkipRule {
    /// For this way.
    pub const fn new(meta: &'static RuleMeta, skip: Skip) -> Self {
        Self { meta, skip, also: None }
    }

    /// Adds one more piece of evidence.
    pub const fn also(self, evidence: fn(&JudgedFlow) -> Evidence) -> Self {
        Self { also: Some(evidence), ..self }
    }
}

impl Rule for SkipRule {
    fn is_about_skips_alone(&self) -> bool {
        true
    }

    fn on_flow(&mut self, _context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        if let Some(mut finding) = finding(self.meta, self.skip, flow) {
            finding.evidence.extend(self.also.map(|also| also(flow)));
            findings.push(finding);
        }
    }
}

/// The finding for a flow that skipped its hop in this way, if it did.
fn finding(rule: &'static RuleMeta, skip: Skip, flow: &JudgedFlow) -> Option<Finding> {
    let judgement = flow.judgement.as_ref().filter(|j| j.skip == Some(skip))?;
    let record = &flow.view.record;
    let reached = flow.answered || record.orig.counters.payload_bytes > 0;
    let is_sure = !matches!(judgement.verdict, Verdict::Unobservable(_));
    let mut evidence = judgement.evidence.clone();
    evidence.push(Evidence::new("answer", answer(flow)));
    let hop = judgement.missing_hop.as_ref().map(MissingHop::name).unwrap_or_default();
    let (owner, address) = subject(skip, flow);
    let cause = if owner.workload().is_some() { hop } else { format!("{hop} {address}") };
    Some(Finding {
        severity: if reached && is_sure { rule.severity } else { rule.severity.lower() },
        workload: owner.workload().cloned(),
        attribution: Some(owner.clone()),
        flow: Some(flow.view.clone()),
        destination: Some(flow.oriented.tuple.resp),
        name: None,
        contract: Some(judgement.contract.to_string()),
        verdict: Some(judgement.verdict),
        missing_hop: judgement.missing_hop.clone(),
        is_revision: matches!(flow.revised_from, Some(Verdict::Bypassed | Verdict::Partial)),
        // Without a workload, the address stands for it.
        ..Finding::of_nobody(rule, record.start, &cause, evidence)
    })
}

/// Whom the alert is about: who sent it, or for what came in, who was reached.
fn subject(skip: Skip, flow: &JudgedFlow) -> (&Owner, IpAddr) {
    let tuple = flow.oriented.tuple;
    if skip == Skip::Ingress { (&flow.responder, tuple.resp.ip) } else { (&flow.source, tuple.orig.ip) }
}

fn answer(flow: &JudgedFlow) -> String {
    let record = &flow.view.record;
    if flow.answered {
        "the responder answered".to_owned()
    } else if record.tcp.is_some() && record.orig.counters.payload_bytes > 0 {
        format!("{} payload bytes left without an answer", record.orig.counters.payload_bytes)
    } else if record.tcp.is_some() && record.resp.counters.packets > 0 {
        "the responder refused the connection: an attempt".to_owned()
    } else if record.tcp.is_some() {
        "no answer seen: an attempt".to_owned()
    } else {
        format!("{} payload bytes sent; no answer seen yet", record.orig.counters.payload_bytes)
    }
}

#[cfg(test)]
#[path = "skipped_hop/tests.rs"]
mod tests;
