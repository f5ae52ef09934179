//! How regular a series of contacts is, and how often chance is as regular.
//!
//! Contract: pure. D1 = median of |x − m| ÷ m (a tight core, whatever the rest does), D2 = (P90 − P10) ÷ m (the whole spread) of the intervals x with
//! median m. Each is compared with its lower quantile for arrivals without memory (exponential intervals) of the same number, p/2 each, since there
//! are two. Quantiles are linear between order statistics. Design: one constant table; a test makes it again with a fixed seed.

/// At so many contacts a series is looked at: not at each, repeated looks would spoil the error rate.
pub const LOOKS: [usize; 6] = [6, 8, 12, 16, 24, 32];

/// Caps, whatever the number: a jitter of ±40 % has D1 ≈ 0.20 and D2 ≈ 0.64; what is wider is no beacon that can be told from chance.
const MOST: (f64, f64) = (0.25, 0.9);

/// Intervals above so many medians are gaps (a night, a restart).
const GAP: f64 = 5.0;
/// The share of intervals that may be gaps.
const GAPS: f64 = 0.2;

/// How often chance may be as regular.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub enum Chance {
    /// 1 of 100.
    #[serde(rename = "0.01")]
    Hundredth,
    /// 1 of 1,000.
    #[serde(rename = "0.001")]
    Thousandth,
    /// 1 of 5,000.
    #[serde(rename = "0.0002")]
    FiveThousandth,
}

impl Chance {
    /// As a number.
    pub const fn p(self) -> f64 {
        match self {
            Self::Hundredth => 1e-2,
            Self::Thousandth => 1e-3,
            Self::FiveThousandth => 2e-4,
        }
    }

    const fn column(self) -> usize {
        match self {
            Self::Hundredth => 0,
            Self::Thousandth => 1,
            Self::FiveThousandth => 2,
        }
    }
}

/// For a number of intervals: the limits of D1 and D2 at each chance.
const LIMITS: [(usize, [(f64, f64); 3]); 7] = [
    (6, [(0.089, 0.59), (0.043, 0.37), (0.025, 0.26)]),
    (8, [(0.136, 0.79), (0.075, 0.57), (0.050, 0.43)]),
    (10, [(0.176, 0.88), (0.109, 0.66), (0.079, 0.56)]),
    (12, [(0.212, 0.96), (0.137, 0.72), (0.098, 0.60)]),
    (16, [(0.265, 1.18), (0.187, 0.96), (0.149, 0.85)]),
    (24, [(0.334, 1.40), (0.252, 1.19), (0.219, 1.09)]),
    (32, [(0.381, 1.53), (0.309, 1.33), (0.282, 1.19)]),
];

/// The limits of D1 and D2 for so many intervals; of a number between two rows the lower row's. `None` below six.
pub fn limits(intervals: usize, chance: Chance) -> Option<(f64, f64)> {
    let (_, row) = LIMITS.iter().rev().find(|(least, _)| *least <= intervals)?;
    let (d1, d2) = row.get(chance.column())?;
    Some((d1.min(MOST.0), d2.min(MOST.1)))
}

/// The figures of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regularity {
    /// Intervals that were compared, gaps left out.
    pub intervals: usize,
    /// Seconds.
    pub median: f64,
    /// Median deviation from the median, in medians.
    pub d1: f64,
    /// 10 % and 90 %, in seconds.
    pub p10: f64,
    /// See `p10`.
    pub p90: f64,
    /// (P90 − P10) in medians.
    pub d2: f64,
    /// The share of periods, gaps left out, with a contact.
    pub coverage: f64,
}

impl Regularity {
    /// Whether chance is as regular in less than this share of cases.
    pub fn is_regular(&self, chance: Chance) -> bool {
        limits(self.intervals, chance).is_some_and(|(d1, d2)| self.d1 <= d1 || self.d2 <= d2)
    }
}

/// The figures of intervals in seconds, in the order of time; `None` where too few are left, or too many are gaps.
pub fn regularity(intervals: &[f64]) -> Option<Regularity> {
    let all = sorted(intervals.iter().copied());
    let first_median = quantile(&all, 0.5)?;
    // A start-up contact that comes early.
    let rest = match intervals {
        [first, rest @ ..] if *first < first_median / 2.0 => rest,
        all => all,
    };
    let kept = sorted(rest.iter().copied().filter(|interval| *interval <= GAP * first_median));
    let gaps = rest.len() - kept.len();
    let median = quantile(&kept, 0.5).filter(|median| *median > 0.0)?;
    if number(gaps) > GAPS * number(rest.len()) {
        return None;
    }
    let deviations = sorted(kept.iter().map(|interval| (interval - median).abs()));
    let (p10, p90) = (quantile(&kept, 0.1)?, quantile(&kept, 0.9)?);
    let span: f64 = kept.iter().sum();
    Some(Regularity {
        intervals: kept.len(),
        median,
        d1: quantile(&deviations, 0.5)? / median,
        p10,
        p90,
        d2: (p90 - p10) / median,
        coverage: (number(kept.len()) * median / span).min(1.0),
    })
}

/// A number of intervals, which are few.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Linear between order statistics.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * number(sorted.len().checked_sub(1)?);
    let below = place.floor();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
    let at = below as usize;
    let (low, high) = (*sorted.get(at)?, *sorted.get(at + 1).or_else(|| sorted.get(at))?);
    Some(low + (high - low) * (place - below))
}

#[cfg(test)]
mod tests;
