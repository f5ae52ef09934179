//! A rule about settings: what the runtime says of a container, and what the kernel shows of it.
//!
//! Contract: both halves hear every fact and every workload, the runtime's first; what each finds is the rule's. Design: a rule names its halves, and
//! nothing else differs between such rules.

use std::fmt::Debug;
use std::sync::Arc;

use super::posture::PostureRule;
use super::{Context, Findings, Rule};
use crate::input::{RecordedFact, Workload};

/// What the kernel shows of a container, compared with what its runtime says.
pub(super) trait Seen: Debug + Send {
    /// As [`Rule::on_fact`].
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings);

    /// As [`Rule::on_workload`]; by default its words are compared with facts alone.
    fn on_workload(&mut self, _context: Context<'_>, _workload: &Workload, _findings: &mut Findings) {}

    /// As [`Rule::on_time`].
    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings);

    /// As [`Rule::forgotten`].
    fn forgotten(&self) -> u64 {
        0
    }
}

impl<A: Seen, B: Seen> Seen for (A, B) {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        self.0.on_fact(context, fact, findings);
        self.1.on_fact(context, fact, findings);
    }

    fn on_workload(&mut self, context: Context<'_>, workload: &Workload, findings: &mut Findings) {
        self.0.on_workload(context, workload, findings);
        self.1.on_workload(context, workload, findings);
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        self.0.on_time(context, findings);
        self.1.on_time(context, findings);
    }

    fn forgotten(&self) -> u64 {
        self.0.forgotten() + self.1.forgotten()
    }
}

/// The rule.
#[derive(Debug)]
pub(super) struct ToldAndSeen<S> {
    pub(super) told: PostureRule,
    pub(super) seen: S,
}

impl<S: Seen> Rule for ToldAndSeen<S> {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        self.told.on_fact(context, fact, findings);
        self.seen.on_fact(context, fact, findings);
    }

    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        self.told.on_workload(context, workload, findings);
        self.seen.on_workload(context, workload, findings);
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        self.seen.on_time(context, findings);
    }

    fn forgotten(&self) -> u64 {
        self.told.forgotten() + self.seen.forgotten()
    }
}
