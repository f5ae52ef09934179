//! Why an anomaly is one: what was seen, what was expected, what else it could be.
//!
//! Contract: part of an alert, added within version 1 of its schema; texts are whole sentences without secrets. Limits: [`Explanation::MAX_OBJECTS`]
//! objects are named, the rest is counted.

use schemars::JsonSchema;
use serde::Serialize;

/// Where an expectation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExpectedFrom {
    /// How arrivals without memory would look.
    RandomArrivals,
    /// Two error rates: that an honest actor is accused, that a hostile one is missed.
    ErrorRates,
    /// What the approved baseline holds.
    Baseline,
    /// A fixed limit of the configuration.
    Floor,
}

impl ExpectedFrom {
    /// For a person.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RandomArrivals => "random arrivals",
            Self::ErrorRates => "error rates",
            Self::Baseline => "the baseline",
            Self::Floor => "a fixed floor",
        }
    }
}

/// Something harmless that looks the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Alternative {
    /// What it could be.
    pub what: String,
    /// What tells it apart.
    pub check: String,
}

impl Alternative {
    /// This, told apart by that.
    pub fn new(what: impl Into<String>, check: impl Into<String>) -> Self {
        Self { what: what.into(), check: check.into() }
    }
}

/// Why an anomaly is one.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Explanation {
    /// What was seen: figures with units and the time in which they were seen.
    pub observed: String,
    /// What would have been normal.
    pub expected: String,
    /// Where that comes from.
    pub expected_from: ExpectedFrom,
    /// How often something harmless looks like this by chance, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// The limit that was crossed.
    pub threshold: String,
    /// Its key in the configuration.
    pub parameter: String,
    /// The name of the other end, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How that is known: `dns`, `sni`, `host`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_known_by: Option<&'static str>,
    /// Whether a name would have been seen had there been one; absent where no name matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_observable: Option<bool>,
    /// What sets the severity beside the pattern itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<String>,
    /// What else it could be, most likely first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// What weakens it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// What it was done to: ten at most, then a count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<String>,
    /// What would end such alerts where they are not wanted.
    pub silence: String,
}

impl Explanation {
    /// Objects that are named.
    pub const MAX_OBJECTS: usize = 10;

    /// What was seen, against what was expected.
    pub fn new(observed: impl Into<String>, expected: impl Into<String>, expected_from: ExpectedFrom) -> Self {
        Self {
            observed: observed.into(),
            expected: expected.into(),
            expected_from,
            chance: None,
            threshold: String::new(),
            parameter: String::new(),
            name: None,
            name_known_by: None,
            name_observable: None,
            signs: Vec::new(),
            alternatives: Vec::new(),
            limits: Vec::new(),
            objects: Vec::new(),
            silence: String::new(),
        }
    }

    /// Names the first objects and counts the rest.
    #[must_use]
    pub fn about<T: ToString>(mut self, objects: impl IntoIterator<Item = T>) -> Self {
        let mut all = objects.into_iter();
        self.objects = all.by_ref().take(Self::MAX_OBJECTS).map(|object| object.to_string()).collect();
        let more = all.count();
        if more > 0 {
            self.objects.push(format!("and {more} more"));
        }
        self
    }
}
