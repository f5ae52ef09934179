//! From the file shape to the checked shape: names are resolved, and what cannot work is reported at its place.
//!
//! Contract: all mistakes are reported, not only the first; no mistake is reported as the consequence of another.
//! Design: `taken` knows the mappings from which a bad part was taken; what is missing there is not reported.

mod assemble;
mod contracts;
mod hops;
mod http;
mod log_sinks;
mod lowering;
mod sinks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use super::decode::Removed;
use super::file::{ExceptionFile, FileConfig, PlacedSelector};
use super::located::Located;
use super::node::Node;
use super::problem::{Problem, quoted, split, suggestion};
use super::scalar::{Cidr, Label, Port};
use super::source::{Sources, Span};
use crate::alert::{Exception, SeverityPolicy};
use crate::detect::rules;
use crate::inventory::configuration::ShownLabels;
use crate::path::{DestinationSet, Hop, PortSpec, Selector};
use assemble::{Checked, assemble};

/// Sets that are always there.
const BUILT_IN: [&str; 2] = ["internet", "any"];

struct Check<'a> {
    sources: &'a Sources,
    tree: &'a Node,
    removed: &'a Removed,
    problems: &'a mut Vec<Problem>,
    destinations: BTreeMap<String, Vec<ipnetwork::IpNetwork>>,
    hops: BTreeMap<String, Arc<Hop>>,
}

/// Checks; problems are added to `problems`, and `None` is returned when a part could not be built at all.
pub(super) fn check(
    sources: &Sources,
    tree: &Node,
    removed: &Removed,
    file: FileConfig,
    problems: &mut Vec<Problem>,
) -> Option<Config> {
    let mut check = Check { sources, tree, removed, problems, destinations: BTreeMap::new(), hops: BTreeMap::new() };
    check.destinations(&file.destinations);
    check.hops(&file.hops);
    let contracts: Vec<_> = file.contracts.iter().map(|contract| check.contract(contract)).collect();
    let exceptions: Vec<_> = file.exceptions.iter().map(|exception| check.exception(&exception.value)).collect();
    check.unique(file.contracts.iter().map(|contract| &contract.value.name), "contract");
    check.unique(file.exceptions.iter().map(|exception| &exception.value.name), "exception");
    let severities = SeverityPolicy { set: check.severities(&file), lowered: check.lowerings(&file) };
    let baseline = check.baseline(&file);
    let sinks = check.sinks(&file.sinks);
    let contracts = contracts.into_iter().collect::<Option<Vec<_>>>()?;
    let exceptions = exceptions.into_iter().collect::<Option<Vec<_>>>()?;
    let Check { hops, destinations, .. } = check;
    let shown_labels = shown_labels(&file);
    Some(assemble(
        file,
        Checked { destinations, hops, contracts, exceptions, severities, baseline, sinks, shown_labels },
    ))
}

