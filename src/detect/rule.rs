//! What a rule is to the engine.
//!
//! Contract: called in event-time order; returns findings and keeps only bounded state. Ticks never reach it.

use std::sync::Arc;

use super::{Finding, RuleMeta};
use crate::input::Workload;
use crate::inventory::Timeline;
use crate::path::JudgedFlow;
use crate::time::Timestamp;

/// What a rule may look at.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Who owned what when.
    pub timeline: &'a Timeline,
    /// Event time.
    pub now: Timestamp,
}

/// A detection.
pub trait Rule: Send + std::fmt::Debug {
    /// Its name, severity and strategy.
    fn meta(&self) -> &'static RuleMeta;

    /// A flow's judgement is final.
    fn on_flow(&mut self, _context: Context<'_>, _flow: &JudgedFlow, _findings: &mut Vec<Finding>) {}

    /// A workload appeared or changed.
    fn on_workload(&mut self, _context: Context<'_>, _workload: &Arc<Workload>, _findings: &mut Vec<Finding>) {}
}
