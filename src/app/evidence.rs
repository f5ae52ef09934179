//! Evidence from before alerts: what keeps it while hopwatch watches, and what reads it afterwards.
//!
//! Contract: [`shelf`] and [`verify`] read the folder and trust nothing in it; [`keeping`] alone writes there.

mod folder;
#[cfg(feature = "live")]
pub mod keeping;
pub mod shelf;
pub mod verify;

pub use folder::folder;
