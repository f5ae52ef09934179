//! What the sources send to the engine's thread.
//!
//! Contract: every message has one sender at a time and is handled in the order of arrival. Limits: the channel is bounded; see `live.rs`.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::app::evidence::keeping::ReplaySetup;
use crate::engine::EngineConfig;
use crate::flow::Receipt;
use crate::input::{Input, ObservationPoint, RuntimeId};
use crate::observe::live::TapBatch;

/// A message to the engine's thread.
#[derive(Debug)]
pub enum SourceMessage {
    /// A tap's batch.
    Tap(TapBatch),
    /// A tap ended.
    TapEnded {
        /// Where it captured.
        point: ObservationPoint,
        /// Why, unless it was asked to end.
        reason: Option<String>,
        /// Its interface ends with a container, so that its end is in order.
        ephemeral: bool,
    },
    /// An interface could not be captured.
    TapRefused(ObservationPoint, String),
    /// What was refused is not there any more, or is captured now.
    RefusalOver(ObservationPoint),
    /// A fact from the runtime or the host.
    Fact(Input),
    /// Facts of connection tracking, of which there may be many.
    Facts(Vec<Input>),
    /// The runtimes that are read now.
    Runtimes(Vec<RuntimeId>),
    /// The host's interfaces as they were just listed.
    Interfaces(InterfaceScan),
    /// Another configuration, to be put into force.
    Reload(ConfigChange),
}

impl SourceMessage {
    /// What its inputs count as waiting, until they are consumed.
    pub fn receipt(&mut self) -> Receipt {
        match self {
            Self::Tap(batch) => std::mem::take(&mut batch.receipt),
            _ => Receipt::default(),
        }
    }
}

/// A configuration on its way to the engine.
#[derive(Debug)]
pub struct ConfigChange {
    /// The fact that it is in force.
    pub(super) fact: Input,
    pub(super) config: Box<EngineConfig>,
    pub(super) setup: Arc<ReplaySetup>,
    /// The engine says when it is in force.
    pub(super) done: Sender<()>,
}

/// What a list of the host's interfaces shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceScan {
    /// How many match; absent before the first listing.
    pub matching: Option<usize>,
    /// Configured names and globs, other than the defaults, that match none.
    pub unmatched: Vec<String>,
    /// Captured before, and down now.
    pub down: Vec<ObservationPoint>,
    /// The interfaces of the default routes, and loopback, where none of them is captured.
    pub uncaptured_ways_out: Vec<String>,
}
