//! Who else shows the pattern of an alert: the same destination, image, changed setting or fingerprint.
//!
//! Contract: pure. What is compared stands in the alert ([`Pattern`]), and in its own flow where that is seen again; a sign that is shared is one row for each sender, with how
//! often and when. Limits: [`MAX_ROWS`] rows and [`MAX_GREETINGS`] fingerprints, what is beyond is counted; equal signs are a hint, no proof: replicas share an image, and everybody
//! a resolver. Design: an observer of the engine ([`Tracker`]) and a list of kept alerts fill the same table.

mod pattern;
#[cfg(test)]
mod tests;
mod tracker;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

pub use pattern::Pattern;
pub use tracker::Tracker;

use crate::input::Workload;
use crate::time::Timestamp;

/// Published as `schema` in the JSON.
pub const SCHEMA: &str = "hopwatch.sweep/1";
/// Rows of the table.
pub const MAX_ROWS: usize = 10_000;
/// Fingerprints whose senders are remembered, until it is known which one the alert's flow has.
pub const MAX_GREETINGS: usize = 10_000;

/// What two of them share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Address and port of a destination.
    Destination,
    /// Name and port of a destination.
    Name,
    /// A JA4 fingerprint.
    Fingerprint,
    /// A setting that differs from what is expected, found by the same rule.
    Setting,
    /// The image.
    Image,
}

impl Sign {
    /// The word in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Destination => "destination",
            Self::Name => "name",
            Self::Fingerprint => "fingerprint",
            Self::Setting => "setting",
            Self::Image => "image",
        }
    }
}

/// Where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Where {
    /// In a flow, or a container, of a recording.
    Recording,
    /// In a flow that was watched now.
    Watched,
    /// In what a runtime reports now.
    Running,
    /// In an alert: a kept one, or one that a recording raises.
    Alerts,
}

impl Where {
    /// The word in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Watched => "watched",
            Self::Running => "running",
            Self::Alerts => "alerts",
        }
    }
}

/// Who shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Who {
    /// Name of the workload; of an address without one, the address.
    pub name: String,
    /// Id of the workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Who {
    /// A workload.
    pub fn workload(workload: &Workload) -> Self {
        Self { name: workload.name.clone(), id: Some(workload.id.to_string()) }
    }

    /// An address that no workload is known to have.
    pub fn address(ip: IpAddr) -> Self {
        Self { name: ip.to_canonical().to_string(), id: None }
    }
}

/// A sign that somebody shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Who.
    pub who: Who,
    /// Whether that is the workload of the alert itself.
    pub is_own: bool,
    /// What is the same.
    pub same: Sign,
    /// The destination, image, setting or fingerprint.
    pub what: String,
    /// Where it was found.
    pub at: Where,
    /// How often: flows, alerts or containers.
    pub count: u64,
    /// Event time of the first.
    pub first_seen: Timestamp,
    /// Event time of the last.
    pub last_seen: Timestamp,
}

/// What was found, row by row.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    rows: BTreeMap<(Who, Sign, String, Where), Seen>,
    omitted: u64,
}

/// How often and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Seen {
    const fn once(at: Timestamp) -> Self {
        Self { count: 1, first: at, last: at }
    }

    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
    }
}

impl Findings {
    /// Somebody shows these signs.
    pub fn see(&mut self, who: &Who, signs: impl IntoIterator<Item = (Sign, String)>, place: Where, at: Timestamp) {
        for (sign, what) in signs {
            self.add((who.clone(), sign, what, place), Seen::once(at));
        }
    }

    fn add(&mut self, key: (Who, Sign, String, Where), seen: Seen) {
        if let Some(known) = self.rows.get_mut(&key) {
            known.add(seen);
        } else if self.rows.len() < MAX_ROWS {
            self.rows.insert(key, seen);
        } else {
            self.omitted += 1;
        }
    }

    /// Takes in what another search found.
    pub fn merge(&mut self, other: Self) {
        self.omitted += other.omitted;
        other.rows.into_iter().for_each(|(key, seen)| self.add(key, seen));
    }

    /// What did not fit.
    pub const fn omitted(&self) -> u64 {
        self.omitted
    }

    /// The rows: others first, those of the alert's own workload last; of each by name.
    pub fn rows(&self, pattern: &Pattern) -> Vec<Found> {
        let mut rows: Vec<Found> = self
            .rows
            .iter()
            .map(|((who, same, what, at), seen)| Found {
                is_own: pattern.is_of(who),
                who: who.clone(),
                same: *same,
                what: what.clone(),
                at: *at,
                count: seen.count,
                first_seen: seen.first,
                last_seen: seen.last,
            })
            .collect();
        rows.sort_by_key(|row| row.is_own);
        rows
    }
}
