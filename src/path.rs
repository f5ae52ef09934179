//! Path contracts: from whom, to where, via which hops — and whether a flow kept them.
//!
//! Contract: pure; a verdict is `verified` only with evidence. Design: a [`Contract`] says what is required, the [`Tracker`] follows
//! each flow until its ends are attributed and answered, the [`Judge`] gives the verdict.

mod contract;
mod coverage;
mod destination;
pub mod dns_detection;
mod evidence;
mod judge;
mod judge_context;
mod judged_flow;
mod judgement;
mod may_cover;
mod monitors;
mod orientation;
mod own_frames;
mod per_workload;
pub mod relay;
mod selector;
mod source;
mod state;
mod tracker;
mod trail;
mod verdict;

pub use contract::{Contract, EvidenceKind, Family, Hop, HopKind, PortSpec, Service, Stage};
pub use coverage::{Blind, ContractCoverage, EvidenceCoverage, HopCoverage, Provability, WorkloadCoverage, coverage};
pub use destination::{DestinationSet, RangeError, is_internet, parse_range};
pub use evidence::{Evidence, MissingHop};
pub use judge::Judge;
pub use judge_context::{GracePeriods, JudgeContext};
pub use judged_flow::JudgedFlow;
pub use judgement::{Judgement, Outcome, Skip};
pub use may_cover::MayCover;
pub use monitors::{MonitorRole, Monitors};
pub use orientation::{ObservedFlow, Orientations, Oriented, orientations, rests_on_absence};
pub use per_workload::PerWorkload;
pub use selector::{Description, Selector, SelectorError, SelectorFile, checked_glob};
pub use source::{is_anothers, owner_of, responder_of};
pub use state::{
    Amount, Bindings, DECIDED, HopMemory, HopRecord, LOSS_REPORTED_WITHIN, Legs, LossKind, Losses, PathState,
    SenderTraffic, UnjudgedReason, UnjudgedSender, UnjudgedTraffic,
};
pub use tracker::{Step, Tracker, TrackerLimits};
pub use trail::{Frames, Sighting, Trail};
pub use verdict::{Unobservable, Verdict};
