//! From the file shape to the checked shape: names are resolved, and what cannot work is told at its place.
//!
//! Contract: all mistakes are told, not only the first; no mistake is told as the consequence of another.
//! Design: `tainted` names the mappings from which a bad part was taken; a name that is missing there is not reported.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::decode::At;
use super::file::{ContractFile, ExceptionFile, FileConfig, HopFile, PlacedSelector, Runtime};
use super::node::Node;
use super::problem::{Problem, quoted, split, suggestion};
use super::scalar::{Cidr, Label, Port, Socket};
use super::source::{Sources, Span};
use super::{CaptureConfig, Config, RuntimesConfig};
use crate::alert::Exception;
use crate::detect::rules;
use crate::engine::{EngineConfig, Timings};
use crate::input::Protocol;
use crate::inventory::TimelineLimits;
use crate::inventory::discover::{Kind, Sought};
use crate::path::{Contract, DestinationSet, Hop, HopKind, PortSpec, Selector, Service, Stage};

/// Sets that are always there.
const BUILT_IN: [&str; 2] = ["internet", "any"];
/// MiB to bytes.
const MIB: u32 = 1 << 20;

struct Check<'a> {
    sources: &'a Sources,
    tree: &'a Node,
    tainted: &'a BTreeSet<usize>,
    problems: &'a mut Vec<Problem>,
    destinations: BTreeMap<String, Vec<ipnetwork::IpNetwork>>,
    hops: BTreeMap<String, Arc<Hop>>,
}

/// Checks; problems are added to `problems`, and `None` is returned when a part could not be built at all.
pub(super) fn check(
    sources: &Sources,
    tree: &Node,
    tainted: &BTreeSet<usize>,
    file: FileConfig,
    problems: &mut Vec<Problem>,
) -> Option<Config> {
    let mut check = Check { sources, tree, tainted, problems, destinations: BTreeMap::new(), hops: BTreeMap::new() };
    check.destinations(&file.destinations);
    check.hops(&file.hops);
    let contracts: Vec<_> = file.contracts.iter().map(|contract| check.contract(&contract.value)).collect();
    let exceptions: Vec<_> = file.exceptions.iter().map(|exception| check.exception(&exception.value)).collect();
    check.unique(file.contracts.iter().map(|contract| &contract.value.name), "contract");
    check.unique(file.exceptions.iter().map(|exception| &exception.value.name), "exception");
    let contracts = contracts.into_iter().collect::<Option<Vec<_>>>()?;
    let exceptions = exceptions.into_iter().collect::<Option<Vec<_>>>()?;
    Some(assemble(file, contracts, exceptions))
}

