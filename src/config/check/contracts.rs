//! Contracts: whose traffic, the other end, and the path.
//!
//! Contract: what can never be kept, or never be broken, is a mistake at its place. Limits: one stage of endpoints for what comes in.
//! Design: `ends` reads the keys of the contract's direction and refuses those of the other; `path` builds the stages.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Check, ports, selectors};
use crate::config::file::{ContractFile, PlacedSelector, StageFile};
use crate::config::located::Located;
use crate::config::problem::{Problem, quoted, suggestion};
use crate::config::source::Span;
use crate::input::Protocol;
use crate::path::{Contract, DestinationSet, EvidenceKind, Family, Hop, HopKind, PortSpec, Selector, Service, Stage};

impl Check<'_> {
    pub(super) fn contract(&mut self, contract: &Located<ContractFile>) -> Option<Contract> {
        let file = &contract.value;
        let ends = self.ends(contract);
        let via = self.path(contract);
        self.networks(file);
        let (workloads, remotes) = ends?;
        self.family(file, &remotes);
        let ports = match (file.ports.is_empty(), file.service) {
            (true, Service::Dns) => dns_ports(),
            _ => ports(&file.ports),
        };
        let networks = file.networks.iter().flat_map(|names| &names.value).map(|name| name.0.clone()).collect();
        Some(Contract {
            name: file.name.value.0.clone(),
            service: file.service,
            workloads,
            remotes,
            ports,
            family: file.family.as_ref().map(|family| family.value),
            networks,
            via: via?,
        })
    }

    /// Whose traffic, and the other end.
    fn ends(&mut self, contract: &Located<ContractFile>) -> Option<(Vec<Selector>, Vec<DestinationSet>)> {
        let file = &contract.value;
        let inbound = file.service == Service::Ingress;
        let (key, who, remotes) =
            if inbound { ("into", &file.into, &file.sources) } else { ("from", &file.from, &file.to) };
        let misplaced = if inbound {
            self.misplaced(file.from.as_ref(), "from", inbound) | self.misplaced(file.to.as_ref(), "to", inbound)
        } else {
            self.misplaced(file.into.as_ref(), "into", inbound)
                | self.misplaced(file.sources.as_ref(), "sources", inbound)
        };
        let workloads = self.whose(contract, key, who.as_ref(), misplaced);
        let remotes = match (remotes, file.service) {
            (Some(sets), _) if !sets.value.is_empty() => self.sets(&sets.value),
            (_, Service::Egress) => Some(vec![DestinationSet::Internet]),
            (_, Service::Dns | Service::Ingress) => Some(vec![DestinationSet::Any]),
        };
        workloads.zip(remotes)
    }

    /// Reports a key of the other direction.
    fn misplaced<T>(&mut self, value: Option<&Located<T>>, key: &str, inbound: bool) -> bool {
        let Some(value) = value else { return false };
        let (message, help) = if inbound {
            (
                format!("{key} is not for a contract about what comes in"),
                "write into: [workloads that are reached] and sources: [where from], or take service: ingress out",
            )
        } else {
            (
                format!("{key} is only for contracts about what comes in"),
                "write from: [whose traffic] and to: [where to], or add service: ingress",
            )
        };
        self.report(value.span, message, Some(help.to_owned()));
        true
    }

    fn whose(
        &mut self,
        contract: &Located<ContractFile>,
        key: &str,
        who: Option<&Located<Vec<PlacedSelector>>>,
        misplaced: bool,
    ) -> Option<Vec<Selector>> {
        let Some(who) = who else {
            if !misplaced && !self.removed.had(contract.id, key) {
                self.missing(contract.span, format!("the key {key:?} is missing"), format!("add {key}: …"));
            }
            return None;
        };
        if who.value.is_empty() && self.is_whole(who) {
            let help = Some("name at least one, such as {name: \"*\"} for all".to_owned());
            self.report(who.span, "this selects no workload".to_owned(), help);
        }
        Some(selectors(&who.value))
    }

    fn missing(&mut self, mapping: Span, message: String, help: String) {
        let problem = Problem::at(self.sources, mapping, message).with_label("in this mapping").with_help(Some(help));
        self.problems.push(problem);
    }

    fn path(&mut self, contract: &Located<ContractFile>) -> Option<Vec<Stage>> {
        let file = &contract.value;
        match (&file.via, file.deny.value) {
            (Some(_), true) => {
                let help = "take one out: deny: true allows such traffic on no path";
                self.report(file.deny.span, "deny and via exclude each other".to_owned(), Some(help.to_owned()));
                None
            }
            (None, true) => Some(Vec::new()),
            (None, false) => {
                if !self.removed.had(contract.id, "via") && !self.removed.had(contract.id, "deny") {
                    let help = "add via: [a hop's name]; or deny: true, if no such traffic is allowed";
                    self.missing(contract.span, "the key \"via\" is missing".to_owned(), help.to_owned());
                }
                None
            }
            (Some(via), false) => {
                let stages = self.stages(via)?;
                self.path_mistakes(file.service, via, &stages);
                Some(stages)
            }
        }
    }

    fn stages(&mut self, via: &Located<Vec<Located<StageFile>>>) -> Option<Vec<Stage>> {
        if via.value.is_empty() {
            if self.is_whole(via) {
                let help = "name one from hops: [proxy]; or write deny: true in place of via, where no path is allowed";
                self.report(via.span, "no hop is named".to_owned(), Some(help.to_owned()));
            }
            return None;
        }
        let mut seen = BTreeMap::new();
        let stages: Vec<_> = via.value.iter().map(|stage| self.stage(stage, &mut seen)).collect();
        stages.into_iter().collect()
    }

    fn stage(&mut self, stage: &Located<StageFile>, seen: &mut BTreeMap<String, Span>) -> Option<Stage> {
        let names = stage.names();
        if names.is_empty() {
            if self.is_whole(stage) {
                let help = Some("name alternatives from hops: [proxy-a, proxy-b]".to_owned());
                self.report(stage.span, "no hop is named".to_owned(), help);
            }
            return None;
        }
        let any_of: Vec<_> = names.iter().map(|name| self.hop(name, seen)).collect();
        any_of.into_iter().collect::<Option<_>>().map(|any_of| Stage { any_of })
    }

    fn hop(&mut self, name: &Located<&str>, seen: &mut BTreeMap<String, Span>) -> Option<Arc<Hop>> {
        if let Some(first) = seen.get(name.value) {
            let help = format!("the first stands at {}; a path passes a hop once", self.sources.describe(*first));
            self.report(name.span, format!("the hop {} is named twice", quoted(name.value)), Some(help));
            return None;
        }
        seen.insert(name.value.to_owned(), name.span);
        if let Some(hop) = self.hops.get(name.value) {
            return Some(Arc::clone(hop));
        }
        if !self.is_written("hops", name.value) {
            let known: Vec<_> = self.hops.keys().map(String::as_str).collect();
            let help = suggestion(name.value, &known, "hops").or_else(|| Some("define it under hops".to_owned()));
            self.report(name.span, format!("unknown hop {}", quoted(name.value)), help);
        }
        None
    }

    /// What no flow can keep.
    fn path_mistakes(&mut self, service: Service, via: &Located<Vec<Located<StageFile>>>, stages: &[Stage]) {
        if service == Service::Ingress {
            self.ingress_mistakes(via, stages);
            return;
        }
        let mut ends = stages.iter().zip(&via.value).filter(|(stage, _)| is_an_end(stage));
        let Some((first, _)) = ends.next() else { return };
        for (stage, place) in ends {
            let message =
                format!("{} can never be proven beside {}: a flow has one other end", named(stage), named(first));
            let help = "alternatives stand in a list of their own, via: [[a, b]]; what the first hop sends on is a flow of \
                its own";
            self.report(place.span, message, Some(help.to_owned()));
        }
    }

    fn ingress_mistakes(&mut self, via: &Located<Vec<Located<StageFile>>>, stages: &[Stage]) {
        let [stage] = stages else {
            let message =
                format!("what comes in is proven by who sends it: one hop, and {} are named in order", stages.len());
            let help = "alternatives stand in a list of their own: via: [[a, b]]";
            self.report(via.span, message, Some(help.to_owned()));
            return;
        };
        let unfit = |hop: &&Arc<Hop>| hop.kind != HopKind::Endpoint || !hop.accepts(EvidenceKind::Peer);
        if let Some(hop) = stage.any_of.iter().find(unfit) {
            let message = format!("the hop {} cannot be an ingress", quoted(&hop.name));
            let help = "what comes in is proven by who sends it: a hop of kind endpoint that accepts the evidence peer";
            self.report(via.value.first().map_or(via.span, |stage| stage.span), message, Some(help.to_owned()));
        }
    }

    fn networks(&mut self, file: &ContractFile) {
        let Some(networks) = &file.networks else { return };
        let (message, help) = if file.service == Service::Ingress {
            (
                "networks are those over which traffic leaves, and this contract is about what comes in",
                "take the key out",
            )
        } else if file.deny.value {
            ("no path is allowed, so none over these networks is", "take networks out, or write via in place of deny")
        } else if networks.value.is_empty() && self.is_whole(networks) {
            ("no network is named", "take the key out, or name those over which the traffic may leave")
        } else {
            return;
        };
        self.report(networks.span, message.to_owned(), Some(help.to_owned()));
    }

    /// A contract about a family of which it names no address covers nothing.
    fn family(&mut self, file: &ContractFile, remotes: &[DestinationSet]) {
        let Some(family) = &file.family else { return };
        let holds = |set: &DestinationSet| match set {
            DestinationSet::Any | DestinationSet::Internet => true,
            DestinationSet::Ranges(ranges) => ranges.iter().any(|range| Family::of(range.ip()) == family.value),
        };
        // A set from which a bad range was taken may have held one.
        if remotes.iter().any(holds) || remotes.contains(&DestinationSet::Ranges(Vec::new())) {
            return;
        }
        let (name, other) = match family.value {
            Family::Ipv4 => ("IPv4", "IPv6"),
            Family::Ipv6 => ("IPv6", "IPv4"),
        };
        let message = format!("this contract covers nothing: all its addresses are {other}");
        self.report(family.span, message, Some(format!("name {name} addresses, or take family out")));
    }
}

/// Whether a stage can only be proven by the hop being the other end of the flow; a relay is that, and carries it on besides.
fn is_an_end(stage: &Stage) -> bool {
    let end = |kind: &EvidenceKind| matches!(kind, EvidenceKind::Peer | EvidenceKind::Redirect | EvidenceKind::Relay);
    stage.any_of.iter().all(|hop| !hop.evidence.is_empty() && hop.evidence.iter().all(end))
}

fn named(stage: &Stage) -> String {
    stage.any_of.iter().map(|hop| quoted(&hop.name)).collect::<Vec<_>>().join(" or ")
}

/// 53 over UDP and TCP (RFC 1035), 853 for DNS over TLS (RFC 7858) and over QUIC (RFC 9250).
fn dns_ports() -> Vec<PortSpec> {
    let all = [53, 853]
        .map(|port| [Protocol::UDP, Protocol::TCP].map(|protocol| PortSpec { port, protocol: Some(protocol) }));
    all.concat()
}
