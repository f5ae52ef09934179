//! Metrics and health over HTTP.
//!
//! Contract: answers from [`SharedCounters`]; never touches the engine and waits for no other thread.

mod bounded_listener;
mod evidence;
mod flow_export;
mod heartbeat;
mod http;
pub mod metrics;
mod points;
mod process;
mod reload_request;
mod reloads;
mod shared;
mod snapshot;

pub use evidence::{EvidenceCounters, EvidenceSnapshot};
pub use flow_export::{FlowExportCounters, FlowExportSnapshot, Unexported};
pub use heartbeat::{Heartbeat, STALLED};
pub use http::serve;
pub use points::{MAX_POINTS, PointSeries, PointTable};
pub use process::ProcessStats;
pub use reload_request::{ReloadRequest, ReloadRequests};
pub use reloads::{ReloadCounters, ReloadSnapshot};
pub use shared::{EngineReport, ReaderStats, SharedCounters};
pub use snapshot::{ConntrackCounters, SinkSnapshot, Snapshot};
