//! Metrics and health over HTTP.
//!
//! Contract: answers from the latest [`Snapshot`]; never touches the engine. Design: the engine's thread publishes, requests read.

mod bounded_listener;
mod http;
pub mod metrics;
mod snapshot;

pub use http::serve;
pub use snapshot::{ConntrackCounters, PointCounters, Snapshot, SnapshotCell};
