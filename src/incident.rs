//! Incidents: alerts and events of one chain, reported together.
//!
//! Contract: pure. Alerts about one service, pod or network namespace, or about a hop and who goes around it, that follow each other without
//! a long quiet are one incident; what the runtime did to the same containers joins as steps. The id comes from the first alert's, so a
//! replay gives the same incidents in the same bytes. Limits: [`IncidentLimits`]. A lone alert is no incident.
//! Design: alerts are delivered at once and unchanged; an incident is written again, whole, whenever it grows.

mod link;
mod model;
mod open;
mod tracker;

pub use model::{Incident, IncidentWorkload, SCHEMA, Step, StepKind, json_schema};
pub use tracker::{IncidentCounts, IncidentLimits, IncidentTracker};
