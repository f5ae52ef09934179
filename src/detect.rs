//! Rules: what is worth a finding, and the whole detection strategy behind each.
//!
//! Contract: a rule sees judged flows and workloads in event-time order and never the clock. Adding one touches its file,
//! one line in the registry below, and its folders under `captures/`.

mod ads;
pub mod anomaly;
mod assessment;
mod blind_spots;
mod changed_by;
mod debounce;
mod exception_term;
mod find_sender;
mod finding;
mod kernel_mounts;
mod log_shipping;
mod naming;
mod params;
mod placement;
mod posture;
mod roll_out;
mod rule;
pub mod rules;
mod sender;
mod severity;
mod skipped_hop;
#[cfg(test)]
pub(crate) mod testing;
mod told_and_seen;

pub use ads::{Ads, RuleMeta, SEED_REFERENCE, Technique};
pub use anomaly::actor::Actor;
pub use anomaly::actors::{Actors, LocalNetworks};
pub use anomaly::contacts::{Contact, ContactStep, Contacts, Due};
pub use anomaly::dealing::{Dealings, Side};
pub use anomaly::explanation::{Alternative, ExpectedFrom, Explanation};
pub use anomaly::hours::{Hours, Running};
pub use anomaly::outcome::Outcome;
pub use assessment::{assess, hostile};
pub use blind_spots::add_blind_spots;
pub use changed_by::add_changed_by;
pub use debounce::HoldTime;
pub use exception_term::ExceptionTerm;
pub(crate) use find_sender::Sent;
pub use find_sender::add_sender;
pub use finding::Finding;
pub use naming::{add_name, asker_of, known_name, name_of};
pub use roll_out::RollOut;
pub use rule::{Context, Findings, Rule};
pub use sender::{FrameSender, ProcessEvidence, SenderProcess};
pub use severity::Severity;
