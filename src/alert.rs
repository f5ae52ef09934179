//! Alerts: what is delivered after exceptions and grouping.

mod exception;

pub use exception::Exception;
