//! What an hour of the week is like.
//!
//! Contract: the same rows in any order give the same week. An hour is compared with the finest season of which enough is known: this hour of the
//! week, this hour of the day on days of work or of rest, all hours. Limits: the latest [`MAX_PER_SLOT`] rows of each hour of the week, 28 bytes
//! each. Design: few values and medians, no sketch: after a fortnight an hour of the week has two values.

use std::collections::BTreeMap;

use super::quantiles::{float, whole};
use super::zone::{WEEK, Zone};
use super::{Amounts, Figure};

/// Rows of one hour of the week.
pub const MAX_PER_SLOT: usize = 8;
/// Values after which an hour of the week is known, an hour of the day, and hours in general.
const ENOUGH: [usize; 3] = [4, 6, 24];
/// The least spread of the logarithm: what is within 28 % is never news.
pub const LEAST_SPREAD: f64 = 0.25;
/// A median deviation times this is a standard deviation, where values are normally distributed.
const TO_SIGMA: f64 = 1.4826;
/// Bytes of a row.
const ROW: usize = 4 + 4 * Figure::ALL.len();

/// One hour of one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HourRow {
    /// Counted from the epoch.
    pub hour: u32,
    /// Amounts as the bits of an `f32`, whose order is that of the amounts.
    bits: [u32; 6],
}

impl HourRow {
    /// An hour; `None` before the epoch.
    pub fn new(hour: i64, amounts: Amounts) -> Option<Self> {
        let hour = u32::try_from(hour).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "an amount, to 7 digits")]
        let bits = amounts.map(|amount| (amount as f32).to_bits());
        Some(Self { hour, bits })
    }

    /// How much of a figure.
    pub fn amount(&self, figure: Figure) -> u64 {
        whole(f64::from(f32::from_bits(self.bits[figure.place()])))
    }

    fn bytes(&self) -> [u8; ROW] {
        let mut bytes = [0; ROW];
        let words = std::iter::once(self.hour).chain(self.bits);
        bytes.chunks_exact_mut(4).zip(words).for_each(|(place, word)| place.copy_from_slice(&word.to_le_bytes()));
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.chunks_exact(4).filter_map(|word| Some(u32::from_le_bytes(word.try_into().ok()?)));
        let hour = words.next()?;
        let mut bits = [0; 6];
        for place in &mut bits {
            *place = words.next().filter(|word| f32::from_bits(*word).is_finite() && *word >> 31 == 0)?;
        }
        Some(Self { hour, bits })
    }
}

/// Hours that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Season {
    /// The same hour of the week.
    HourOfWeek,
    /// The same hour of days of work, or of rest.
    HourOfDay,
    /// Any hour.
    AllHours,
}

impl Season {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HourOfWeek => "this hour of the week",
            Self::HourOfDay => "this hour of such a day",
            Self::AllHours => "any hour",
        }
    }
}

/// From when on an hour is far outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Spreads from the median.
    pub z: f64,
    /// Bytes from it.
    pub bytes: u64,
    /// Flows from it.
    pub flows: u64,
}

/// Packets of so many bytes are small ones: fewer packets than the floor of bytes has of those say nothing.
const SMALL_PACKET: u64 = 100;

impl Limits {
    const fn floor(&self, figure: Figure) -> u64 {
        match figure {
            Figure::BytesOut | Figure::BytesIn => self.bytes,
            Figure::PacketsOut | Figure::PacketsIn => self.bytes / SMALL_PACKET,
            Figure::FlowsOut | Figure::FlowsIn => self.flows,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { z: 6.0, bytes: 1_000_000, flows: 100 }
    }
}

/// On which side of all that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// More than ever.
    Above,
    /// Less than ever.
    Below,
}

/// How an amount stands to what is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stand {
    /// With which hours it was compared.
    pub season: Season,
    /// How many those are.
    pub values: usize,
    /// Their median.
    pub expected: u64,
    /// Spreads between it and the amount, on a logarithmic scale.
    pub z: f64,
    /// The least of them, of the hours beside them, and of this hour on the other kind of day.
    pub least: u64,
    /// The most.
    pub most: u64,
}

impl Stand {
    /// Whether an amount of a service with so many containers is far outside: of all that was seen, by many spreads, and by an amount that matters.
    pub fn is_far(&self, figure: Figure, amount: u64, containers: u64, limits: &Limits) -> Option<Beyond> {
        let apart = amount.abs_diff(self.expected).saturating_mul(containers.max(1));
        let is_much = apart >= limits.floor(figure) && self.z.abs() >= limits.z;
        self.beyond(amount).filter(|_| is_much)
    }

    /// Whether an amount is outside of all that was seen, by more than 28 %.
    pub fn beyond(&self, amount: u64) -> Option<Beyond> {
        let room = LEAST_SPREAD.exp();
        if float(amount) > float(self.most) * room {
            return Some(Beyond::Above);
        }
        (float(amount) * room < float(self.least)).then_some(Beyond::Below)
    }
}

