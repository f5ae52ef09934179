//! What a verdict rests on, and the hop that was not passed.
//!
//! Contract: both are part of an alert; `kind` is for a machine, `text` for a person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HopKind;

/// One piece of evidence, for a machine (`kind`) and a person (`text`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What kind: `peer`, `runtime`, `mac`, …
    pub kind: String,
    /// What was seen, in a sentence.
    pub text: String,
}

/// A hop that was required and not passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingHop {
    /// Its name in the configuration, alternatives with `or` between them; `none` when the contract allows no path at all.
    pub name: String,
    /// What kind of place it is; absent when the contract allows no path at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<HopKind>,
    /// Where it serves, as far as known at that time.
    pub expected: Vec<String>,
}
