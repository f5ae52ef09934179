//! Path contracts: from whom, to where, via which hops — and whether a flow kept them.
//!
//! Contract: pure; a verdict is `verified` only with evidence. Design: a [`Contract`] says what is required, the [`Tracker`] follows
//! each flow until its ends are attributed and answered, the [`Judge`] gives the verdict.

mod contract;
mod destination;
mod flow_view;
mod judge;
mod selector;
mod source;
mod tracker;
mod verdict;

pub use contract::{Contract, EvidenceKind, Hop, PortSpec, Service};
pub use destination::{DestinationSet, RangeError, is_internet, parse_range};
pub use flow_view::{Evidence, FlowView, MissingHop, Oriented, orientations};
pub use judge::{Judge, Judgement};
pub use selector::{Selector, SelectorError, SelectorFile};
pub use source::{owner_of, responder_of};
pub use tracker::{JudgedFlow, Step, Tracker, TrackerLimits};
pub use verdict::{Unobservable, Verdict};
