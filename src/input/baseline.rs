//! What became of the baseline's file while hopwatch runs.
//!
//! Contract: one fact a change. Of a file that was approved while hopwatch runs, the fact holds what it says, so that a replay goes on with the
//! same baseline. Design: facts, so that a replay raises the same alert.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A report about the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BaselineFact {
    /// Another one was approved: it is in force from now on, for all workloads.
    Approved {
        /// Where it is.
        file: String,
        /// Its serial number.
        serial: u64,
        /// Its SHA-256, in hexadecimal digits.
        sha256: String,
        /// Who approved it, by their own word.
        by: String,
        /// Why, by their own word.
        why: String,
        /// What it says: `hopwatch.baseline/1` as JSON.
        document: Arc<serde_json::Value>,
    },
    /// The file is the one in force, as it was approved.
    InForce {
        /// Path.
        file: String,
        /// Its serial number.
        serial: u64,
        /// SHA-256 of its bytes, in hexadecimal digits.
        sha256: String,
    },
    /// The file is another than the one that was approved, which stays in force.
    Differs {
        /// Path.
        file: String,
        /// Serial number in force.
        serial: u64,
        /// Serial number that the file states; absent where it cannot be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<u64>,
        /// SHA-256 of its bytes; empty where there are none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        sha256: String,
        /// How.
        how: BaselineChange,
    },
}

/// How a baseline's file differs from the approved one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BaselineChange {
    /// It was edited, or replaced by a newer one.
    Edited,
    /// It is an older one: its serial number is lower than that of the approved one.
    RolledBack,
    /// It is no longer a baseline, or its signature does not match.
    Unreadable,
    /// It is not there.
    Removed,
}
