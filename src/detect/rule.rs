//! What a rule is to the engine.
//!
//! Contract: called in event-time order; reports findings and keeps only bounded state. Ticks never reach it; time it asked to be woken at does,
//! stamped with that time, and so is the same in a replay. A method that a rule leaves as it is here tells the engine that the rule does not want such
//! events: it is called once and not again.

use std::sync::Arc;

use super::anomaly::contacts::Contact;
use super::{Actors, ExceptionTerm, Finding};
use crate::baseline::{Baseline, Compared};
use crate::input::{FlowEvent, FlowRecord, NeighbourClaim, RecordedFact, Workload};
use crate::inventory::Timeline;
use crate::names::Names;
use crate::path::{Contract, JudgedFlow, Monitors, PathState, UnjudgedSender};
use crate::time::Timestamp;

/// What a rule may look at.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Who owned what when.
    pub timeline: &'a Timeline,
    /// Who acts: services, and plain addresses that are ours.
    pub actors: &'a Actors,
    /// What services are expected to be set up like, where that was learned.
    pub baseline: Option<&'a Baseline>,
    /// The workload that the rule is asked about, beside the baseline.
    pub compared: Option<&'a Compared>,
    /// Translations, losses, and when each hop was last seen.
    pub path: &'a PathState,
    /// Which names addresses have, for the actor that asked for them.
    pub names: &'a Names,
    /// Event time.
    pub now: Timestamp,
}

/// What a rule has to say.
#[derive(Debug, Default)]
pub struct Findings {
    found: Vec<Finding>,
    timers: Vec<Timestamp>,
    is_deaf: bool,
}

impl Findings {
    /// Reports a finding.
    pub fn push(&mut self, finding: Finding) {
        self.found.push(finding);
    }

    /// Reports what there is.
    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.found.extend(findings);
    }

    /// Asks for [`Rule::on_time`] at a time.
    pub fn schedule(&mut self, at: Timestamp) {
        self.timers.push(at);
    }

    /// Whether there is nothing to say.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.timers.is_empty()
    }

    /// The rule does not want events of this kind, of a contact those of this step, until another configuration or another baseline is in force.
    pub(crate) fn want_no_more(&mut self) {
        self.is_deaf = true;
    }

    /// Whether the rule wants no events of this kind; forgets it.
    #[inline]
    pub fn take_deaf(&mut self) -> bool {
        std::mem::take(&mut self.is_deaf)
    }

    /// What was found, and when to come back.
    pub fn into_parts(self) -> (Vec<Finding>, Vec<Timestamp>) {
        (self.found, self.timers)
    }
}

/// A detection.
pub trait Rule: Send + std::fmt::Debug {
    /// The contracts, reported once before anything else.
    fn contracts(&mut self, _contracts: &[Contract]) {}

    /// What watches others, reported once before anything else.
    fn monitors(&mut self, _monitors: &Arc<Monitors>) {}

    /// The exceptions in force, reported before anything else and at each reload; answers when it wants [`Self::on_time`] about them.
    fn exceptions(&mut self, _terms: &[ExceptionTerm]) -> Option<Timestamp> {
        None
    }

    /// The exception of this name held back a finding.
    fn held_back(&mut self, _exception: &str) {}

    /// Whether it speaks only of flows that skipped a hop in some way: [`Self::on_flow`] is not asked about others then.
    fn is_about_skips_alone(&self) -> bool {
        false
    }

    /// A flow's judgement is final.
    fn on_flow(&mut self, _context: Context<'_>, _flow: &JudgedFlow, findings: &mut Findings) {
        findings.want_no_more();
    }

    /// A flow that was judged went on: its first payload bytes said something new, its counters grew, or it ended. `flow` is as it was
    /// judged, `event` has the record as it stands. What a flow said before it was judged is in [`Self::on_flow`]'s record.
    fn on_progress(&mut self, _context: Context<'_>, _flow: &JudgedFlow, _event: &FlowEvent, findings: &mut Findings) {
        findings.want_no_more();
    }

    /// Frames of a judged flow carry another pair of MACs than before at a point; `record` is that point's, the new pair the last of its direction.
    fn on_new_link(
        &mut self,
        _context: Context<'_>,
        _flow: &JudgedFlow,
        _record: &FlowRecord,
        findings: &mut Findings,
    ) {
        findings.want_no_more();
    }

    /// What became of a flow of an actor is known, the flow went on, or it ended.
    fn on_contact(&mut self, _context: Context<'_>, _contact: &Contact<'_>, findings: &mut Findings) {
        findings.want_no_more();
    }

    /// A workload appeared or changed.
    fn on_workload(&mut self, _context: Context<'_>, _workload: &Arc<Workload>, findings: &mut Findings) {
        findings.want_no_more();
    }

    /// A runtime, the host or the kernel reported something; the timeline knows it already. Comes before [`Self::on_workload`].
    fn on_fact(&mut self, _context: Context<'_>, _fact: &RecordedFact, findings: &mut Findings) {
        findings.want_no_more();
    }

    /// An address was claimed on a link.
    fn on_claim(&mut self, _context: Context<'_>, _claim: &NeighbourClaim, findings: &mut Findings) {
        findings.want_no_more();
    }

    /// Somebody sent more that no verdict but `unobservable` is about; [`PathState::unjudged`] has it already.
    fn on_unjudged(&mut self, _context: Context<'_>, _sender: &UnjudgedSender, findings: &mut Findings) {
        findings.want_no_more();
    }

    /// A time that this rule asked for has come.
    fn on_time(&mut self, _context: Context<'_>, _findings: &mut Findings) {}

    /// The observation ends: what waits for a time that will not come is looked at as it stands.
    fn on_end(&mut self, _context: Context<'_>, _findings: &mut Findings) {}

    /// How often a bound of what it remembers was reached and cost it something.
    fn forgotten(&self) -> u64 {
        0
    }
}
