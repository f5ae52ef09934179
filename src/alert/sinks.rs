//! Where alerts go.
//!
//! Contract: a sink prints; it decides nothing. Runtime text is escaped here.

pub mod json;
pub mod text;
