//! What became of an attempt to deliver, and when to try again.

use std::time::Duration;

/// Longest wait of all: what a receiver may ask for.
pub const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// First wait after an attempt that failed.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait after one that the next attempt may repair.
const LONGEST: Duration = Duration::from_mins(5);
/// First and longest wait where a person must do something.
const FIRST_FOR_A_PERSON: Duration = Duration::from_mins(1);
const LONGEST_FOR_A_PERSON: Duration = Duration::from_mins(15);

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has taken it, by its own word where it has one.
    Delivered,
    /// It may take it later.
    Again {
        /// What happened.
        why: String,
        /// Whether the receiver may have taken it all the same: the next attempt is marked as a repetition.
        maybe_taken: bool,
        /// When the receiver wants the next attempt.
        after: Option<Duration>,
    },
    /// It takes nothing until a person changes something: a token, an address, a certificate.
    Configuration {
        /// What happened.
        why: String,
    },
    /// It will never take this one.
    Refused {
        /// What it said.
        why: String,
    },
}

impl Outcome {
    /// One that certainly was not taken.
    pub fn again(why: impl Into<String>) -> Self {
        Self::Again { why: why.into(), maybe_taken: false, after: None }
    }

    /// One that may have been taken.
    pub fn ambiguous(why: impl Into<String>) -> Self {
        Self::Again { why: why.into(), maybe_taken: true, after: None }
    }

    /// What happened; nothing of a delivery.
    pub fn why(&self) -> &str {
        match self {
            Self::Delivered => "",
            Self::Again { why, .. } | Self::Configuration { why } | Self::Refused { why } => why,
        }
    }

    /// What of several outcomes of one attempt says most about the receiver: the greatest.
    pub const fn gravity(&self) -> (u8, Option<Duration>) {
        match self {
            Self::Delivered | Self::Refused { .. } => (0, None),
            Self::Again { after, .. } => (1, *after),
            Self::Configuration { .. } => (2, None),
        }
    }

    /// How long a sink waits after so many failures in a row; `jitter` is from 0 to 1. None after a delivery or a refusal.
    pub fn wait(&self, failures: u32, jitter: f64) -> Option<Duration> {
        let (first, longest) = match self {
            Self::Delivered | Self::Refused { .. } => return None,
            Self::Again { after: Some(after), .. } => return Some((*after).clamp(FIRST, LONGEST_WAIT)),
            Self::Again { .. } => (FIRST, LONGEST),
            Self::Configuration { .. } => (FIRST_FOR_A_PERSON, LONGEST_FOR_A_PERSON),
        };
        let most = first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(longest);
        // Between half of it and the whole: sinks that fail together do not try together.
        Some(most.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_obey_the_receiver_to_an_hour() {
        let again = Outcome::again("down");
        assert_eq!(again.wait(1, 1.0), Some(Duration::from_secs(1)));
        assert_eq!(again.wait(1, 0.0), Some(Duration::from_millis(500)));
        assert_eq!(again.wait(4, 1.0), Some(Duration::from_secs(8)));
        assert_eq!(again.wait(4_000_000_000, 1.0), Some(LONGEST));
        assert_eq!(Outcome::Configuration { why: "401".into() }.wait(9, 1.0), Some(LONGEST_FOR_A_PERSON));
        let asked = |after| Outcome::Again { why: String::new(), maybe_taken: false, after: Some(after) };
        assert_eq!(asked(Duration::from_secs(7)).wait(9, 1.0), Some(Duration::from_secs(7)));
        assert_eq!(asked(Duration::ZERO).wait(1, 0.0), Some(FIRST), "a receiver that asks for haste is not flooded");
        assert_eq!(asked(Duration::MAX).wait(9, 1.0), Some(LONGEST_WAIT));
        assert_eq!(Outcome::Delivered.wait(1, 1.0), None);
    }
}
