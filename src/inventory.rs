//! Who is on this host, and who owned which address when.
//!
//! Contract: [`Timeline`] is pure and bounded; readers (docker, file) turn a runtime's words into inventory events.

#[cfg(feature = "shell")]
pub mod docker;
#[cfg(feature = "shell")]
pub mod file;
mod timeline;

pub use timeline::{
    Attribution, AttributionMethod, Confidence, Owner, Sighting, Timeline, TimelineCounts, TimelineLimits,
};
