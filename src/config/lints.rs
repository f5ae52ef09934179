//! What is allowed in a configuration but hardly meant: reported by `config check`, never a reason to refuse.
//!
//! Contract: pure; no advice depends on the clock. Limits: which interfaces a host has is not known here.
//! Design: each piece of advice names its place, like a mistake.

mod shadowed;

use std::collections::{BTreeMap, BTreeSet};

use globset::{GlobSet, GlobSetBuilder};

use super::InsideNamespaces;
use super::defaults;
use super::file::{Capture, ContractFile, FileConfig, HopFile, StageFile};
use super::located::Located;
use super::problem::{Problem, quoted};
use super::source::{Sources, Span};
use crate::detect::rules;
use crate::path::{Contract, EvidenceKind, HopKind, Service, checked_glob};

/// Everything that is hardly meant, in the order of the file.
#[derive(Debug)]
pub(super) struct Lints {
    found: Vec<Lint>,
    contract_names: Vec<Span>,
}

impl Lints {
    /// With what the checked contracts show; they are in the order of the file.
    pub(super) fn with_contracts(mut self, sources: &Sources, contracts: &[Contract]) -> Vec<Problem> {
        self.found.extend(shadowed::shadowed(contracts, &self.contract_names));
        self.found.sort_by_key(|(span, _)| *span);
        self.found.into_iter().map(|(span, text)| Problem::at(sources, span, text)).collect()
    }
}

/// What the file alone shows.
pub(super) fn lints(file: &FileConfig) -> Lints {
    let hops: Hops = file.hops.iter().map(|(name, hop)| (name.value.0.as_str(), &hop.value)).collect();
    let mut found = Vec::new();
    found.extend(unused_hops(file));
    found.extend(unwatched_hops(file));
    found.extend(hops_by_name(file));
    found.extend(exceptions_by_name(file));
    found.extend(file.contracts.iter().flat_map(|contract| after_the_end(&contract.value, &hops)));
    found.extend(silent_rules(file, &hops));
    Lints { found, contract_names: file.contracts.iter().map(|contract| contract.value.name.span).collect() }
}

type Hops<'a> = BTreeMap<&'a str, &'a HopFile>;
type Lint = (Span, String);

fn stages(contract: &ContractFile) -> &[Located<StageFile>] {
    contract.via.as_ref().map_or(&[], |via| &via.value)
}

fn unused_hops(file: &FileConfig) -> Vec<Lint> {
    let names = file.contracts.iter().flat_map(|contract| stages(&contract.value)).flat_map(Located::names);
    let used: BTreeSet<&str> = names.map(|name| name.value).collect();
    let unused = file.hops.keys().filter(|name| !used.contains(name.value.0.as_str()));
    unused.map(|name| (name.span, format!("no contract goes via the hop {}", quoted(&name.value.0)))).collect()
}

/// Hops that a container becomes by its name.
fn hops_by_name(file: &FileConfig) -> Vec<Lint> {
    let selectors = file.hops.iter().flat_map(|(name, hop)| hop.value.workloads.iter().map(move |one| (name, one)));
    let by_name = selectors.filter_map(|(name, selector)| {
        let glob = selector.value.name_glob_alone()?;
        let text = format!(
            "any container whose name matches {} is the hop {}; select it by digest, or by a label that the runtime sets, \
             such as com.docker.compose.service",
            quoted(glob),
            quoted(&name.value.0)
        );
        Some((selector.span, text))
    });
    by_name.collect()
}

/// Exceptions that a container gets by its name.
fn exceptions_by_name(file: &FileConfig) -> Vec<Lint> {
    let selectors =
        file.exceptions.iter().filter_map(|exception| Some((exception, exception.value.workload.as_ref()?)));
    let by_name = selectors.filter_map(|(exception, selector)| {
        let glob = selector.value.name_glob_alone()?;
        let text = format!(
            "any container whose name matches {} is allowed by the exception {}; select it by digest, or by a label that the runtime sets, \
             such as com.docker.compose.service",
            quoted(glob),
            quoted(&exception.value.name.value.0)
        );
        Some((selector.span, text))
    });
    by_name.collect()
}

