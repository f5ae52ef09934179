//! `anonymizer`.

mod strategy;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::detect::anomaly::once::{InFlow, OnRecords, Once, RecordRule};
use crate::detect::anomaly::spoken::{Spoken, spoken};
use crate::detect::params::rule_params;
use crate::detect::{
    Actor, Alternative, Context, ExpectedFrom, Explanation, Finding, Rule, Severity, asker_of, name_of,
};
use crate::input::{FlowRecord, Protocol, TlsHello, tcp_flags};
use crate::names::KnownBy;
use crate::path::{JudgedFlow, Selector, is_internet};
pub use strategy::META;

/// Actors whose likely connections are counted; beyond, each of theirs is one by itself.
const MAX_ACTORS: usize = 10_000;

/// Domains of services that hide where traffic goes. Source: the services' own pages; July 2026.
const SERVICES: [&str; 19] = [
    "expressvpn.com",
    "getlantern.org",
    "hide.me",
    "hotspotshield.com",
    "i2p2.de",
    "mullvad.net",
    "nordvpn.com",
    "privateinternetaccess.com",
    "protonvpn.ch",
    "protonvpn.com",
    "psiphon.ca",
    "psiphon3.com",
    "softether-network.net",
    "softether.net",
    "surfshark.com",
    "torproject.org",
    "ultrasurf.us",
    "vpnazure.net",
    "windscribe.com",
];

/// Lists of ciphers as browsers send them, as the second part of JA4: Chrome and its kin, Firefox, Safari. Source: `FoxIO`, JA4+ (README, examples).
const BROWSERS: [&str; 3] = ["8daaf6152771", "5b57614c22b0", "a09f3c656075"];

rule_params! {
    /// Services that may.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// Likely connections of one actor from which on it is `medium`, where names were seen.
    likely_medium: u32 = 3,
}

/// The rule; it remembers how many likely connections each actor had.
#[derive(Debug)]
struct Anonymizer {
    params: Params,
    likely: BTreeMap<Actor, u32>,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    OnRecords::new(Anonymizer { params: params.clone(), likely: BTreeMap::new(), forgotten: 0 })
}

/// What gives it away.
#[derive(Debug, PartialEq, Eq)]
enum Sign {
    /// A protocol that only anonymizers and VPNs speak, to the outside.
    Certain(Spoken),
    /// A service's name.
    Named(String),
    /// A TLS hello as Tor sends it.
    Tor(String),
    /// A browser's TLS hello that asks for no name, to an address without a name.
    Imitated(String),
    /// Ciphertext from the first byte on, to an address without a name.
    Encrypted,
}

impl RecordRule for Anonymizer {
    fn look(
        &mut self,
        context: Context<'_>,
        flow: &JudgedFlow,
        record: &FlowRecord,
        reported: &mut Once,
    ) -> Option<Finding> {
        let sign = sign(context, flow, record)?;
        let actor = context.actors.source(flow)?;
        let is_allowed = flow.source.workload().is_some_and(|one| Selector::any(&self.params.allowed, one));
        if is_allowed || !flow.oriented.certain || !reported.is_new(flow) {
            return None;
        }
        let asker = asker_of(&flow.source, record.tuple.orig.ip);
        let is_observable = context.names.observed_since(&asker).is_some();
        let count = if sign.is_likely() { self.count(&actor) } else { 1 };
        let is_medium = matches!(sign, Sign::Certain(_)) || is_observable && count >= self.params.likely_medium;
        let severity = if is_medium && !matches!(sign, Sign::Named(_)) { Severity::Medium } else { Severity::Low };
        let found = InFlow { rule: &META, flow, record, actor: &actor };
        Some(found.finding(context, severity, sign.cause(), sign.explain(record, count, is_observable)))
    }

    fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl Anonymizer {
    /// How many likely connections the actor had, with this one.
    fn count(&mut self, actor: &Actor) -> u32 {
        if self.likely.len() >= MAX_ACTORS && !self.likely.contains_key(actor) {
            self.forgotten += 1;
            return 1;
        }
        let count = self.likely.entry(actor.clone()).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

fn sign(context: Context<'_>, flow: &JudgedFlow, record: &FlowRecord) -> Option<Sign> {
    let app = record.app.as_deref();
    if let Some(asked) = app.iter().flat_map(|app| &app.dns).find(|question| is_service(&question.query)) {
        return Some(Sign::Named(asked.query.clone()));
    }
    if !is_internet(record.tuple.resp.ip) {
        return None;
    }
    // Of workloads `tunnel-from-container` reports VPNs.
    let is_workload = flow.source.workload().is_some();
    let is_meant = |one: &Spoken| match one {
        Spoken::Socks => true,
        Spoken::OpenVpn | Spoken::WireGuard => !is_workload,
        _ => false,
    };
    if let Some(certain) = spoken(record).into_iter().find(is_meant) {
        return Some(Sign::Certain(certain));
    }
    let name = name_of(context, flow, record);
    if let Some(known) = name.as_ref().filter(|known| is_service(&known.name)) {
        return Some(Sign::Named(known.name.to_string()));
    }
    let asked = context.names.of(&asker_of(&flow.source, record.tuple.orig.ip), record.tuple.resp.ip, flow.oriented.at);
    if asked.is_some() {
        return None;
    }
    let tls = app.and_then(|app| app.tls.as_ref());
    let is_observed = context.names.observed_since(&asker_of(&flow.source, record.tuple.orig.ip)).is_some();
    let tor = name.filter(|known| known.by == KnownBy::Sni && is_like_tors(&known.name) && is_observed);
    if let Some(known) = tor.filter(|_| tls.is_some_and(|tls| tls.alpn.is_empty())) {
        return Some(Sign::Tor(known.name.to_string()));
    }
    if let Some(ja4) = tls.and_then(like_a_browser_without_a_name) {
        return Some(Sign::Imitated(ja4.to_owned()));
    }
    let begins = record.tcp.is_some_and(|tcp| tcp.orig_flags & tcp_flags::SYN != 0);
    let is_encrypted = app.is_some_and(|app| app.looks_encrypted && app.http.is_none() && tls.is_none());
    (is_encrypted && begins && record.tuple.protocol == Protocol::TCP).then_some(Sign::Encrypted)
}

fn is_service(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    SERVICES.iter().any(|one| name.strip_suffix(one).is_some_and(|below| below.is_empty() || below.ends_with('.')))
}

/// The fingerprint of a hello that has a browser's ciphers and protocols, and asks for no server by name: a browser does that only where a person types an address.
fn like_a_browser_without_a_name(tls: &TlsHello) -> Option<&str> {
    let ja4 = tls.ja4.as_deref().filter(|_| tls.sni.is_none() && tls.alpn.iter().any(|one| one == "h2"))?;
    let ciphers = ja4.split('_').nth(1)?;
    BROWSERS.contains(&ciphers).then_some(ja4)
}

/// `www.`, 8 to 24 characters of base 32, `.com` or `.net`: the names that Tor makes up.
fn is_like_tors(name: &str) -> bool {
    let middle =
        name.strip_prefix("www.").and_then(|rest| rest.strip_suffix(".com").or_else(|| rest.strip_suffix(".net")));
    middle.is_some_and(|middle| {
        (8..=24).contains(&middle.len()) && middle.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
    })
}

impl Sign {
    const fn is_likely(&self) -> bool {
        matches!(self, Self::Tor(_) | Self::Imitated(_) | Self::Encrypted)
    }

    const fn cause(&self) -> &'static str {
        match self {
            Self::Certain(spoken) => spoken.as_str(),
            Self::Named(_) => "name",
            Self::Tor(_) => "tor",
            Self::Imitated(_) => "imitated",
            Self::Encrypted => "encrypted",
        }
    }

    fn explain(&self, record: &FlowRecord, count: u32, is_observable: bool) -> Explanation {
        let place = record.tuple.resp;
        let (observed, alternative) = match self {
            Self::Certain(spoken) => (
                format!("{} is spoken to {place}, outside", spoken.as_str()),
                Alternative::new("a VPN or proxy that the service is for", "ask the service's owner"),
            ),
            Self::Named(name) => (
                format!("the name of an anonymizing service was used: {name}"),
                Alternative::new("a person who reads such a service's web page", "what follows the question"),
            ),
            Self::Tor(name) => (
                format!(
                    "a TLS hello without ALPN asks {place} for {name}, a name that nobody asked for: as Tor does. Likely, not certain"
                ),
                Alternative::new("a client with a list of addresses and a short name", "the server's certificate"),
            ),
            Self::Imitated(ja4) => (
                format!(
                    "a TLS hello with a browser's ciphers and HTTP/2, but without the server's name, goes to {place}, an address that no answer names: as Ultrasurf and \
                     Psiphon do ({ja4}). Likely, not certain; connection {count} of this kind"
                ),
                Alternative::new("a browser in which a person typed an address", "a browser in a container is rare"),
            ),
            Self::Encrypted => (
                format!(
                    "ciphertext from the first byte on to {place}, an address that no answer names: as Shadowsocks, VMess and Obfs4 do. Likely, not certain; connection {count} of this kind"
                ),
                Alternative::new(
                    "a compressed or encrypted protocol of its own: games, telephony, backups",
                    "ask the service's owner who serves the far end",
                ),
            ),
        };
        let expected = "services reach the outside by names, in protocols that show what they are";
        let mut why = Explanation::new(observed, expected, ExpectedFrom::Floor);
        why.threshold = "one connection; likely ones are medium from `likely_medium` on".into();
        why.parameter = "rules.anonymizer.likely_medium".into();
        why.name_observable = Some(is_observable);
        why.alternatives.push(alternative);
        if self.is_likely() && !is_observable {
            why.limits.push("no answer to this actor's questions was seen, so that the far end may have a name".into());
        }
        why.silence = "name the service under rules.anonymizer.allowed".into();
        why
    }
}
