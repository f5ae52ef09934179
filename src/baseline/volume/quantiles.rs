//! Quantiles of one figure over all hours.
//!
//! Contract: the same values in the same order give the same bytes, and so do the same sketches in whatever order they are merged: they are sorted
//! first. Limits: a t-digest of [`K`], about 1.2 kB; bytes from elsewhere are refused above [`MAX_SKETCH`]. Design: kept as bytes, and the three
//! quantiles that rules and people read beside them; KLL and REQ of the same crate flip coins, t-digest does not.

use datasketches::tdigest::TDigestMut;

/// Precision: the more, the bigger.
const K: u16 = 50;
/// Bytes of a sketch; one of [`K`] has less than half.
pub const MAX_SKETCH: usize = 4096;

/// Why a sketch is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SketchError {
    /// Too many bytes.
    #[error("a sketch of {0} bytes is more than {MAX_SKETCH}")]
    Size(usize),
    /// It does not parse.
    #[error("the sketch is damaged: {0}")]
    Damaged(String),
    /// Not a sketch of this kind.
    #[error("the sketch has precision {0}, and this version reads {K}")]
    Precision(u16),
    /// The numbers beside it are not its own.
    #[error(
        "the figures beside a sketch are not its own: they are for reading; put them back, or remove `volume` and learn it again"
    )]
    Figures,
}

/// Quantiles of one figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantiles {
    sketch: Box<[u8]>,
    /// Half of the hours have no more.
    pub median: u64,
    /// 99 of 100 hours have no more.
    pub p99: u64,
    /// The most of an hour.
    pub most: u64,
    /// Hours.
    pub hours: u64,
}

impl Quantiles {
    /// Of these values.
    pub fn of(values: impl Iterator<Item = u64>) -> Result<Self, SketchError> {
        let mut digest = empty()?;
        values.for_each(|value| digest.update(float(value)));
        Self::from_digest(digest)
    }

    /// From bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, SketchError> {
        Self::from_digest(digest(bytes)?)
    }

    /// All together; the same whatever their order.
    pub fn merged<'a>(all: impl Iterator<Item = &'a Self>) -> Result<Self, SketchError> {
        let mut sketches: Vec<&[u8]> = all.map(Self::sketch).collect();
        sketches.sort_unstable();
        let mut whole = empty()?;
        for sketch in sketches {
            whole.merge(&digest(sketch)?);
        }
        Self::from_digest(whole)
    }

    /// Its bytes.
    pub fn sketch(&self) -> &[u8] {
        &self.sketch
    }

    fn from_digest(mut digest: TDigestMut) -> Result<Self, SketchError> {
        let damaged = |error: datasketches::error::Error| SketchError::Damaged(error.to_string());
        let found = digest.quantiles(&[0.5, 0.99, 1.0]).map_err(damaged)?.unwrap_or_default();
        let at = |place: usize| found.get(place).map_or(0, |value| whole(*value));
        Ok(Self {
            median: at(0),
            p99: at(1),
            most: at(2),
            hours: digest.total_weight(),
            sketch: digest.serialize().into_boxed_slice(),
        })
    }
}

fn empty() -> Result<TDigestMut, SketchError> {
    TDigestMut::new(K).map_err(|error| SketchError::Damaged(error.to_string()))
}

fn digest(bytes: &[u8]) -> Result<TDigestMut, SketchError> {
    if bytes.len() > MAX_SKETCH {
        return Err(SketchError::Size(bytes.len()));
    }
    let digest = TDigestMut::deserialize(bytes).map_err(|error| SketchError::Damaged(error.to_string()))?;
    if digest.k() != K {
        return Err(SketchError::Precision(digest.k()));
    }
    match digest.min_value() {
        Some(least) if least < 0.0 => Err(SketchError::Damaged("an amount below zero".to_owned())),
        _ => Ok(digest),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an amount, to 15 digits")]
pub(super) const fn float(value: u64) -> f64 {
    value as f64
}

/// An amount: what is between two whole ones counts as the nearer.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not below zero")]
pub(super) fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_and_bytes_are_the_same_in_any_order_of_merging() {
        let parts: Vec<Quantiles> =
            (0..5_u64).map(|host| Quantiles::of((0..1000).map(|value| value * 5 + host)).expect("a sketch")).collect();
        let whole = Quantiles::merged(parts.iter()).expect("a sketch");
        assert_eq!((whole.hours, whole.most), (5000, 4999));
        assert!(whole.median.abs_diff(2500) < 25 && whole.p99.abs_diff(4950) < 25, "{whole:?}");
        assert!(whole.sketch().len() < 2048, "{}", whole.sketch().len());
        for turned in 1..5 {
            let mut other: Vec<&Quantiles> = parts.iter().collect();
            other.rotate_left(turned);
            assert_eq!(Quantiles::merged(other.into_iter()).as_ref(), Ok(&whole));
        }
        assert_eq!(Quantiles::merged(parts.iter().rev()).as_ref(), Ok(&whole));
        assert_eq!(Quantiles::read(whole.sketch()).as_ref(), Ok(&whole));
    }

    #[test]
    fn damaged_bytes_are_refused_and_none_ends_the_program() {
        let good = Quantiles::of([1, 5, 9, 1_000_000].into_iter()).expect("a sketch");
        assert!(matches!(Quantiles::read(&vec![0; MAX_SKETCH + 1]), Err(SketchError::Size(_))));
        for cut in 0..good.sketch().len() {
            assert!(Quantiles::read(&good.sketch()[..cut]).is_err(), "{cut}");
        }
        for place in 0..good.sketch().len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = good.sketch().to_vec();
                bytes[place] = value;
                drop(Quantiles::read(&bytes));
            }
        }
    }
}
