//! Learns how much traffic services have in an hour.
//!
//! Contract: the same hours and doubts in the same order give the same. Hours in which something hostile happened are left out, whenever that is
//! known. Limits: [`MAX_SERVICES`] services, the latest [`MAX_HOURS`] hours of each, [`MAX_DOUBTS`] doubts; after more, nothing of a service is learned.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Amounts, HourRow, SketchError, VolumeBaseline, Zone, of_one};
use crate::inventory::configuration::ServiceKey;

/// Services of which volumes are learned.
const MAX_SERVICES: usize = 4096;
/// Hours of one service: eight weeks.
pub const MAX_HOURS: usize = 8 * 168;
/// Doubts about one service.
const MAX_DOUBTS: usize = 256;

/// What was seen of one service.
#[derive(Debug, Default)]
struct Observed {
    rows: VecDeque<HourRow>,
    containers: u64,
    left_out: u64,
    doubts: BTreeSet<(i64, i64)>,
    is_dubious: bool,
}

/// Learns.
#[derive(Debug, Default)]
pub struct VolumeLearner {
    services: BTreeMap<ServiceKey, Observed>,
    refused: u64,
}

/// What was learned of a service.
#[derive(Clone, Debug)]
pub struct LearnedVolume {
    /// What is expected of it.
    pub volume: VolumeBaseline,
    /// The hours.
    pub rows: Vec<HourRow>,
}

impl VolumeLearner {
    /// An hour of a service is over: what its containers had together.
    pub fn apply(&mut self, key: &ServiceKey, hour: i64, amounts: Amounts, containers: u64) {
        let Some(observed) = self.of(key) else { return };
        observed.containers = observed.containers.max(containers);
        let Some(row) = HourRow::new(hour, of_one(amounts, containers)) else { return };
        if observed.rows.len() >= MAX_HOURS {
            observed.rows.pop_front();
            observed.left_out += 1;
        }
        observed.rows.push_back(row);
    }

    /// An hour says nothing: a container of the service started in it.
    pub fn leave_out(&mut self, key: &ServiceKey) {
        if let Some(observed) = self.of(key) {
            observed.left_out += 1;
        }
    }

    /// Something hostile happened from one hour to another, both included.
    pub fn doubt(&mut self, key: &ServiceKey, from: i64, to: i64) {
        let Some(observed) = self.of(key) else { return };
        // The same alert is told again as it goes on.
        let wider = observed.doubts.iter().find(|(first, _)| *first == from).copied();
        if let Some(known) = wider {
            observed.doubts.remove(&known);
            observed.doubts.insert((from, to.max(known.1)));
        } else if observed.doubts.len() < MAX_DOUBTS {
            observed.doubts.insert((from, to));
        } else {
            observed.is_dubious = true;
        }
    }

    fn of(&mut self, key: &ServiceKey) -> Option<&mut Observed> {
        if !self.services.contains_key(key) {
            if self.services.len() >= MAX_SERVICES {
                self.refused += 1;
                return None;
            }
            self.services.insert(key.clone(), Observed::default());
        }
        self.services.get_mut(key)
    }

    /// Hours and doubts of services that found no room.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// What was learned of each service of which whole hours were seen.
    pub fn finish(self, zone: &Zone) -> Result<BTreeMap<ServiceKey, LearnedVolume>, SketchError> {
        let finished = self.services.into_iter().map(|(key, observed)| Ok((key, observed.finish(zone)?)));
        finished.filter_map(|one| one.map(|(key, learned)| Some((key, learned?))).transpose()).collect()
    }
}

impl Observed {
    fn finish(self, zone: &Zone) -> Result<Option<LearnedVolume>, SketchError> {
        let is_doubted = |row: &HourRow| {
            let hour = i64::from(row.hour);
            self.is_dubious || self.doubts.iter().any(|(from, to)| (*from..=*to).contains(&hour))
        };
        let (doubted, rows): (Vec<HourRow>, Vec<HourRow>) = self.rows.iter().copied().partition(is_doubted);
        let left_out = self.left_out.saturating_add(doubted.len() as u64);
        let volume = VolumeBaseline::of(zone.clone(), self.containers, left_out, &rows)?;
        Ok(volume.map(|volume| LearnedVolume { volume, rows }))
    }
}
