//! The scorecard's arithmetic.
//!
//! Contract: what is rounded never looks better than it is; a goal about nothing is not met but not measured.

use std::fmt;

/// A part of a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// The part.
    pub part: u64,
    /// The whole.
    pub whole: u64,
}

impl Share {
    /// In percent, for a part that should be large: rounded down.
    pub fn at_least(self) -> String {
        self.percent(u128::from(self.part) * 10_000 / u128::from(self.whole.max(1)))
    }

    /// In percent, for a part that should be small: rounded up.
    pub fn at_most(self) -> String {
        self.percent((u128::from(self.part) * 10_000).div_ceil(u128::from(self.whole.max(1))))
    }

    fn percent(self, hundredths: u128) -> String {
        if self.whole == 0 {
            return "–".to_owned();
        }
        format!("{}.{:02} %", hundredths / 100, hundredths % 100)
    }

    /// Whether the part is so many percent of the whole, or fewer.
    pub fn within(self, percent: u64) -> Goal {
        let kept = u128::from(self.part) * 100 <= u128::from(self.whole) * u128::from(percent);
        Goal::of(self.whole > 0, kept)
    }

    /// Whether the part is the whole.
    pub fn full(self) -> Goal {
        Goal::of(self.whole > 0, self.part == self.whole)
    }

    /// Whether there is no part.
    pub fn none(self) -> Goal {
        Goal::of(self.whole > 0, self.part == 0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.part, self.whole)
    }
}

/// What became of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// It is met.
    Met,
    /// It is missed.
    Missed,
    /// Nothing was measured.
    NotMeasured,
}

impl Goal {
    /// From what was found.
    pub const fn of(measured: bool, kept: bool) -> Self {
        match (measured, kept) {
            (false, _) => Self::NotMeasured,
            (true, true) => Self::Met,
            (true, false) => Self::Missed,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::Missed => "**missed**",
            Self::NotMeasured => "not measured",
        })
    }
}

/// Times from packet to alert, in nanoseconds.
#[derive(Debug, Default)]
pub struct Delays(Vec<i128>);

impl Delays {
    /// How many.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The nearest rank: the least of them that so many percent do not exceed. Of fewer than a hundred the 99th percentile is the largest.
    pub fn percentile(&self, percent: usize) -> Option<i128> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied()
    }

    /// Whether so many percent took so many milliseconds at most.
    pub fn within(&self, percent: usize, milliseconds: u64) -> Goal {
        let kept = |delay| delay <= i128::from(milliseconds) * 1_000_000;
        Goal::of(self.len() > 0, self.percentile(percent).is_some_and(kept))
    }
}

impl FromIterator<i128> for Delays {
    fn from_iter<T: IntoIterator<Item = i128>>(delays: T) -> Self {
        let mut delays: Vec<_> = delays.into_iter().collect();
        delays.sort_unstable();
        Self(delays)
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(median), Some(late)) = (self.percentile(50), self.percentile(99)) else { return f.write_str("–") };
        write!(f, "median {} ms, 99th percentile {} ms", milliseconds(median), milliseconds(late))
    }
}

/// Whole milliseconds, rounded up.
pub const fn milliseconds(nanoseconds: i128) -> i128 {
    (nanoseconds + 999_999).div_euclid(1_000_000)
}
