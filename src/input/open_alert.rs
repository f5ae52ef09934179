//! An alert of an earlier run that may go on.
//!
//! Contract: facts of this kind come before all others of a run. Condition and id are hashes: nothing in it was chosen by who is observed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// An alert of an earlier run that may go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenAlert {
    /// What it is about, as a hash: what is found with the same one continues it.
    pub condition: String,
    /// Its id.
    pub id: String,
    /// Its last update.
    pub update: u32,
    /// How often it was found.
    pub count: u64,
    /// The severity, in a word.
    pub severity: String,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// It is about a setting that each run looks at anew, not about something that happened.
    pub stands: bool,
}
