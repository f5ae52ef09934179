//! Traffic against what is normal: whose it is, what an alert about it says.
//!
//! Contract: everything here moves on inputs and event time alone. Design: `docs/anomalies.md` explains each method.

pub mod actors;
pub mod explanation;
