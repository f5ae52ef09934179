//! A baseline as the rules use it.
//!
//! Contract: a service has one entry. A field without an expectation was not learned and says nothing; a group that was learned is closed:
//! a member that is not expected is unset. Limits: [`MAX_SERVICES`]. Design: expectations are what a person can read and change; how
//! they are written is in `document.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use globset::GlobMatcher;
use sha2::{Digest, Sha256};

use super::traffic::{Row, TrafficBaseline};
use super::volume::{Figure, Within};
use crate::inventory::configuration::{Field, ServiceKey, ServiceName, Value};
use crate::time::Timestamp;

/// Services of one baseline.
pub const MAX_SERVICES: usize = 65_536;

/// What a field may hold.
#[derive(Clone, Debug)]
pub enum Expectation {
    /// This value alone.
    Exact(Value),
    /// Any of these; an empty text among them: it may be unset.
    OneOf(BTreeSet<Value>),
    /// A text that matches a glob.
    Pattern(String, GlobMatcher),
    /// A number from one to the other, both included.
    Range(i64, i64),
    /// Anything: it may vary.
    Any,
}

impl PartialEq for Expectation {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(one), Self::Exact(other)) => one == other,
            (Self::OneOf(one), Self::OneOf(other)) => one == other,
            (Self::Pattern(one, _), Self::Pattern(other, _)) => one == other,
            (Self::Range(from, to), Self::Range(other_from, other_to)) => (from, to) == (other_from, other_to),
            (Self::Any, Self::Any) => true,
            _ => false,
        }
    }
}

impl Expectation {
    /// The same, and this value as well.
    #[must_use]
    pub fn or(self, value: Value) -> Self {
        let both = |first: BTreeSet<Value>| match first.len() {
            1 => first.into_iter().next().map_or(Self::Any, Self::Exact),
            _ => Self::OneOf(first),
        };
        match self {
            Self::Exact(one) => both([one, value].into()),
            Self::OneOf(mut all) => {
                all.insert(value);
                Self::OneOf(all)
            }
            Self::Range(from, to) => match value {
                Value::Number(number) => Self::Range(from.min(number), to.max(number)),
                _ => Self::Range(from, to),
            },
            Self::Pattern(text, glob) => match value {
                Value::Text(other) if !glob.is_match(&other) => both([Value::Text(text), Value::Text(other)].into()),
                _ => Self::Pattern(text, glob),
            },
            Self::Any => Self::Any,
        }
    }

    /// In words; `None` where only unset is expected.
    pub fn words(&self) -> Option<String> {
        match self {
            Self::Exact(value) => value.words(),
            Self::OneOf(all) => {
                let words = all.iter().map(|value| value.words().unwrap_or_else(|| "absent".to_owned()));
                Some(words.collect::<Vec<_>>().join(" or "))
            }
            Self::Pattern(pattern, _) => Some(format!("like {pattern}")),
            Self::Range(from, to) => Some(format!("{from} to {to}")),
            Self::Any => Some("anything".to_owned()),
        }
    }
}

/// Whether differences of a service are reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceState {
    /// They raise alerts.
    #[default]
    Enforced,
    /// They are shown by `diff` and `shadow` only.
    Shadow,
}

/// From what a service was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The first observation.
    pub from: Timestamp,
    /// The last one.
    pub to: Timestamp,
    /// Starts of containers that were seen; of one start alone little is known.
    pub starts: u64,
    /// Containers.
    pub replicas: u64,
}

/// Who approved what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: String,
    /// What changed by it: field, old and new, in words.
    pub changes: Vec<String>,
}

/// What one service is expected to be like.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceBaseline {
    /// Which.
    pub key: ServiceKey,
    /// Whether differences are reported.
    pub state: ServiceState,
    /// From what it was learned; absent where a person wrote it.
    pub learned: Option<Learned>,
    /// What each field may hold.
    pub expect: BTreeMap<Field, Expectation>,
    /// Groups that were learned: a member that is not in `expect` is expected to be unset.
    pub groups: BTreeSet<&'static str>,
    /// Whom it deals with, and how; `None`: nothing is expected of its traffic.
    pub traffic: Option<TrafficBaseline>,
    /// The last approval.
    pub approved: Option<Approval>,
}

impl ServiceBaseline {
    /// A service of which nothing is known.
    pub const fn new(key: ServiceKey) -> Self {
        Self {
            key,
            state: ServiceState::Enforced,
            learned: None,
            expect: BTreeMap::new(),
            groups: BTreeSet::new(),
            traffic: None,
            approved: None,
        }
    }