impl Check<'_> {
    fn tell(&mut self, span: Span, message: String, help: Option<String>) {
        self.problems.push(Problem::at(self.sources, span, message).with_help(help));
    }

    /// Whether nothing was taken out of this value, so that what it lacks is really missing.
    fn is_whole<T>(&self, value: &At<T>) -> bool {
        !self.tainted.contains(&value.id)
    }

    /// Whether a section has the name in the file, although it could perhaps not be read.
    fn is_written(&self, section: &str, name: &str) -> bool {
        self.tree.get(section).and_then(|section| section.get(name)).is_some()
    }

    fn destinations(&mut self, file: &BTreeMap<At<Label>, At<Vec<At<Cidr>>>>) {
        for (name, ranges) in file {
            if BUILT_IN.contains(&name.value.0.as_str()) {
                let help = Some("choose another name".to_owned());
                self.tell(name.span, format!("the destination {} is built in", quoted(&name.value.0)), help);
            }
            self.destinations.insert(name.value.0.clone(), ranges.value.iter().map(|range| range.value.0).collect());
        }
    }

    fn hops(&mut self, file: &BTreeMap<At<Label>, At<HopFile>>) {
        for (name, hop) in file {
            if hop.value.workloads.is_empty() && hop.value.addresses.is_empty() && self.is_whole(hop) {
                let message = format!(
                    "the hop {} has neither workloads nor addresses, so nothing can be it",
                    quoted(&name.value.0)
                );
                let help = Some("add workloads: [{name: \"…\"}] or addresses: [\"…\"]".to_owned());
                self.tell(name.span, message, help);
            }
            let built = Hop {
                name: name.value.0.clone(),
                kind: HopKind::Endpoint,
                workloads: selectors(&hop.value.workloads),
                addresses: hop.value.addresses.iter().map(|range| range.value.0).collect(),
                interfaces: Vec::new(),
                ports: ports(&hop.value.ports),
                evidence: HopKind::Endpoint.evidence().to_vec(),
            };
            self.hops.insert(name.value.0.clone(), Arc::new(built));
        }
    }

    fn contract(&mut self, file: &ContractFile) -> Option<Contract> {
        if file.from.value.is_empty() && self.is_whole(&file.from) {
            let help = Some("name at least one, such as {name: \"*\"} for all".to_owned());
            self.tell(file.from.span, "this selects nobody".to_owned(), help);
        }
        if file.evidence.value.is_empty() && self.is_whole(&file.evidence) {
            let help = Some("take the key out, or write [peer]".to_owned());
            self.tell(file.evidence.span, "without evidence nothing can prove the hop".to_owned(), help);
        }
        let via = self.via(&file.via);
        let to = match (file.to.is_empty(), file.service) {
            (true, Service::Dns) => Some(vec![DestinationSet::Any]),
            (true, Service::Egress | Service::Ingress) => Some(vec![DestinationSet::Internet]),
            (false, _) => self.sets(&file.to),
        };
        let ports = match (file.ports.is_empty(), file.service) {
            (true, Service::Dns) => dns_ports(),
            _ => ports(&file.ports),
        };
        Some(Contract {
            name: file.name.value.0.clone(),
            service: file.service,
            workloads: selectors(&file.from.value),
            remotes: to?,
            ports,
            family: None,
            networks: Vec::new(),
            via: vec![Stage { any_of: vec![via?] }],
        })
    }

    fn via(&mut self, via: &At<Vec<At<String>>>) -> Option<Arc<Hop>> {
        let [name] = &via.value[..] else {
            if !self.is_whole(via) {
                return None;
            }
            let (named, help) = match via.value.len() {
                0 => ("none is named".to_owned(), "name one from hops: [proxy]"),
                several => {
                    (format!("{several} are named"), "name alternatives inside one hop's workloads and addresses")
                }
            };
            self.tell(via.span, format!("peer evidence can prove one hop, and {named}"), Some(help.to_owned()));
            return None;
        };
        if let Some(hop) = self.hops.get(&name.value) {
            return Some(Arc::clone(hop));
        }
        if !self.is_written("hops", &name.value) {
            let known: Vec<_> = self.hops.keys().map(String::as_str).collect();
            let help = suggestion(&name.value, &known, "hops").or_else(|| Some("define it under hops".to_owned()));
            self.tell(name.span, format!("unknown hop {}", quoted(&name.value)), help);
        }
        None
    }

    fn sets(&mut self, names: &[At<String>]) -> Option<Vec<DestinationSet>> {
        let sets: Vec<_> = names.iter().map(|name| self.set(name)).collect();
        sets.into_iter().collect()
    }

    fn set(&mut self, name: &At<String>) -> Option<DestinationSet> {
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
                    self.tell(name.span, message, help);
                    None
                }
            };
        }
        if !self.is_written("destinations", &name.value) {
            let own = self.destinations.keys().map(String::as_str).filter(|name| !BUILT_IN.contains(name));
            let known: Vec<_> = own.chain(BUILT_IN).collect();
            let help = suggestion(&name.value, &known, "destinations");
            self.tell(name.span, format!("unknown destination {}", quoted(&name.value)), help);
        }
        None
    }

    fn exception(&mut self, file: &ExceptionFile) -> Option<Exception> {
        let rule = &file.rule;
        if !rules::ALL.iter().any(|known| known.name == rule.value) {
            let known: Vec<_> = rules::ALL.iter().map(|rule| rule.name).collect();
            let help = suggestion(&rule.value, &known, "rules");
            self.tell(rule.span, format!("unknown rule {}", quoted(&rule.value)), help);
        }
        Some(Exception {
            name: file.name.value.0.clone(),
            rule: rule.value.clone(),
            workload: file.workload.as_ref().map(|selector| selector.value.clone()),
            destinations: self.sets(&file.destinations)?,
            ports: ports(&file.ports),
            owner: file.owner.0.clone(),
            reason: file.reason.0.clone(),
            expires: file.expires.value.at,
        })
    }

    fn unique<'n>(&mut self, names: impl Iterator<Item = &'n At<Label>>, what: &str) {
        let mut seen: BTreeMap<&Label, Span> = BTreeMap::new();
        for name in names {
            let Some(first) = seen.get(&name.value) else {
                seen.insert(&name.value, name.span);
                continue;
            };
            let help = format!(
                "the first stands at {}; give each a name of its own: alerts and metrics tell them apart by it",
                self.sources.describe(*first)
            );
            self.tell(name.span, format!("a second {what} is called {}", quoted(&name.value.0)), Some(help));
        }
    }
}

