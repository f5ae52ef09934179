//! The engine: inputs in, outputs out; it owns all state and has no clock.

mod config;

pub use config::{EngineConfig, Timings};
