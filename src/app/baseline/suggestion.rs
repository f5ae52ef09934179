//! Suggested path contracts as a configuration to paste, with what they would have said of the recording.
//!
//! Contract: what is written is a configuration that the checks accept. Names come from services, so they are quoted, and cut to what a name may
//! hold. Limits: a service without a manager is selected by the names of its containers, which the one who starts them chooses; a comment says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::baseline::traffic::Peer;
use crate::baseline::{Dealt, Place, SuggestedContract, suggest};
use crate::escape::json::quoted;
use crate::escape::printable;
use crate::inventory::configuration::{ServiceKey, ServiceName};
use crate::path::Service;

use super::Observed;

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
/// Characters of a name.
const MAX_NAME: usize = 40;

/// Flows by contract and verdict, as a summary has them.
pub type Said = BTreeMap<String, BTreeMap<&'static str, u64>>;

/// Contracts under the names that they get.
#[derive(Debug)]
pub struct Suggestion {
    hops: BTreeMap<Place, (String, String)>,
    contracts: Vec<(String, SuggestedContract)>,
}

impl Suggestion {
    /// From what was observed.
    pub fn of(observed: &Observed) -> Self {
        let mut published: BTreeMap<ServiceKey, BTreeMap<u16, BTreeSet<u16>>> = BTreeMap::new();
        for container in &observed.containers {
            let ports = published.entry(ServiceKey::of(&container.workload)).or_default();
            for port in &container.workload.published {
                ports.entry(port.port).or_default().insert(port.host_port);
            }
        }
        let none = BTreeMap::new();
        let traffic = observed.traffic.iter();
        let all = traffic.map(|(key, rows)| Dealt { key, rows, published: published.get(key).unwrap_or(&none) });
        let all: Vec<_> = all.collect();
        let keys: BTreeMap<String, &ServiceKey> = all.iter().map(|one| (one.key.to_string(), one.key)).collect();
        let mut suggestion = Self { hops: BTreeMap::new(), contracts: Vec::new() };
        let mut taken = BTreeSet::new();
        for contract in suggest(&all) {
            let Some((short, is)) = who(&contract.via.peer, &keys) else { continue };
            let named = |taken: &mut BTreeSet<String>, name: String| unique(taken, &name);
            let hop = suggestion.hops.entry(contract.via.clone());
            let (hop, _) = hop.or_insert_with(|| (named(&mut taken, short), is)).clone();
            let name = match contract.service {
                Service::Egress => format!("egress-through-{hop}"),
                Service::Dns => format!("dns-through-{hop}"),
                Service::Ingress => {
                    format!("{}-through-{hop}", contract.of.first().map_or_else(String::new, short_name))
                }
            };
            let name = named(&mut taken, name);
            suggestion.contracts.push((name, contract));
        }
        suggestion
    }

    /// How many contracts are suggested.
    pub const fn len(&self) -> usize {
        self.contracts.len()
    }

    /// Whether nothing is suggested.
    pub const fn is_empty(&self) -> bool {
        self.contracts.is_empty()
    }

    /// A configuration; with what it said of the recording, once that is known.
    pub fn yaml(&self, said: Option<&Said>) -> String {
        let mut text = "# Path contracts that were kept. A place that was passed is not always one that must be: review them.\nhops:\n".to_owned();
        for (place, (name, is)) in &self.hops {
            let _ = write!(text, "  # {}\n  {name}:\n    {is}\n", printable(&place.peer.to_string()));
            if let Some(port) = place.port {
                let _ = writeln!(text, "    ports: [{port}]");
            }
        }
        text.push_str("contracts:\n");
        for (name, contract) in &self.contracts {
            text.push_str(&self.contract(name, contract, said));
        }
        text
    }

    fn contract(&self, name: &str, contract: &SuggestedContract, said: Option<&Said>) -> String {
        let hop = self.hops.get(&contract.via).map_or("", |(name, _)| name.as_str());
        let mut text = format!("  # Seen through it: {}, around it: {}.", contract.through, contract.around);
        if let Some(said) = said {
            let _ = write!(text, " As a contract: {}.", verdicts(said, name));
        }
        let of: Vec<_> = contract.of.iter().map(selector).collect();
        let by_name = contract.of.iter().any(|key| !is_by_label(key));
        if by_name {
            text.push_str("\n  # Who starts a container chooses its name: labels or a digest would be safer.");
        }
        let _ = write!(text, "\n  - name: {name}\n");
        let of = of.join(", ");
        let _ = match contract.service {
            Service::Egress => write!(text, "    from: [{of}]\n    to: [internet]\n"),
            Service::Dns => write!(text, "    service: dns\n    from: [{of}]\n"),
            Service::Ingress => write!(text, "    service: ingress\n    into: [{of}]\n    sources: [any]\n"),
        };
        if let Some(port) = contract.port {
            let _ = writeln!(text, "    ports: [{port}]");
        }
        let _ = writeln!(text, "    via: [{hop}]");
        text
    }
}