fn selectors(file: &[PlacedSelector]) -> Vec<Selector> {
    file.iter().map(|selector| selector.value.clone()).collect()
}

fn ports(file: &[Port]) -> Vec<PortSpec> {
    file.iter().map(|port| port.0).collect()
}

/// 53 over UDP and TCP (RFC 1035), 853 for DNS over TLS (RFC 7858) and over QUIC (RFC 9250).
fn dns_ports() -> Vec<PortSpec> {
    let all = [53, 853]
        .map(|port| [Protocol::UDP, Protocol::TCP].map(|protocol| PortSpec { port, protocol: Some(protocol) }));
    all.concat()
}

fn assemble(file: FileConfig, contracts: Vec<Contract>, exceptions: Vec<Exception>) -> Config {
    let FileConfig { capture, runtime, serve, flows, detection, inventory, alerts, rules, .. } = file;
    Config {
        capture: CaptureConfig {
            interfaces: capture.interfaces.into_iter().map(|glob| glob.0).collect(),
            snap_length: capture.snap_length,
            payload_snap_length: capture.payload_snap_length.small(),
            ring_bytes: capture.ring_mib.small().saturating_mul(MIB),
            ring_budget_bytes: u64::from(capture.ring_budget_mib.small()) * u64::from(MIB),
            threads: capture.threads.size(),
            exclude_own: capture.exclude_own,
            inside_namespaces: capture.inside_namespaces,
        },
        runtimes: runtimes(runtime),
        listen: serve.listen.0,
        meter: flows.limits(),
        engine: EngineConfig {
            contracts,
            exceptions,
            rules,
            timings: Timings {
                attribution_grace: detection.attribution_grace.get(),
                answer_grace: detection.answer_grace.get(),
                transit_grace: detection.transit_grace.get(),
                hop_ready: detection.startup_grace.get(),
                update_interval: alerts.update_interval.get(),
                close_after: alerts.close_after.get(),
            },
            timeline: TimelineLimits { workloads: inventory.max_workloads.size(), remember: inventory.remember.get() },
            max_flows: detection.max_flows.size(),
            max_alerts: alerts.max_open.size(),
            max_destinations: alerts.max_destinations.size(),
        },
    }
}

fn runtimes(file: Runtime) -> RuntimesConfig {
    let Runtime { discover, reconcile_interval, docker, podman, containerd, cri } = file;
    let texts = |sockets: Vec<Socket>| sockets.into_iter().map(|socket| socket.0).collect::<Vec<_>>();
    let sockets = [
        (Kind::Docker, texts(docker.socket.into_iter().chain(docker.sockets).collect())),
        (Kind::Podman, texts(podman.sockets)),
        (Kind::Containerd, texts(containerd.sockets)),
        (Kind::Cri, texts(cri.sockets)),
    ];
    RuntimesConfig {
        sought: Sought { discover, sockets: sockets.into() },
        reconcile_interval: reconcile_interval.get(),
        docker_reconcile_interval: docker.reconcile_interval.unwrap_or(reconcile_interval).get(),
    }
}
