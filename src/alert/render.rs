//! How an alert is written: text for a person, JSON for a program.
//!
//! Contract: pure formatting; it decides nothing. Text from a runtime is escaped here.

mod anomaly;
pub mod chat;
pub mod encoding;
mod incident;
pub mod json;
#[cfg(test)]
pub mod testing;
pub mod text;

pub use incident::incident;
