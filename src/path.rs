//! Path contracts: from whom, to where, via which hops — and whether a flow kept them.
//!
//! Contract: pure; a verdict is `verified` only with evidence. Design: [`Contract`] says what is required.

mod contract;
mod destination;
mod selector;
mod verdict;

pub use contract::{Contract, EvidenceKind, Hop, PortSpec, Service};
pub use destination::{DestinationSet, is_internet};
pub use selector::{Selector, SelectorError, SelectorFile};
pub use verdict::{Unobservable, Verdict};
