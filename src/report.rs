//! Reports about paths: what proves them on this host, and whether traffic kept to them; as JSON and for a person.
//!
//! Contract: a report says what the engine's verdict log and [`crate::path::coverage`] say, in words, and decides only the conclusion. Text of runtimes is
//! escaped where it is printed. Design: plain data with schemas; who runs the engine stands elsewhere.

pub mod audit;
pub mod paths;
mod question;
mod unjudged;
pub mod verification;

pub use question::{BLINDNESS, Question};
pub use unjudged::{Unjudged, UnjudgedLine};
