//! What the sources send to the engine's thread.
//!
//! Contract: every message has one sender at a time and is handled in the order of arrival. Limits: the channel is bounded; see `live.rs`.

use crate::input::{Input, ObservationPoint, RuntimeId};
use crate::observe::live::TapBatch;

/// A message to the engine's thread.
#[derive(Debug)]
pub enum SourceMessage {
    /// A tap's batch.
    Tap(TapBatch),
    /// A tap ended; the reason, unless it was told to.
    TapEnded(ObservationPoint, Option<String>),
    /// An interface could not be captured.
    TapRefused(ObservationPoint, String),
    /// A fact from the runtime or the host.
    Fact(Input),
    /// Facts of connection tracking, of which there may be many.
    Facts(Vec<Input>),
    /// The runtimes that are read now.
    Runtimes(Vec<RuntimeId>),
    /// How many interfaces match now.
    Matching(usize),
}