    /// What a field may hold; `None` where that was not learned.
    pub fn expectation(&self, field: &Field) -> Option<&Expectation> {
        const UNSET: &Expectation = &Expectation::Exact(Value::UNSET);
        let is_closed = field.in_group().is_some() && self.groups.contains(field.name());
        self.expect.get(field).or_else(|| is_closed.then_some(UNSET))
    }

    /// Whether it was learned from one start alone.
    pub fn is_single_start(&self) -> bool {
        self.learned.as_ref().is_some_and(|learned| learned.starts < 2) && self.approved.is_none()
    }
}

/// What waits for a person, or differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// A value of a field.
    Setting(Field, Value),
    /// Traffic with a peer.
    Traffic(Box<Row>),
    /// Amounts of an hour.
    Volume(Figure, Within),
}

/// `logging.driver is none`, `reaches domain updates.example at 443/tcp`.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(field, value) => {
                write!(f, "{field} is {}", value.words().unwrap_or_else(|| "absent".to_owned()))
            }
            Self::Traffic(row) => row.fmt(f),
            Self::Volume(figure, Within { from, to }) => write!(f, "has {from} to {to} {figure} an hour"),
        }
    }
}

/// What was seen while learning, and is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineItem {
    /// Names it: see [`item_id`] and [`traffic_id`].
    pub id: String,
    /// Whose.
    pub service: ServiceKey,
    /// What.
    pub what: Held,
    /// When it was seen first.
    pub first: Timestamp,
    /// In how many starts, or contacts.
    pub seen: u64,
    /// Why it waits for a person.
    pub reason: String,
}

/// What names a difference or a quarantined value: the same value of the same field of the same service has the same name.
pub fn item_id(service: &ServiceKey, field: &Field, value: &Value) -> String {
    id_of([service.to_string(), field.to_string(), format!("{value:?}")])
}

/// What names traffic with a peer at a port.
pub fn traffic_id(service: &ServiceKey, row: &Row) -> String {
    id_of([service.to_string(), row.to_string(), String::new()])
}

/// What names the amounts of a figure.
pub fn volume_id(service: &ServiceKey, figure: Figure) -> String {
    id_of([service.to_string(), "volume".to_owned(), figure.as_str().to_owned()])
}

fn id_of(parts: [String; 3]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    let digits: String = digest.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("q{digits}")
}

/// What all services are expected to be like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    /// Grows with every change.
    pub serial: u64,
    /// Id of the key that made its hashes.
    pub hash_key: Option<String>,
    services: BTreeMap<ServiceKey, ServiceBaseline>,
    repositories: BTreeMap<ServiceName, BTreeSet<String>>,
    /// What waits for a person, in order of service and field.
    pub quarantine: Vec<QuarantineItem>,
}

impl Baseline {
    /// An empty one with a serial number.
    pub fn new(serial: u64, hash_key: Option<String>) -> Self {
        Self { serial, hash_key, ..Self::default() }
    }

    /// Puts a service in, in place of the one with the same key.
    pub fn insert(&mut self, service: ServiceBaseline) {
        let repository = service.key.repository().to_owned();
        self.repositories.entry(service.key.name().clone()).or_default().insert(repository);
        self.services.insert(service.key.clone(), service);
    }

    /// What a service is expected to be like.
    pub fn service(&self, key: &ServiceKey) -> Option<&ServiceBaseline> {
        self.services.get(key)
    }

    /// The same, to be changed; its key must stay.
    pub fn service_mut(&mut self, key: &ServiceKey) -> Option<&mut ServiceBaseline> {
        self.services.get_mut(key)
    }

    /// Whether the traffic of any service is known.
    pub fn has_traffic(&self) -> bool {
        self.services.values().any(|service| service.traffic.is_some())
    }

    /// The same, and nothing is expected of traffic.
    #[must_use]
    pub fn without_traffic(mut self) -> Self {
        self.services.values_mut().for_each(|service| service.traffic = None);
        self
    }

    /// All services, in order.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &ServiceBaseline> {
        self.services.values()
    }

    /// The repositories from which a service of this name may come; none where no such service is known.
    pub fn repositories(&self, name: &ServiceName) -> Option<&BTreeSet<String>> {
        self.repositories.get(name)
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enforced => "enforced",
            Self::Shadow => "shadow",
        })
    }
}
