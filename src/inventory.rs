//! Who is on this host, and who owned which address when.
//!
//! Contract: [`Timeline`] is pure and bounded; readers (docker, containerd, cri, file) turn a runtime's words into inventory events.

pub mod command_words;
pub mod configuration;
#[cfg(feature = "live")]
pub mod containerd;
#[cfg(feature = "live")]
pub mod cri;
#[cfg(feature = "shell")]
pub mod discover;
#[cfg(feature = "shell")]
pub mod docker;
#[cfg(feature = "shell")]
pub mod file;
mod kernel;
pub mod mount_places;
#[cfg(feature = "live")]
pub mod reader;
mod recent_acts;
mod timeline;

pub use kernel::{KernelState, SeenMounts};
pub use recent_acts::RecentActs;
pub use timeline::{
    Attribution, AttributionMethod, AttributionQuery, Confidence, Doubt, Owner, SocketQuery, Timeline, TimelineCounts,
    TimelineLimits, Touched, Trace, Unseen, Watched,
};
