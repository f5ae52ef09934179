//! Rules: what is worth a finding, and the whole detection strategy behind each.
//!
//! Contract: a rule sees judged flows and workloads in event-time order and never the clock. Adding one touches its file,
//! one line in the registry below, and its folders under `captures/`.

mod ads;
mod finding;
pub mod rules;

pub use ads::{Ads, RuleMeta, Technique};
pub use finding::{Evidence, Finding, FlowView, MissingHop, Severity};
