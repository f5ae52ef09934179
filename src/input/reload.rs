//! That hopwatch's own configuration was read again while it runs.
//!
//! Contract: one fact a reload, at the time from which it is in force. It holds the configuration, so that a replay takes the same step.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A configuration that is in force from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reload {
    /// SHA-256 of the text, in hexadecimal digits.
    pub sha256: String,
    /// The whole configuration as YAML, without the sinks, whose addresses hold secrets.
    pub configuration: Arc<str>,
}
