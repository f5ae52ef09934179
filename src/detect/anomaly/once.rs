//! Which flows were reported, and a finding about one.
//!
//! Contract: a flow is reported once. Limits: [`MAX_FLOWS`] flows; beyond, one is reported again.

use std::collections::BTreeSet;

use super::actors::Actor;
use super::explanation::Explanation;
use crate::detect::{Context, Finding, RuleMeta, Severity, name_of};
use crate::input::{FlowEvent, FlowEventKind, FlowId, FlowRecord};
use crate::path::JudgedFlow;

/// Flows that are known to be reported.
const MAX_FLOWS: usize = 65_536;

/// The flows that were reported and go on.
#[derive(Debug, Default)]
pub struct Once {
    flows: BTreeSet<FlowId>,
}

impl Once {
    /// Whether a flow is not reported yet; from now on it is.
    pub fn is_new(&mut self, flow: &JudgedFlow) -> bool {
        let id = flow.view.record.id;
        if flow.over || self.flows.len() >= MAX_FLOWS && !self.flows.contains(&id) {
            return true;
        }
        self.flows.insert(id)
    }

    /// Forgets a flow that has ended.
    pub fn progress(&mut self, flow: &JudgedFlow, event: &FlowEvent) {
        if matches!(event.kind, FlowEventKind::Ended(_)) {
            self.flows.remove(&flow.view.record.id);
        }
    }
}

/// What a rule found in a flow of an actor; `record` is as the one who asked reads it.
#[derive(Debug)]
pub struct InFlow<'a> {
    /// Which rule.
    pub rule: &'static RuleMeta,
    /// The flow as it was judged.
    pub flow: &'a JudgedFlow,
    /// The flow as it stands.
    pub record: &'a FlowRecord,
    /// Whose doing.
    pub actor: &'a Actor,
}

impl InFlow<'_> {
    /// The finding.
    pub fn finding(&self, context: Context<'_>, severity: Severity, cause: &str, why: Explanation) -> Finding {
        Finding {
            severity,
            attribution: Some(self.flow.source.clone()),
            flow: Some(self.flow.view.clone()),
            destination: Some(self.record.tuple.resp),
            name: name_of(context, self.flow, self.record),
            ..Finding::of_actor(self.rule, self.record.start, self.actor, cause, why)
        }
    }
}
