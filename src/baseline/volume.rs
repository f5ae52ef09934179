//! How much traffic a service has in an hour, and when.
//!
//! Contract: pure and deterministic; figures are of one container and one hour, so that a service that scales stays itself. Baselines of several
//! hosts make the same one in whatever order they are given. Limits: [`MAX_PER_SLOT`] latest values of each hour of the week, one sketch a figure.
//! Design: the values by hour of the week say what an hour is like ([`week`]), sketches say what all hours were like ([`quantiles`]).

mod learn;
mod quantiles;
mod week;
mod zone;

use std::fmt;

pub use learn::{LearnedVolume, MAX_HOURS, VolumeLearner};
pub use quantiles::{MAX_SKETCH, Quantiles, SketchError};
pub use week::{Beyond, HourRow, Limits, MAX_PER_SLOT, Season, Stand, Week};
pub use zone::{Zone, ZoneError};

/// Seconds of an hour.
const HOUR: i64 = 3600;

/// What is counted of a service in an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Figure {
    /// Payload that it sent.
    BytesOut,
    /// Payload that it received.
    BytesIn,
    /// Packets that it sent.
    PacketsOut,
    /// Packets that it received.
    PacketsIn,
    /// Contacts that it made.
    FlowsOut,
    /// Contacts that others made with it.
    FlowsIn,
}

impl Figure {
    /// All, in the order of [`Amounts`].
    pub const ALL: [Self; 6] =
        [Self::BytesOut, Self::BytesIn, Self::PacketsOut, Self::PacketsIn, Self::FlowsOut, Self::FlowsIn];

    /// The key in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BytesOut => "bytes_out",
            Self::BytesIn => "bytes_in",
            Self::PacketsOut => "packets_out",
            Self::PacketsIn => "packets_in",
            Self::FlowsOut => "flows_out",
            Self::FlowsIn => "flows_in",
        }
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::BytesOut => "bytes out",
            Self::BytesIn => "bytes in",
            Self::PacketsOut => "packets out",
            Self::PacketsIn => "packets in",
            Self::FlowsOut => "flows out",
            Self::FlowsIn => "flows in",
        }
    }

    /// Its place in [`Amounts`].
    pub const fn place(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// One of each [`Figure`], in their order.
pub type Amounts = [u64; Figure::ALL.len()];

/// The amounts of one container of so many.
pub fn of_one(amounts: Amounts, containers: u64) -> Amounts {
    let containers = containers.max(1);
    amounts.map(|amount| amount.saturating_add(containers / 2) / containers)
}

/// The hour of a time, counted from the epoch.
pub const fn hour_of(at: crate::time::Timestamp) -> i64 {
    at.as_nanos().div_euclid(HOUR * 1_000_000_000)
}

/// When an hour begins.
pub const fn start_of(hour: i64) -> crate::time::Timestamp {
    crate::time::Timestamp::from_secs(hour.saturating_mul(HOUR))
}

/// From one amount to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// The least.
    pub from: u64,
    /// The most.
    pub to: u64,
}

impl Within {
    /// Whether an amount lies in it.
    pub const fn holds(self, amount: u64) -> bool {
        self.from <= amount && amount <= self.to
    }

    /// Both, and what is between them.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { from: self.from.min(other.from), to: self.to.max(other.to) }
    }
}

/// How much traffic one container of a service has in an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeBaseline {
    /// By which clock the week goes.
    pub zone: Zone,
    /// The most containers of the service at once.
    pub containers: u64,
    /// Hours that were seen and not learned: something hostile happened in them, or a container started.
    pub left_out: u64,
    /// All hours.
    pub quantiles: [Quantiles; 6],
    /// What a person accepted beside what was learned.
    pub accepted: [Option<Within>; 6],
    /// The latest values of each hour of the week.
    pub week: Week,
}

/// Baselines that do not add up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There is none.
    #[error("there is no volume to merge")]
    Nothing,
    /// Their weeks go by other clocks.
    #[error("one baseline's hours are in time zone {0}, another's in {1}; learn both with one `time_zone`")]
    Zones(Zone, Zone),
    /// A sketch that cannot be read.
    #[error(transparent)]
    Sketch(#[from] SketchError),
}

impl VolumeBaseline {
    /// From hours; `None`: there are none.
    pub fn of(zone: Zone, containers: u64, left_out: u64, rows: &[HourRow]) -> Result<Option<Self>, SketchError> {
        if rows.is_empty() {
            return Ok(None);
        }
        let mut all = Vec::new();
        for figure in Figure::ALL {
            all.push(Quantiles::of(rows.iter().map(|row| row.amount(figure)))?);
        }
        let quantiles = all.try_into().map_err(|_| SketchError::Figures)?;
        let mut week = Week::default();
        for row in rows {
            week.insert(&zone, *row);
        }
        Ok(Some(Self { zone, containers, left_out, quantiles, accepted: [None; 6], week }))
    }

    /// The quantiles of a figure.
    pub const fn quantiles(&self, figure: Figure) -> &Quantiles {
        &self.quantiles[figure.place()]
    }

    /// What a person accepted of a figure.
    pub const fn accepted(&self, figure: Figure) -> Option<Within> {
        self.accepted[figure.place()]
    }

    /// How an amount stands to what the baseline knows of such hours; `None`: it knows too little, or the clock changes then, or a person
    /// accepted such amounts.
    pub fn stand(&self, hour: i64, figure: Figure, amount: u64) -> Option<Stand> {
        if self.accepted(figure).is_some_and(|within| within.holds(amount)) {
            return None;
        }
        self.week.stand(&self.zone, hour, figure, amount)
    }

    /// Makes an amount an expected one.
    pub fn accept(&mut self, figure: Figure, within: Within) {
        let accepted = &mut self.accepted[figure.place()];
        *accepted = Some(accepted.map_or(within, |known| known.and(within)));
    }

    /// Several hosts' baselines of one service as one: the same whatever their order.
    pub fn merged(all: &[&Self]) -> Result<Self, MergeError> {
        let mut sorted: Vec<&Self> = all.to_vec();
        sorted.sort_by_cached_key(|one| one.order());
        let first = *sorted.first().ok_or(MergeError::Nothing)?;
        if let Some(other) = sorted.iter().find(|other| other.zone != first.zone) {
            return Err(MergeError::Zones(first.zone.clone(), other.zone.clone()));
        }
        let mut whole = first.clone();
        for figure in Figure::ALL {
            let place = figure.place();
            whole.quantiles[place] = Quantiles::merged(sorted.iter().map(|one| one.quantiles(figure)))?;
        }
        for other in sorted.iter().skip(1) {
            whole.containers = whole.containers.max(other.containers);
            whole.left_out = whole.left_out.saturating_add(other.left_out);
            other.week.rows().for_each(|row| whole.week.insert(&whole.zone, row));
            for figure in Figure::ALL {
                if let Some(within) = other.accepted[figure.place()] {
                    whole.accept(figure, within);
                }
            }
        }
        Ok(whole)
    }

    /// What sorts the baselines of several hosts: their contents, since a host's name says nothing of them.
    fn order(&self) -> impl Ord + use<> {
        let sketches: Vec<Vec<u8>> = self.quantiles.iter().map(|one| one.sketch().to_vec()).collect();
        (self.zone.to_string(), sketches, self.week.rows().collect::<Vec<_>>(), self.containers, self.left_out)
    }
}

#[cfg(test)]
mod tests;
