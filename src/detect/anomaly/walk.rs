//! A sequential test of first contacts: does this actor know whom it asks?
//!
//! Contract: a first contact that fails goes one step up, one that succeeds one step down, an unanswered datagram half a step up; never below the
//! floor, so that good contacts do not buy scans. Design: whole numbers, in half steps: the same in every order of summing.
//! Source: Jung, Paxson, Berger, Balakrishnan, "Fast Portscan Detection Using Sequential Hypothesis Testing" (2004): with an honest success rate
//! θ₀ and a scanner's θ₁ a failure adds ln((1−θ₁)/(1−θ₀)), and the limit is ln((1−β)/α).

/// Success rate of an honest actor's first contacts.
const HONEST: f64 = 0.8;
/// That of a scanner.
const SCANNER: f64 = 0.2;
/// Scanners that may be missed.
pub const MISSED: f64 = 0.01;
/// The floor, in half steps: three steps.
const FLOOR: i32 = -6;

/// How far one actor has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    half_steps: i32,
}

/// How a first contact moves a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// It failed.
    Up,
    /// It failed, but honest contacts of the kind often do.
    HalfUp,
    /// It succeeded.
    Down,
}

impl Walk {
    /// Takes in a first contact.
    pub fn step(&mut self, by: Move) {
        let by = match by {
            Move::Up => 2,
            Move::HalfUp => 1,
            Move::Down => -2,
        };
        self.half_steps = self.half_steps.saturating_add(by).max(FLOOR);
    }

    /// Net failures.
    pub fn failures(self) -> f64 {
        f64::from(self.half_steps) / 2.0
    }

    /// Whether an honest actor gets so far in less than this share of cases.
    pub fn exceeds(self, accused: f64) -> bool {
        self.failures() >= f64::from(limit(accused))
    }
}

/// Net failures at which an honest actor is accused in this share of cases.
pub fn limit(accused: f64) -> u32 {
    let steps = ((1.0 - MISSED) / accused.clamp(1e-12, 0.5)).ln() / ((1.0 - SCANNER) / (1.0 - HONEST)).ln();
    (1..u32::MAX).find(|limit| f64::from(*limit) >= steps).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_from_the_error_rates() {
        assert_eq!([1e-2, 1e-3, 1e-5, 1e-7].map(limit), [4, 5, 9, 12]);
    }

    #[test]
    fn successes_take_back_and_never_below_the_floor() {
        let mut walk = Walk::default();
        (0..100).for_each(|_| walk.step(Move::Down));
        (0..7).for_each(|_| walk.step(Move::Up));
        assert!(!walk.exceeds(1e-3));
        walk.step(Move::Up);
        assert!(walk.exceeds(1e-3) && !walk.exceeds(1e-5));
    }

    #[test]
    fn an_unanswered_datagram_is_half_a_failure() {
        let mut walk = Walk::default();
        (0..9).for_each(|_| walk.step(Move::HalfUp));
        assert!(!walk.exceeds(1e-3));
        walk.step(Move::HalfUp);
        assert!(walk.exceeds(1e-3));
    }
}