/// The latest values of each hour of the week.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Week {
    slots: BTreeMap<u8, Vec<HourRow>>,
}

/// Rows that are no week.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`hours` is damaged; remove `volume` and learn it again")]
pub struct WeekError;

impl Week {
    /// Adds a row; of more than fit the latest stay.
    pub fn insert(&mut self, zone: &Zone, row: HourRow) {
        let rows = self.slots.entry(zone.slot(i64::from(row.hour))).or_default();
        let place = rows.partition_point(|known| *known <= row);
        rows.insert(place, row);
        if rows.len() > MAX_PER_SLOT {
            rows.remove(0);
        }
    }

    /// All rows, by hour.
    pub fn rows(&self) -> impl Iterator<Item = HourRow> + use<> {
        let mut rows: Vec<HourRow> = self.slots.values().flatten().copied().collect();
        rows.sort_unstable();
        rows.into_iter()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.slots.values().map(Vec::len).sum()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// As bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.rows().flat_map(|row| row.bytes()).collect()
    }

    /// From bytes.
    pub fn read(zone: &Zone, bytes: &[u8]) -> Result<Self, WeekError> {
        let most = usize::try_from(WEEK).unwrap_or(0) * MAX_PER_SLOT;
        if !bytes.len().is_multiple_of(ROW) || bytes.len() / ROW > most {
            return Err(WeekError);
        }
        let mut week = Self::default();
        for row in bytes.chunks_exact(ROW) {
            week.insert(zone, HourRow::read(row).ok_or(WeekError)?);
        }
        if week.len() == bytes.len() / ROW { Ok(week) } else { Err(WeekError) }
    }

    /// How an amount of an hour stands to the values of such hours; `None`: there are too few, or the clock is changed then.
    pub fn stand(&self, zone: &Zone, hour: i64, figure: Figure, amount: u64) -> Option<Stand> {
        if !zone.is_regular(hour) {
            return None;
        }
        let slot = zone.slot(hour);
        let (season, values) = self.season(slot, figure)?;
        let logs: Vec<f64> = values.iter().map(|value| float(*value).ln_1p()).collect();
        let middle = median(&logs);
        let deviations: Vec<f64> = logs.iter().map(|log| (log - middle).abs()).collect();
        let spread = (TO_SIGMA * median_of(deviations)).max(LEAST_SPREAD);
        let beside = self.beside(season, slot, figure);
        let all = || values.iter().chain(&beside).copied();
        Some(Stand {
            season,
            values: values.len(),
            expected: whole(middle.exp_m1()),
            z: (float(amount).ln_1p() - middle) / spread,
            least: all().min().unwrap_or(0),
            most: all().max().unwrap_or(0),
        })
    }

    /// The finest season of which enough is known, and its values in order.
    fn season(&self, slot: u8, figure: Figure) -> Option<(Season, Vec<u64>)> {
        let seasons = [Season::HourOfWeek, Season::HourOfDay, Season::AllHours];
        seasons.into_iter().zip(ENOUGH).find_map(|(season, enough)| {
            let values = self.values(figure, |other| match season {
                Season::HourOfWeek => other == slot,
                Season::HourOfDay => other % 24 == slot % 24 && is_rest(other) == is_rest(slot),
                Season::AllHours => true,
            });
            (values.len() >= enough).then_some((season, values))
        })
    }

    /// Values of the hours beside those of a season, and of this hour on the other kind of day: a job that starts a minute early, a day off.
    fn beside(&self, season: Season, slot: u8, figure: Figure) -> Vec<u64> {
        let is_near = |other: u8| {
            let apart = (i64::from(other) - i64::from(slot)).rem_euclid(24);
            apart == 1 || apart == 23
        };
        self.values(figure, |other| match season {
            Season::HourOfWeek => {
                let apart = (i64::from(other) - i64::from(slot)).rem_euclid(WEEK);
                apart == 1 || apart == WEEK - 1 || other % 24 == slot % 24 && is_rest(other) != is_rest(slot)
            }
            Season::HourOfDay => is_near(other) || other % 24 == slot % 24,
            Season::AllHours => false,
        })
    }

    fn values(&self, figure: Figure, is_meant: impl Fn(u8) -> bool) -> Vec<u64> {
        let rows = self.slots.iter().filter(|(slot, _)| is_meant(**slot)).flat_map(|(_, rows)| rows);
        let mut values: Vec<u64> = rows.map(|row| row.amount(figure)).collect();
        values.sort_unstable();
        values
    }
}

/// Whether it is an hour of Saturday or Sunday.
const fn is_rest(slot: u8) -> bool {
    slot >= 5 * 24
}

/// The middle of sorted values.
fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    let at = |place: usize| sorted.get(place).copied().unwrap_or(0.0);
    if sorted.len() % 2 == 1 { at(half) } else { f64::midpoint(at(half.saturating_sub(1)), at(half)) }
}

fn median_of(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    median(&values)
}

#[cfg(test)]
mod tests;