/// Hops whose own observation point is not captured, so that their flows will be unobservable; and interfaces that nothing looks at.
fn unwatched_hops(file: &FileConfig) -> Vec<Lint> {
    let captured = globs(&file.capture);
    let hops = file.hops.iter().filter_map(|(name, hop)| {
        let text = unwatched(&hop.value, &file.capture, &captured)?;
        let place = hop.value.interfaces.as_ref().map_or(name.span, |interfaces| interfaces.span);
        Some((place, format!("the hop {} {text}", quoted(&name.value.0))))
    });
    hops.collect()
}

fn unwatched(hop: &HopFile, capture: &Capture, captured: &GlobSet) -> Option<String> {
    let interfaces = hop.interfaces.as_ref().map_or(&[][..], |interfaces| &interfaces.value);
    if !hop.evidence().contains(&EvidenceKind::Transit) {
        let text = "has interfaces, but is not proven by what is seen there (evidence: transit)";
        return (!interfaces.is_empty()).then(|| text.to_owned());
    }
    if interfaces.is_empty() {
        // Only where it is plain: a list of bridges shows no container's own interface.
        let bridges = capture.interfaces.iter().all(|glob| defaults::INTERFACES.contains(&glob.0.as_str()));
        let unseen = bridges && capture.inside_namespaces == InsideNamespaces::Never;
        let text = "is seen at the host's side of its workloads' interfaces (such as veth*), which capture.interfaces does not name";
        return unseen.then(|| text.to_owned());
    }
    let is_name = |name: &str| !name.contains(['*', '?', '[', '{', ':']);
    let missing = interfaces.iter().find(|glob| is_name(&glob.0) && !captured.is_match(&glob.0))?;
    Some(format!("is seen at {}, which capture.interfaces does not name", missing.0))
}

fn globs(capture: &Capture) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in capture.interfaces.iter().filter_map(|glob| checked_glob(&glob.0).ok()) {
        set.add(glob);
    }
    set.build().unwrap_or_default()
}

/// A flow ends at an endpoint; what routes or inspects it comes before that.
fn after_the_end(contract: &ContractFile, hops: &Hops) -> Vec<Lint> {
    let kinds = |stage: &Located<StageFile>| -> Vec<HopKind> {
        stage.names().iter().filter_map(|name| Some(hops.get(name.value)?.kind.value)).collect()
    };
    let is_end = |stage: &Located<StageFile>| kinds(stage).contains(&HopKind::Endpoint);
    let is_on_the_way = |stage: &Located<StageFile>| {
        kinds(stage).iter().any(|kind| *kind != HopKind::Endpoint && *kind != HopKind::Mirror)
    };
    let after = stages(contract).iter().skip_while(|stage| !is_end(stage)).filter(|stage| is_on_the_way(stage));
    let text = "this stands behind the hop at which the flow ends; what that hop sends on is a flow of its own";
    after.map(|stage| (stage.span, text.to_owned())).collect()
}

/// Contracts and exceptions whose rule is off.
fn silent_rules(file: &FileConfig, hops: &Hops) -> Vec<Lint> {
    let is_off = |rule: &str| rules::is_enabled(&file.rules, rule) == Some(false);
    let mut lints = Vec::new();
    for Located { value, .. } in &file.contracts {
        for rule in rules_of(value, hops).into_iter().filter(|rule| is_off(rule)) {
            let text = format!("the contract {} is judged, but the rule {rule} is off", quoted(&value.name.value.0));
            lints.push((value.name.span, text));
        }
    }
    for Located { value, .. } in file.exceptions.iter().filter(|exception| is_off(&exception.value.rule.value)) {
        let text = format!("the rule {} is off, so nothing needs this exception", value.rule.value);
        lints.push((value.rule.span, text));
    }
    lints
}

/// The rules that speak when a contract is broken.
fn rules_of(contract: &ContractFile, hops: &Hops) -> BTreeSet<&'static str> {
    let endpoint = match contract.service {
        Service::Ingress => return ["published-port-direct"].into(),
        Service::Dns => "dns-skips-resolver",
        Service::Egress => "egress-skips-proxy",
    };
    if contract.deny.value {
        return [endpoint].into();
    }
    let kinds =
        stages(contract).iter().flat_map(Located::names).filter_map(|name| Some(hops.get(name.value)?.kind.value));
    let rule = |kind| match kind {
        HopKind::Endpoint => endpoint,
        HopKind::Gateway => "gateway-skipped",
        HopKind::Inline | HopKind::Mirror => "monitor-hop-skipped",
        HopKind::Sidecar => "sidecar-skipped",
    };
    kinds.map(rule).collect()
}