impl Check<'_> {
    fn report(&mut self, span: Span, message: String, help: Option<String>) {
        self.problems.push(Problem::at(self.sources, span, message).with_help(help));
    }

    /// Whether nothing was taken out of this value, so that what it lacks is really missing.
    fn is_whole<T>(&self, value: &Located<T>) -> bool {
        self.removed.is_whole(value.id)
    }

    /// Whether a section has the name in the file, although it could perhaps not be read.
    fn is_written(&self, section: &str, name: &str) -> bool {
        self.tree.get(section).and_then(|section| section.get(name)).is_some()
    }

    /// Where the baseline is: a relative path is one beside the file that names it.
    fn baseline(&self, file: &FileConfig) -> Option<PathBuf> {
        let named = file.baseline.as_ref()?;
        let beside = self.sources.get(named.span.source).map(|source| PathBuf::from(&source.name));
        let folder = beside.and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
        Some(folder.join(&named.value.0))
    }

    fn destinations(&mut self, file: &BTreeMap<Located<Label>, Located<Vec<Located<Cidr>>>>) {
        for (name, ranges) in file {
            if BUILT_IN.contains(&name.value.0.as_str()) {
                let help = Some("choose another name".to_owned());
                self.report(name.span, format!("the destination {} is built in", quoted(&name.value.0)), help);
            }
            self.destinations.insert(name.value.0.clone(), ranges.value.iter().map(|range| range.value.0).collect());
        }
    }

    fn sets(&mut self, names: &[Located<String>]) -> Option<Vec<DestinationSet>> {
        let sets: Vec<_> = names.iter().map(|name| self.set(name)).collect();
        sets.into_iter().collect()
    }

    fn set(&mut self, name: &Located<String>) -> Option<DestinationSet> {
        match name.value.as_str() {
            "internet" => return Some(DestinationSet::Internet),
            "any" => return Some(DestinationSet::Any),
            _ => {}
        }
        if let Some(ranges) = self.destinations.get(&name.value) {
            return Some(DestinationSet::Ranges(ranges.clone()));
        }
        if name.value.contains(['.', ':', '/']) {
            return match Cidr::parse(&name.value) {
                Ok(range) => Some(DestinationSet::Ranges(vec![range.0])),
                Err(error) => {
                    let (message, help) = split(&error);
                    self.report(name.span, message, help);
                    None
                }
            };
        }
        if !self.is_written("destinations", &name.value) {
            let own = self.destinations.keys().map(String::as_str).filter(|name| !BUILT_IN.contains(name));
            let known: Vec<_> = own.chain(BUILT_IN).collect();
            let help = suggestion(&name.value, &known, "destinations");
            self.report(name.span, format!("unknown destination {}", quoted(&name.value)), help);
        }
        None
    }

    fn exception(&mut self, file: &ExceptionFile) -> Option<Exception> {
        self.rule(&file.rule);
        Some(Exception {
            name: file.name.value.0.clone(),
            rule: file.rule.value.clone(),
            workload: file.workload.as_ref().map(|selector| selector.value.clone()),
            destinations: self.sets(&file.destinations)?,
            ports: ports(&file.ports),
            owner: file.owner.0.clone(),
            reason: file.reason.0.clone(),
            expires: file.expires.value.at,
        })
    }

    /// Reports a name that no rule has.
    fn rule(&mut self, rule: &Located<String>) {
        if !rules::ALL.iter().any(|known| known.name == rule.value) {
            let known: Vec<_> = rules::ALL.iter().map(|rule| rule.name).collect();
            let help = suggestion(&rule.value, &known, "rules");
            self.report(rule.span, format!("unknown rule {}", quoted(&rule.value)), help);
        }
    }

    fn unique<'n>(&mut self, names: impl Iterator<Item = &'n Located<Label>>, what: &str) {
        let mut seen: BTreeMap<&Label, Span> = BTreeMap::new();
        for name in names {
            let Some(first) = seen.get(&name.value) else {
                seen.insert(&name.value, name.span);
                continue;
            };
            let help = format!(
                "the first stands at {}; give each a name of its own: alerts and metrics distinguish them by it",
                self.sources.describe(*first)
            );
            self.report(name.span, format!("a second {what} is called {}", quoted(&name.value.0)), Some(help));
        }
    }
}

/// The labels of every selector, wherever it stands: in contracts, hops, exceptions, monitors, environments, and parameters of rules.
fn shown_labels(file: &FileConfig) -> ShownLabels {
    let mut names = BTreeSet::new();
    if let Ok(whole) = serde_json::to_value(file) {
        labels_in(&whole, &mut names);
    }
    names.into_iter().collect()
}

fn labels_in(value: &serde_json::Value, names: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            let labels = map.get("labels").and_then(serde_json::Value::as_object);
            names.extend(labels.into_iter().flat_map(|labels| labels.keys().cloned()));
            map.values().for_each(|value| labels_in(value, names));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| labels_in(value, names)),
        _ => {}
    }
}

fn selectors(file: &[PlacedSelector]) -> Vec<Selector> {
    file.iter().map(|selector| selector.value.clone()).collect()
}

fn ports(file: &[Port]) -> Vec<PortSpec> {
    file.iter().map(|port| port.0).collect()
}
