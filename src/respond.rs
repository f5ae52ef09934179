//! What can be done about the container of an alert: planned, written down, done, undone.
//!
//! Contract: what stands beside `act` is pure: [`plan`] makes of an alert, a container's inspect document, the configuration and what was done before
//! the very requests, their undo, and every reason for a refusal; [`Responses`] makes of the audit log what is in effect. [`act`] sends and writes. Limits: Docker and
//! Podman. Design: [ADR 23](../docs/adr/0023-a-response-is-a-process-of-its-own.md); no room that observes may use this one.

#[cfg(feature = "live")]
pub mod act;
mod action;
mod addresses;
mod container;
mod history;
mod network;
mod nft;
mod plan;
mod protection;
mod situation;
mod step;
mod subject;

pub use action::Action;
pub use container::{Container, EndpointState};
pub use history::{Entry, Event, Intent, Response, ResponseState, Responses, Target};
pub use nft::{FAMILIES, Pair, SETS, block, listed};
pub use plan::{Fit, Plan, fits, plan};
pub use protection::{Policy, Refusal};
pub use situation::{NetworkState, Request, Situation};
pub use step::{
    Call, Effect, Order, PlannedStep, QUARANTINE, QUARANTINE_LABEL, SNAPSHOT_END, SNAPSHOT_LOGS, SNAPSHOTS, Seen, Step,
};
pub use subject::{Accused, Subject};
