//! What each service is expected to be set up like, and to deal with: learned, compared, written for people.
//!
//! Contract: pure; the same containers in the same order give the same baseline, and after an approval of all that differs nothing
//! differs. Limits: those of each part. Design: a service is known by its [`ServiceKey`](crate::inventory::configuration::ServiceKey),
//! which is bound to its image's repository; a field by its path.

mod compare;
mod document;
mod learn;
mod model;
mod no_proxy;
mod protected;
mod suggest;
pub mod traffic;
pub mod volume;

pub use compare::{Compared, Deviation, Known, deviations, holds};
pub use document::{BASELINE_SCHEMA, BaselineDocument, DocumentError};
pub use learn::{Hostile, Learner};
pub use model::{
    Approval, Baseline, Expectation, Held, Learned, QuarantineItem, ServiceBaseline, ServiceState, item_id, traffic_id,
    volume_id,
};
pub use no_proxy::{covers_internet, covers_more};
pub use protected::is_protected;
pub use suggest::{Dealt, Place, SuggestedContract, suggest};
