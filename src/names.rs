//! Which names addresses have, for the actor that asked for them.
//!
//! Contract: an address has the name that its actor asked for last before the flow; what others asked for is `shared`. A name holds for twice its time
//! to live, at least [`LEAST`] and at most [`MOST`], and longer while it is used: clients keep what they were answered, and connections outlive it.
//! Limits: [`MAX_NAMES`] addresses in all and [`MAX_OF_ONE`] of one actor; at the bound the one that was answered first goes and is counted. Names
//! asked for over TLS, HTTPS or QUIC are not seen. Who answers chooses the addresses, and a client chooses SNI and `Host`: a name is a hint.
//! Design: no table by name. Several names of one address (a CDN) stay one entry with the last two; which one a flow means shows in the order of events.

mod domain;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use domain::{is_registry, registered};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::{AppFacts, NameAnswer, WorkloadId};
use crate::time::Timestamp;

/// A name holds at least so long.
pub const LEAST: Duration = Duration::from_mins(10);
/// A name that nobody uses holds at most so long.
pub const MOST: Duration = Duration::from_hours(24);
/// Names of addresses, of all actors.
pub const MAX_NAMES: usize = 262_144;
/// Names of addresses, of one actor.
pub const MAX_OF_ONE: usize = 4096;
/// Longest name, in characters (RFC 1035 §2.3.4).
const MAX_LEN: usize = 253;

/// Who asks for names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asker {
    /// A workload, from whatever address.
    Workload(WorkloadId),
    /// An address that is of no known workload.
    Address(IpAddr),
}

/// How a destination's name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// The flow's own TLS hello names it.
    Sni,
    /// The flow's own HTTP request names it.
    Host,
    /// Its originator asked for that name and was answered with the address.
    Dns,
    /// Somebody else asked for that name and was answered with the address.
    Shared,
}

impl KnownBy {
    /// The word in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sni => "sni",
            Self::Host => "host",
            Self::Dns => "dns",
            Self::Shared => "shared",
        }
    }
}

/// A destination's name, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownName {
    /// The name, in lower case. Somebody else chose it.
    pub name: Arc<str>,
    /// How it is known.
    pub by: KnownBy,
}

/// A name that an address has since a time.
#[derive(Clone, Debug)]
struct Since {
    name: Arc<str>,
    since: Timestamp,
}

/// The names of one address.
#[derive(Clone, Debug)]
struct Entry {
    now: Since,
    before: Option<Since>,
    hold: Duration,
    until: Timestamp,
}

impl Entry {
    fn at(&self, at: Timestamp) -> Option<&Arc<str>> {
        let held = [Some(&self.now), self.before.as_ref()].into_iter().flatten();
        held.filter(|held| at <= self.until && held.since <= at).map(|held| &held.name).next()
    }

    fn touch(&mut self, at: Timestamp) {
        if self.at(at).is_some() {
            self.until = self.until.max(at.plus(self.hold));
        }
    }

    fn learn(&mut self, name: &Arc<str>, now: Timestamp, hold: Duration) {
        (self.hold, self.until) = (hold, self.until.max(now.plus(hold)));
        if self.now.name != *name {
            let new = Since { name: Arc::clone(name), since: now };
            self.before = Some(std::mem::replace(&mut self.now, new));
        }
    }
}

/// Addresses with names, the one that was answered first at the front.
#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<IpAddr, (u64, Entry)>,
    order: BTreeMap<u64, IpAddr>,
    /// The first answer.
    since: Timestamp,
}

impl Table {
    /// Whether the address is new here.
    fn learn(&mut self, ip: IpAddr, name: &Arc<str>, (now, hold): (Timestamp, Duration), number: u64) -> bool {
        if let Some((_, entry)) = self.entries.get_mut(&ip) {
            entry.learn(name, now, hold);
            return false;
        }
        let new = Since { name: Arc::clone(name), since: now };
        self.entries.insert(ip, (number, Entry { now: new, before: None, hold, until: now.plus(hold) }));
        self.order.insert(number, ip);
        true
    }

    fn at(&self, ip: IpAddr, at: Timestamp) -> Option<Arc<str>> {
        self.entries.get(&ip).and_then(|(_, entry)| entry.at(at)).map(Arc::clone)
    }

    fn touch(&mut self, ip: IpAddr, at: Timestamp) {
        if let Some((_, entry)) = self.entries.get_mut(&ip) {
            entry.touch(at);
        }
    }

    fn remove(&mut self, number: u64) {
        if let Some(ip) = self.order.remove(&number) {
            self.entries.remove(&ip);
        }
    }