/// `12 verified (100 %), 0 bypassed (0 %), 0 unobservable (0 %)`.
fn verdicts(said: &Said, contract: &str) -> String {
    let none = BTreeMap::new();
    let counts = said.get(contract).unwrap_or(&none);
    let total: u64 = counts.values().sum();
    let share = |count: u64| (count * 100).checked_div(total).unwrap_or_default();
    let of = |verdict: &str| counts.get(verdict).copied().unwrap_or_default();
    let each = ["verified", "bypassed", "partial", "unobservable"].map(|verdict| (verdict, of(verdict)));
    let shown = each.into_iter().filter(|(verdict, count)| *count > 0 || *verdict != "partial");
    let shown = shown.map(|(verdict, count)| format!("{count} {verdict} ({} %)", share(count)));
    shown.collect::<Vec<_>>().join(", ")
}

/// A short name for a place, and the YAML line that says who it is; none where it cannot be named.
fn who(peer: &Peer, keys: &BTreeMap<String, &ServiceKey>) -> Option<(String, String)> {
    match peer {
        Peer::Service(name) => {
            let key = keys.get(name)?;
            Some((short_name(key), format!("workloads: [{}]", selector(key))))
        }
        Peer::Network(range) => {
            Some((format!("at-{}", range.ip()), format!("addresses: [{}]", quoted(&range.to_string()))))
        }
        Peer::Host | Peer::Domain(_) | Peer::Inside | Peer::Outside => None,
    }
}

fn short_name(key: &ServiceKey) -> String {
    match key.name() {
        ServiceName::Pod { controller, .. } => controller.clone(),
        ServiceName::Compose { project, service } => format!("{project}-{service}"),
        ServiceName::Swarm(name) | ServiceName::Unit(name) | ServiceName::Name(name) => name.clone(),
    }
}

const fn is_by_label(key: &ServiceKey) -> bool {
    matches!(key.name(), ServiceName::Compose { .. } | ServiceName::Swarm(_) | ServiceName::Unit(_))
}

fn selector(key: &ServiceKey) -> String {
    match key.name() {
        ServiceName::Compose { project, service } => {
            format!("{{labels: {{{PROJECT}: {}, {SERVICE}: {}}}}}", glob(project), glob(service))
        }
        ServiceName::Swarm(name) => format!("{{labels: {{com.docker.swarm.service.name: {}}}}}", glob(name)),
        ServiceName::Unit(name) => format!("{{labels: {{PODMAN_SYSTEMD_UNIT: {}}}}}", glob(name)),
        // A pattern already.
        ServiceName::Name(name) => format!("{{name: {}}}", quoted(name)),
        ServiceName::Pod { container, .. } => format!("{{name: {}}}", glob(container)),
    }
}

/// A text that matches itself alone.
fn glob(text: &str) -> String {
    quoted(&globset::escape(text))
}

/// A name that the configuration takes, and that is not taken.
fn unique(taken: &mut BTreeSet<String>, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let plain: String = name.chars().map(plain).collect();
    let words: Vec<_> = plain.split('-').filter(|word| !word.is_empty()).collect();
    let short: String = words.join("-").chars().take(MAX_NAME).collect();
    let short = if short.is_empty() { "service".to_owned() } else { short };
    let mut name = short.clone();
    for number in 2_u32.. {
        if taken.insert(name.clone()) {
            break;
        }
        name = format!("{short}-{number}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::traffic::{Facts, Ports, Row, Seen, Way};
    use crate::input::Protocol;

    fn reaches(peer: &str, port: u16) -> Row {
        let facts = Facts { seen: Seen::new(None, 0, 9, 0), ..Facts::default() };
        let ports = Ports::one(Protocol::TCP, port);
        Row { way: Way::Reaches, peer: peer.parse().expect("a peer"), ports, facts }
    }

    #[test]
    fn names_that_an_attacker_chose_make_no_other_configuration() {
        let evil = "web\"}], deny: true}\n\u{1b}[2J{*,?}";
        let compose = |service: &str| ServiceName::Compose { project: "shop".to_owned(), service: service.to_owned() };
        let [web, squid] = [evil, "sq[u]id*\nrules: {}\n"].map(|name| ServiceKey::new(compose(name), "image"));
        let through = reaches(&format!("service {squid}"), 3128);
        let out = reaches("network 198.51.100.0/24", 443);
        let traffic = vec![(web, vec![through]), (squid, vec![out])];
        let suggestion = Suggestion::of(&Observed { traffic, ..Observed::default() });
        let text = suggestion.yaml(None);
        assert!(!text.contains('\u{1b}'), "{text}");
        let config = crate::config::from_str("test", &text).map_err(|error| format!("{error}: {text}")).expect("good");
        let [contract] = &config.config.engine.contracts[..] else { panic!("{text}") };
        assert_eq!((contract.name.as_str(), contract.via.len()), ("egress-through-shop-sq-u-id-rules", 1));
    }
}
