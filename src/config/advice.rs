//! What is allowed in a configuration but hardly meant: told by `config check`, never a reason to refuse.
//!
//! Contract: pure; no advice depends on the clock. Design: each piece of advice names its place, like a mistake.

use std::collections::BTreeSet;

use super::decode::At;
use super::file::{ContractFile, FileConfig};
use super::problem::{Problem, quoted};
use super::source::{Sources, Span};
use crate::detect::rules;
use crate::path::Service;

/// Everything that is hardly meant, in the order of the file.
pub(super) fn advice(sources: &Sources, file: &FileConfig) -> Vec<Problem> {
    let params = &file.rules;
    let enabled: BTreeSet<&str> = rules::enabled(params).iter().map(|rule| rule.meta().name).collect();
    let tell = |span: Span, text: String| Problem::at(sources, span, text);
    let mut advice = Vec::new();

    let used: BTreeSet<&str> =
        file.contracts.iter().flat_map(|c| &c.value.via.value).map(|hop| hop.value.as_str()).collect();
    for (name, _) in file.hops.iter().filter(|(name, _)| !used.contains(name.value.0.as_str())) {
        advice.push(tell(name.span, format!("no contract goes via the hop {}", quoted(&name.value.0))));
    }
    for At { value, .. } in &file.contracts {
        let rule = rule_of(value);
        if !enabled.contains(rule) {
            let text = format!("the contract {} is judged, but the rule {rule} is off", quoted(&value.name.value.0));
            advice.push(tell(value.name.span, text));
        }
    }
    for At { value, .. } in &file.exceptions {
        if !enabled.contains(value.rule.value.as_str()) {
            let text = format!("the rule {} is off, so nothing needs this exception", value.rule.value);
            advice.push(tell(value.rule.span, text));
        }
    }
    advice
}

/// The rule that speaks when a contract is broken.
fn rule_of(contract: &ContractFile) -> &'static str {
    match contract.service {
        Service::Dns => rules::dns_skips_resolver::META.name,
        Service::Egress | Service::Ingress => rules::egress_skips_proxy::META.name,
    }
}
