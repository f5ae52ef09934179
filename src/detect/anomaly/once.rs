//! Which flows were reported, a finding about one, and the rules that look at each record of a flow for it.
//!
//! Contract: a flow is reported once; [`OnRecords`] asks its rule when a flow is judged and each time it goes on. Limits: [`MAX_FLOWS`] flows; beyond, one is reported again.

use std::collections::BTreeSet;

use super::actor::Actor;
use super::explanation::Explanation;
use crate::detect::{Context, Finding, Findings, Rule, RuleMeta, Severity, name_of};
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

/// A rule about what the record of one flow says.
pub trait RecordRule: std::fmt::Debug + Send {
    /// What it finds in a record, as the one who asked reads it. It asks [`Once::is_new`] last: from then on the flow is reported.
    fn look(
        &mut self,
        context: Context<'_>,
        flow: &JudgedFlow,
        record: &FlowRecord,
        reported: &mut Once,
    ) -> Option<Finding>;

    /// As [`Rule::forgotten`].
    fn forgotten(&self) -> u64 {
        0
    }
}

/// Asks a rule about each record of a flow, and remembers which flows it reported.
#[derive(Debug)]
pub struct OnRecords<R> {
    rule: R,
    reported: Once,
}

impl<R: RecordRule> OnRecords<R> {
    /// Nothing is reported yet.
    pub fn new(rule: R) -> Self {
        Self { rule, reported: Once::default() }
    }
}

impl<R: RecordRule> Rule for OnRecords<R> {
    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        if !flow.again {
            let record = flow.oriented.read(&flow.view.record);
            if let Some(found) = self.rule.look(context, flow, &record, &mut self.reported) {
                findings.push(found);
            }
        }
    }

    fn on_progress(&mut self, context: Context<'_>, flow: &JudgedFlow, event: &FlowEvent, findings: &mut Findings) {
        let record = flow.oriented.read(&event.record);
        if let Some(found) = self.rule.look(context, flow, &record, &mut self.reported) {
            findings.push(found);
        }
        self.reported.progress(flow, event);
    }

    fn forgotten(&self) -> u64 {
        self.rule.forgotten()
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
