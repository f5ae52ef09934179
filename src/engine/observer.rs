//! What follows the engine without taking part.
//!
//! Contract: an observer sees what the engine sees, in the same order, and changes nothing. Design: one hook for everything that keeps
//! figures for people: the screen's table, the report's log.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use crate::alert::Alert;
use crate::detect::Contact;
use crate::input::{FlowEvent, RecordedFact, Workload};
use crate::inventory::Timeline;
use crate::names::Names;
use crate::path::JudgedFlow;
use crate::time::Timestamp;

/// Receives everything that the engine decides.
pub trait Observer: Any + Send + Debug {
    /// A flow was judged. `goes_on`: its end was not reported yet.
    fn judged(&mut self, _timeline: &Timeline, _names: &Names, _flow: &JudgedFlow, _goes_on: bool) {}

    /// What became of a flow of an actor is known, it went on, or it ended.
    fn contact(&mut self, _timeline: &Timeline, _names: &Names, _contact: &Contact<'_>) {}

    /// A flow started, went on or ended; its judgement comes first.
    fn flow(&mut self, _event: &FlowEvent) {}

    /// A fact that the timeline already knows.
    fn fact(&mut self, _timeline: &Timeline, _fact: &RecordedFact, _now: Timestamp) {}

    /// A workload appeared or changed.
    fn workload(&mut self, _timeline: &Timeline, _workload: &Arc<Workload>) {}

    /// An alert was emitted or updated.
    fn alert(&mut self, _alert: &Alert) {}
}
