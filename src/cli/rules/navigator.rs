//! A layer for MITRE's ATT&CK Navigator.
//!
//! Contract: every technique of every rule once, with the rules that detect it; the score is how many those are. Source: the Navigator's
//! layer format 4.5.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::detect::{RuleMeta, rules};

/// The layer, in the naming of a version of ATT&CK.
pub(super) fn layer(attack: &str) -> Value {
    let mut techniques: BTreeMap<&str, Vec<&RuleMeta>> = BTreeMap::new();
    for rule in rules::ALL.iter().copied() {
        for technique in rule.techniques {
            let id = if attack == "18" { technique.v18 } else { technique.v19 };
            techniques.entry(id).or_default().push(rule);
        }
    }
    let most = techniques.values().map(Vec::len).max().unwrap_or(1);
    json!({
        "name": "hopwatch",
        "description": "Techniques that the rules of hopwatch detect; `hopwatch rules explain RULE` says how, and what each cannot see",
        "domain": "enterprise-attack",
        "versions": {"attack": attack, "navigator": "5.1.0", "layer": "4.5"},
        "techniques": techniques.iter().map(|(id, rules)| technique(id, rules)).collect::<Vec<_>>(),
        "gradient": {"colors": ["#cfe8ff", "#08519c"], "minValue": 0, "maxValue": most},
        "legendItems": [{"label": "the more rules, the darker", "color": "#08519c"}],
        "showTacticRowBackground": false,
        "selectTechniquesAcrossTactics": true,
    })
}

fn technique(id: &str, rules: &[&RuleMeta]) -> Value {
    let names: Vec<_> = rules.iter().map(|rule| rule.name).collect();
    let metadata: Vec<_> = rules.iter().map(|rule| json!({"name": rule.name, "value": rule.title})).collect();
    json!({
        "techniqueID": id,
        "score": rules.len(),
        "comment": names.join(", "),
        "enabled": true,
        "showSubtechniques": id.contains('.'),
        "metadata": metadata,
    })
}