    /// The number of the one that goes when there are too many.
    fn oldest(&self, limit: usize) -> Option<u64> {
        self.order.keys().next().copied().filter(|_| self.entries.len() > limit)
    }
}

/// The names of all addresses.
#[derive(Debug, Default)]
pub struct Names {
    askers: BTreeMap<Asker, Table>,
    /// What anybody asked for last.
    shared: Table,
    /// Whose each number is.
    order: BTreeMap<u64, Asker>,
    next: u64,
    forgotten: u64,
}

impl Names {
    /// Takes an answer in.
    pub fn learn(&mut self, asker: &Asker, answer: &NameAnswer, now: Timestamp) {
        let Some(name) = clean(&answer.name).map(Arc::<str>::from) else { return };
        let hold = Duration::from_secs(2 * u64::from(answer.ttl)).clamp(LEAST, MOST);
        for ip in answer.addresses.iter().map(IpAddr::to_canonical) {
            self.learn_one(asker, ip, &name, (now, hold));
        }
    }

    fn learn_one(&mut self, asker: &Asker, ip: IpAddr, name: &Arc<str>, holds: (Timestamp, Duration)) {
        let number = self.next;
        self.next += 1;
        self.shared.learn(ip, name, holds, number);
        if let Some(oldest) = self.shared.oldest(MAX_NAMES) {
            self.shared.remove(oldest);
        }
        let new = || Table { since: holds.0, ..Table::default() };
        let table = self.askers.entry(asker.clone()).or_insert_with(new);
        if !table.learn(ip, name, holds, number) {
            return;
        }
        self.order.insert(number, asker.clone());
        let own = table.oldest(MAX_OF_ONE);
        let all = self.order.keys().next().copied().filter(|_| self.order.len() > MAX_NAMES);
        if let Some(oldest) = own.or(all) {
            self.forget(oldest);
        }
    }

    fn forget(&mut self, number: u64) {
        self.forgotten += 1;
        let Some(asker) = self.order.remove(&number) else { return };
        if let Some(table) = self.askers.get_mut(&asker) {
            table.remove(number);
            if table.entries.is_empty() {
                self.askers.remove(&asker);
            }
        }
    }

    /// An address is used: its names hold on.
    pub fn touch(&mut self, asker: &Asker, ip: IpAddr, at: Timestamp) {
        let ip = ip.to_canonical();
        self.shared.touch(ip, at);
        if let Some(table) = self.askers.get_mut(asker) {
            table.touch(ip, at);
        }
    }

    /// The name that an address had at a time, for this asker or else for others.
    pub fn of(&self, asker: &Asker, ip: IpAddr, at: Timestamp) -> Option<KnownName> {
        let ip = ip.to_canonical();
        let own = self.askers.get(asker).and_then(|table| table.at(ip, at));
        let known = |by| move |name| KnownName { name, by };
        own.map(known(KnownBy::Dns)).or_else(|| self.shared.at(ip, at).map(known(KnownBy::Shared)))
    }

    /// Whether no address has a name.
    pub fn is_empty(&self) -> bool {
        self.askers.is_empty() && self.shared.entries.is_empty()
    }

    /// Since when answers to this asker were seen.
    pub fn observed_since(&self, asker: &Asker) -> Option<Timestamp> {
        self.askers.get(asker).map(|table| table.since)
    }

    /// Names that made room for others.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    #[cfg(test)]
    fn len(&self) -> [usize; 3] {
        let of_askers = self.askers.values().map(|table| table.entries.len()).sum();
        [of_askers, self.order.len(), self.shared.entries.len()]
    }
}

/// The name that a flow's own first bytes give its destination: what the TLS hello asks for, or the `Host` of a request that is for no proxy.
pub fn said(app: &AppFacts) -> Option<KnownName> {
    let sni = app.tls.as_ref().and_then(|tls| tls.sni.as_deref()).and_then(clean);
    let known = |by| move |name: String| KnownName { name: name.into(), by };
    let request = || app.http.as_ref().filter(|http| http.connect.is_none());
    let host = || request().and_then(|http| clean(without_port(http.host.as_deref()?)));
    sni.map(known(KnownBy::Sni)).or_else(|| host().map(known(KnownBy::Host)))
}

fn without_port(host: &str) -> &str {
    host.rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(name, _)| name)
}

/// A name in lower case without its final dot; `None` for what is none: an address, the root, a text that is too long.
fn clean(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_address = name.starts_with('[') || name.parse::<IpAddr>().is_ok();
    (!name.is_empty() && name.len() <= MAX_LEN && !is_address).then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
