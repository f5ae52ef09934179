//! What of a container is not as its service is expected to be.
//!
//! Contract: pure; one [`Deviation`] a field, in order of field. A field that was not learned, or that the runtime does not report, says
//! nothing. A value that is hidden under another key than the baseline's compares as "set": whether it changed is not known.
//! Limits: hidden values under one key differ or do not; what they are stays unknown.

use std::collections::BTreeSet;

use super::model::{Baseline, Expectation, ServiceBaseline, ServiceState};
use crate::input::{SET, Workload};
use crate::inventory::configuration::{Facets, Field, ServiceKey, Value};

/// A container beside the baseline.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Its service.
    pub key: ServiceKey,
    /// What the baseline knows of that.
    pub known: Known,
    /// What differs, in order of field.
    pub deviations: Vec<Deviation>,
}

/// What a baseline knows of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Its differences count.
    Enforced,
    /// Its differences are shown, and raise no alert.
    Shadow,
    /// A service of this name comes from other repositories.
    OtherImage(BTreeSet<String>),
    /// Nothing.
    Unknown,
}

impl Compared {
    /// Compares a container; `None` where its runtime reports no configuration.
    pub fn of(baseline: &Baseline, workload: &Workload) -> Option<Self> {
        let facets = Facets::of(workload)?;
        let key = ServiceKey::of(workload);
        let (known, deviations) = if let Some(service) = baseline.service(&key) {
            let is_shadow = service.state == ServiceState::Shadow;
            (if is_shadow { Known::Shadow } else { Known::Enforced }, deviations(service, &facets))
        } else {
            let others = baseline.repositories(key.name()).cloned();
            (others.map_or(Known::Unknown, Known::OtherImage), Vec::new())
        };
        Some(Self { key, known, deviations })
    }
}

/// A field that is not as it is expected to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Deviation {
    /// The field.
    pub field: Field,
    /// What the baseline expects, in words; `None`: unset.
    pub expected: Option<String>,
    /// What it holds.
    pub value: Value,
}

impl std::fmt::Display for Deviation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let expected = self.expected.as_deref().unwrap_or("absent");
        write!(f, "{} is {}, the baseline has {expected}", self.field, self.words())
    }
}

impl Deviation {
    /// What it holds, in words.
    pub fn words(&self) -> String {
        self.value.words().unwrap_or_else(|| "absent".to_owned())
    }
}

/// What differs, in order of field.
pub fn deviations(service: &ServiceBaseline, facets: &Facets) -> Vec<Deviation> {
    let absent = service.expect.keys().filter(|field| !facets.fields.contains_key(*field));
    let reported = facets.fields.keys();
    let mut all: Vec<Deviation> =
        absent.chain(reported).filter_map(|field| deviation(service, facets, field)).collect();
    all.sort_by(|one, other| one.field.cmp(&other.field));
    all
}

fn deviation(service: &ServiceBaseline, facets: &Facets, field: &Field) -> Option<Deviation> {
    let (expectation, value) = (service.expectation(field)?, facets.get(field)?);
    if holds(expectation, value) {
        return None;
    }
    Some(Deviation { field: field.clone(), expected: expectation.words(), value: value.clone() })
}

/// Whether a value is as expected, as far as that can be known.
pub fn holds(expectation: &Expectation, value: &Value) -> bool {
    match (expectation, value) {
        (Expectation::Any, _) => true,
        (Expectation::Exact(expected), value) => same(expected, value),
        (Expectation::OneOf(all), value) => all.iter().any(|expected| same(expected, value)),
        (Expectation::Pattern(_, glob), Value::Text(text)) => glob.is_match(text),
        (Expectation::Range(from, to), Value::Number(number)) => (from..=to).contains(&number),
        (Expectation::Pattern(..) | Expectation::Range(..), _) => false,
    }
}

/// Equal, or as equal as can be known.
fn same(expected: &Value, value: &Value) -> bool {
    match (expected, value) {
        _ if expected == value || expected.is_unset() && value.is_unset() => true,
        (Value::Text(expected), Value::Text(value)) => alike(expected, value),
        // A number that a person wrote where a text is expected.
        (Value::Number(expected), Value::Text(value)) => expected.to_string() == *value,
        _ => false,
    }
}

/// Texts with hidden parts under two keys are alike where everything else is equal.
fn alike(expected: &str, value: &str) -> bool {
    let (expected, value) = (Masked::of(expected), Masked::of(value));
    expected.keys != value.keys && expected.text == value.text
}

/// A text with `(set)` in place of hashes, and the ids of their keys.
#[derive(PartialEq)]
struct Masked {
    text: String,
    keys: Vec<String>,
}

impl Masked {
    fn of(text: &str) -> Self {
        let mut masked = Self { text: String::new(), keys: Vec::new() };
        let mut rest = text;
        while let Some(at) = rest.find("hk") {
            let (before, from) = rest.split_at(at);
            masked.text.push_str(before);
            if let Some(key) = hash_at(from) {
                masked.text.push_str(SET);
                masked.keys.push(key.to_owned());
                rest = from.get(HASH..).unwrap_or_default();
            } else {
                masked.text.push_str("hk");
                rest = from.get(2..).unwrap_or_default();
            }
        }
        masked.text.push_str(rest);
        masked
    }
}

/// Bytes of `hk1a2b3c4d:` and 32 digits.
const HASH: usize = 2 + 8 + 1 + 32;

/// The key's id, where a text begins with a hash.
fn hash_at(text: &str) -> Option<&str> {
    let hash = text.get(..HASH)?;
    let (key, digest) = hash.split_once(':')?;
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (key.len() == 10 && is_hex(key.get(2..)?) && is_hex(digest)).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::configuration::{HashKey, Scope};

    #[test]
    fn a_hash_of_another_key_says_only_that_a_value_is_set() {
        let (one, other) = (HashKey::new([1; 32]), HashKey::new([2; 32]));
        let hash = |key, value| Scope { key, service: "web" }.hide("environment", "PIN", value).to_string();
        let text = |hash: &str| Value::Text(format!("app --pin={hash} --verbose"));
        let here = text(&hash(Some(&one), "1"));
        assert!(same(&here, &text(&hash(Some(&one), "1"))));
        assert!(!same(&here, &text(&hash(Some(&one), "2"))), "one key: it changed");
        assert!(same(&here, &text(&hash(Some(&other), "2"))), "another key: nobody knows");
        assert!(same(&here, &text(&hash(None, "2"))), "no key: nobody knows");
        let longer = Value::Text(format!("app --pin={} --quiet", hash(Some(&other), "1")));
        assert!(!same(&here, &longer), "what is in clear differs");
    }
}
