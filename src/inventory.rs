//! Who is on this host, and who owned which address when.
//!
//! Contract: [`Timeline`] is pure and bounded; readers (docker, file) turn a runtime's words into inventory events.

#[cfg(feature = "shell")]
pub mod docker;
#[cfg(feature = "shell")]
pub mod file;
mod kernel;
mod timeline;

pub use kernel::KernelState;
pub use timeline::{
    Attribution, AttributionMethod, Confidence, Doubt, Owner, Sighting, SocketSighting, Timeline, TimelineCounts,
    TimelineLimits, Unseen, Watched,
};
