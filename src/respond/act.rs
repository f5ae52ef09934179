//! The part of a response that reads, sends and writes.
//!
//! Contract: nothing is sent before it is on the disk ([`AuditLog`]), nothing but what [`RuntimeClient`] lists is ever sent, and each step looks first ([`Responder`]). Limits: unix
//! sockets only. Design: blocking, one thing at a time: responses are few, and the order is what matters.

mod audit_log;
mod look;
mod nft_program;
mod orders;
mod policy;
mod responder;
mod round;
mod runtime_client;
mod situation;

pub use audit_log::{AuditError, AuditLog};
pub use policy::policy_of;
pub use responder::{Asked, RespondError, Responder};
pub use round::{Round, Timekeeper};
pub use runtime_client::{CallError, RuntimeClient};
pub use situation::{FindError, find_runtime, situation};
