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

impl Evidence {
    /// This kind, this text.
    pub fn new(kind: impl Into<String>, text: impl Into<String>) -> Self {
        Self { kind: kind.into(), text: text.into() }
    }
}

/// A hop that was required and not passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingHop {
    /// Its name in the configuration, alternatives with `or` between them; `none` when the contract allows no path at all.
    #[serde(rename = "name", serialize_with = "joined", deserialize_with = "split")]
    #[schemars(with = "String")]
    pub alternatives: Vec<String>,
    /// What kind of place it is; absent when the contract allows no path at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<HopKind>,
    /// Where it serves, as far as known at that time.
    pub expected: Vec<String>,
}

/// Stands between alternatives.
const OR: &str = " or ";
/// Stands for a hop where the contract allows no path at all.
const NO_PATH: &str = "none";

impl MissingHop {
    /// The names of all alternatives in one text.
    pub fn name(&self) -> String {
        if self.alternatives.is_empty() { NO_PATH.to_owned() } else { self.alternatives.join(OR) }
    }
}

#[expect(clippy::ptr_arg, reason = "the signature that serde asks for")]
fn joined<S: serde::Serializer>(alternatives: &Vec<String>, serializer: S) -> Result<S::Ok, S::Error> {
    if alternatives.is_empty() {
        serializer.serialize_str(NO_PATH)
    } else {
        serializer.serialize_str(&alternatives.join(OR))
    }
}

fn split<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok(if name == NO_PATH { Vec::new() } else { name.split(OR).map(str::to_owned).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_are_one_name_in_json_and_a_list_when_read() {
        for (alternatives, name) in [(vec![], "none"), (vec!["a"], "a"), (vec!["a", "b"], "a or b")] {
            let alternatives = alternatives.into_iter().map(str::to_owned).collect();
            let hop = MissingHop { alternatives, kind: None, expected: vec![] };
            let json = serde_json::json!({ "name": name, "expected": [] });
            assert_eq!((hop.name().as_str(), serde_json::to_value(&hop).expect("JSON")), (name, json.clone()));
            assert_eq!(serde_json::from_value::<MissingHop>(json).expect("a hop"), hop);
        }
    }
}
