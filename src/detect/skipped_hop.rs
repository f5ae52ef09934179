//! The finding that rules about skipped hops share.
//!
//! Contract: one finding per bypassed flow; an attempt that nobody answered is one severity lower.

use super::{Finding, RuleMeta, Severity};
use crate::inventory::Owner;
use crate::path::{Evidence, JudgedFlow, Skip};

/// The finding for a flow that skipped its hop in this way, if it did.
pub fn finding(rule: &'static RuleMeta, skip: Skip, flow: &JudgedFlow) -> Option<Finding> {
    let judgement = flow.judgement.as_ref().filter(|j| j.skip == Some(skip))?;
    let record = &flow.view.record;
    let reached = flow.answered || (record.tcp.is_none() && record.orig.counters.payload_bytes > 0);
    let mut evidence = judgement.evidence.clone();
    evidence.push(Evidence { kind: "answer".to_owned(), text: answer(flow) });
    let hop = judgement.missing_hop.as_ref().map(|hop| hop.name.clone()).unwrap_or_default();
    Some(Finding {
        rule,
        at: record.start,
        severity: if reached { rule.severity } else { lower(rule.severity) },
        workload: flow.reached.as_ref().unwrap_or(&flow.source).workload().cloned(),
        attribution: Some(flow.source.clone()),
        flow: Some(flow.view.clone()),
        destination: Some(flow.oriented.tuple.resp),
        contract: Some(judgement.contract.to_string()),
        verdict: Some(judgement.verdict),
        missing_hop: judgement.missing_hop.clone(),
        evidence,
        // Without a workload, the address stands for who did it.
        cause: match &flow.source {
            Owner::Workload { .. } => hop,
            _ => format!("{hop} {}", flow.oriented.tuple.orig.ip),
        },
    })
}

fn answer(flow: &JudgedFlow) -> String {
    let record = &flow.view.record;
    if flow.answered {
        "the responder answered".to_owned()
    } else if record.tcp.is_some() && record.resp.counters.packets > 0 {
        "the responder refused the connection: an attempt".to_owned()
    } else if record.tcp.is_some() {
        "no answer seen: an attempt".to_owned()
    } else {
        format!("{} payload bytes sent; no answer seen yet", record.orig.counters.payload_bytes)
    }
}

fn lower(severity: Severity) -> Severity {
    match severity {
        Severity::Critical => Severity::High,
        Severity::High => Severity::Medium,
        Severity::Medium | Severity::Low => Severity::Low,
    }
}
