//! How many deliveries one request holds.
//!
//! Contract: a request that a receiver cannot take as a whole is followed by a smaller one, down to a single delivery, which then stands for
//! itself: one that is malformed takes no other with it. Limits: [`LARGEST`].

use std::time::Duration;

use super::outcome::Outcome;

/// Deliveries of one request: what a receiver answers about so many is far below what is read of an answer.
pub const LARGEST: usize = 50;
/// Before a smaller request.
const SOON: Duration = Duration::from_secs(1);

/// The size of the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch(usize);

impl Default for Batch {
    fn default() -> Self {
        Self(LARGEST)
    }
}

impl Batch {
    /// As many deliveries.
    pub const fn most(self) -> usize {
        self.0
    }

    /// A request was taken: the next one may be a little larger.
    pub fn went_well(&mut self) {
        self.0 = (self.0 + 1).min(LARGEST);
    }

    /// What becomes of the deliveries of a request that failed as a whole. `is_too_much`: because of what was in it.
    pub fn failed(&mut self, count: usize, whole: Outcome, is_too_much: bool) -> Vec<Outcome> {
        if count <= 1 || !is_too_much {
            return vec![whole; count];
        }
        self.0 = (count / 2).max(1);
        let maybe_taken = matches!(whole, Outcome::Again { maybe_taken: true, .. });
        let why = format!("{}; the next request has fewer alerts", whole.why());
        vec![Outcome::Again { why, maybe_taken, after: Some(SOON) }; count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_too_much_is_halved_until_one_delivery_stands_for_itself() {
        let mut batch = Batch::default();
        let refused = || Outcome::Refused { why: "413".to_owned() };
        let mut sizes = Vec::new();
        while batch.most() > 1 {
            let outcomes = batch.failed(batch.most(), refused(), true);
            assert!(
                outcomes.iter().all(|one| matches!(one, Outcome::Again { maybe_taken: false, .. })),
                "{outcomes:?}"
            );
            sizes.push(batch.most());
        }
        assert_eq!(sizes, [25, 12, 6, 3, 1]);
        assert_eq!(batch.failed(1, refused(), true), [refused()]);
        batch.went_well();
        assert_eq!(batch.most(), 2, "it grows slowly");
    }

    #[test]
    fn a_receiver_that_is_down_gets_no_smaller_requests() {
        let mut batch = Batch::default();
        assert_eq!(batch.failed(3, Outcome::again("down"), false), vec![Outcome::again("down"); 3]);
        assert_eq!(batch.most(), LARGEST);
    }
}
