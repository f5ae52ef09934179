//! Alerts: what is delivered after exceptions and grouping.
//!
//! Contract: pure. The same cause is one alert with a count; nothing is lost by grouping. Ids are derived from content, so that a
//! replay raises the same ones. Design: the [`AlertGrouper`] turns findings into [`Alert`]s; `render` writes them.

mod convert;
mod exception;
mod grouping;
mod lowering;
mod model;
#[cfg(feature = "shell")]
pub mod render;
mod severity_policy;
mod steps;

pub use exception::Exception;
pub use grouping::{AlertBudget, AlertGrouper, Disposition, GroupingLimits};
pub use lowering::{Lowering, LoweringKind};
pub use model::{
    Alert, AlertActor, AlertBundle, AlertFlow, AlertWorkload, AttributionInfo, Compose, Condition, Destination,
    Direction, FrameSender, HopKind, MissingHop, ProcessEvidence, SCHEMA, SenderProcess, Technique, Translated,
    VerdictInfo, json_schema,
};
pub use severity_policy::{SetSeverity, SeverityPolicy};
