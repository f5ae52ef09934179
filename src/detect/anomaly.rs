//! Traffic against what is normal: whose it is, what became of it, what an alert about it says.
//!
//! Contract: everything here moves on inputs and event time alone. Design: `docs/anomalies.md` explains each method.

pub mod actor;
pub mod actors;
pub mod asked;
pub mod contacts;
pub mod dealing;
pub mod digest;
pub mod explanation;
pub mod hours;
pub mod new_traffic;
pub mod once;
pub mod outcome;
pub mod per_actor;
pub mod regularity;
pub mod routers;
pub mod spoken;
pub mod tally;
pub mod walk;
