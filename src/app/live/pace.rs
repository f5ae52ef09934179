//! How much may wait for the engine, by how fast it is.
//!
//! Contract: what waits takes the engine [`AGE`] at most, as fast as it was lately, and [`MOST`] bytes whatever it does. Design: an average of the
//! time that an input took, over stretches in which the engine had more to do than it could do at once.

use std::time::Duration;

/// How long what waits may take the engine.
const AGE: Duration = Duration::from_millis(150);
/// Bytes that may wait, at most.
const MOST: u64 = 48 << 20;
/// Bytes that may always wait: a burst of some thousand connections is no flood, however slow the engine is.
const LEAST: u64 = 10 << 20;
/// What an input is taken for, until something is known.
const FIRST: Duration = Duration::from_micros(10);
/// Inputs of a stretch that is measured.
const STRETCH: u32 = 256;
/// What one input counts as waiting, about.
const BYTES: u64 = 768;

/// The engine's pace.
#[derive(Debug)]
pub(super) struct Pace {
    /// Nanoseconds an input, times 16.
    cost: u64,
    inputs: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { cost: nanos(FIRST) * 16, inputs: 0 }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Pace {
    /// An input was consumed; whether a stretch is over.
    pub(super) const fn step(&mut self) -> bool {
        self.inputs += 1;
        self.inputs >= STRETCH
    }

    /// The stretch took so long.
    pub(super) fn stretch(&mut self, took: Duration) {
        let inputs = u64::from(std::mem::take(&mut self.inputs).max(1));
        let each = nanos(took) / inputs;
        self.cost = self.cost - self.cost / 8 + each.min(10_000_000) * 2;
    }

    /// Nothing more to do: what was counted is no whole stretch.
    pub(super) const fn rest(&mut self) {
        self.inputs = 0;
    }

    /// Bytes that may wait.
    pub(super) fn capacity(&self) -> u64 {
        let inputs = nanos(AGE) * 16 / self.cost.max(1);
        (inputs * BYTES).clamp(LEAST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_engine_has_less_waiting() {
        let mut pace = Pace::default();
        assert_eq!(pace.capacity(), 15_000 * BYTES);
        for _ in 0..100 {
            (0..STRETCH).for_each(|_| _ = pace.step());
            pace.stretch(Duration::from_micros(100) * STRETCH);
        }
        assert_eq!(pace.capacity(), LEAST);
        for _ in 0..100 {
            (0..STRETCH).for_each(|_| _ = pace.step());
            pace.stretch(Duration::from_micros(2) * STRETCH);
        }
        assert!(pace.capacity() > 30 << 20);
    }
}
