//! One score of what speaks for a tunnel, its parts shown.
//!
//! Contract: pure. Design: the bytes of new names carry the score: that is what the channel can move, it cannot be disguised by short labels, and it does not
//! depend on the type. All other parts together do not reach `medium` without two that no host name has.

use super::TunnelScore;
use crate::detect::{Alternative, ExpectedFrom, Explanation};

/// Shortest label whose irregularity says something.
const LEAST_LABEL: usize = 16;

/// What was counted below one domain in ten minutes, and in a day.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) names: usize,
    pub(super) bytes: usize,
    /// Names and their bytes within a day.
    pub(super) day: (usize, usize),
    pub(super) asked: u32,
    pub(super) repeated: u32,
    pub(super) odd_types: u32,
    pub(super) odd_bytes: u32,
    /// Of what stands before the domain, on average.
    pub(super) length: usize,
    pub(super) entropy: f64,
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Bytes from which on names carry data, in ten minutes and in a day.
    pub(super) least: (usize, usize),
}

/// Whether a type is one that answers with data and that hosts do not ask for.
pub(super) fn is_odd(kind: &str) -> bool {
    let number = kind.strip_prefix("TYPE").and_then(|number| number.parse::<u16>().ok());
    matches!(kind, "NULL" | "TXT" | "KEY") || number.is_some_and(|number| number >= 65_280)
}

/// Entropy of a label against the most that it could have; `None` of a short one.
pub(super) fn entropy_ratio(label: &[u8]) -> Option<f64> {
    if label.len() < LEAST_LABEL {
        return None;
    }
    let most = f64::from(u32::try_from(label.len().min(36)).unwrap_or(36)).log2();
    Some(crate::detect::rules::tunnel_from_container::names::entropy(label) / most)
}

impl Parts {
    /// Each part that holds: its points, and what it says.
    fn held(&self) -> Vec<(u32, String)> {
        let (day_names, day_bytes) = self.day;
        let much = self.bytes >= self.least.0;
        let much_in_a_day = day_bytes >= self.least.1 && day_names >= 200;
        let unreadable = self.entropy >= 0.85 || self.length >= 40;
        let bytes = if much {
            format!("{} bytes of labels in {} new names within 10 min", self.bytes, self.names)
        } else {
            format!("{day_bytes} bytes of labels in {day_names} new names within a day")
        };
        let answers = self.received >= 4 * self.sent.max(1) && self.names >= 5;
        let unique = self.names >= 20 && 20 * self.repeated <= self.asked;
        [
            (much || much_in_a_day, 3, bytes),
            (
                10 * self.odd_types >= 3 * self.asked && self.odd_types >= 5,
                2,
                format!("{} of {} questions of types that answer with data", self.odd_types, self.asked),
            ),
            (self.odd_bytes >= 3, 2, format!("{} names with bytes that no host name has", self.odd_bytes)),
            (
                unreadable && self.names >= 3,
                1,
                format!(
                    "{} characters before the domain on average, irregular to {:.2} of the maximum",
                    self.length, self.entropy
                ),
            ),
            (answers, 1, format!("{} bytes answered for {} asked", self.received, self.sent)),
            (unique, 1, format!("{} of {} questions asked twice", self.repeated, self.asked)),
        ]
        .into_iter()
        .filter_map(|(holds, points, text)| holds.then_some((points, text)))
        .collect()
    }

    /// All points.
    pub(super) fn points(&self) -> u32 {
        self.held().iter().map(|(points, _)| points).sum()
    }

    pub(super) fn explain(&self, limits: &TunnelScore, domain: &str) -> Explanation {
        let held = self.held();
        let points: u32 = held.iter().map(|(points, _)| points).sum();
        let parts: Vec<String> = held.into_iter().map(|(points, text)| format!("{text} ({points})")).collect();
        let observed = format!("names below {domain} score {points} points as a tunnel: {}", parts.join("; "));
        let expected = "the busiest ordinary domains have a few hundred bytes of new names in ten minutes";
        let mut why = Explanation::new(observed, expected, ExpectedFrom::Floor).about([domain]);
        why.threshold = format!("{} points for medium, {} for high", limits.medium, limits.high);
        why.parameter = "rules.dns-anomaly.tunnel".into();
        why.signs = parts;
        why.alternatives = vec![
            Alternative::new("reputation and virus look-ups, which ask by digest", "who serves the domain"),
            Alternative::new(
                "measurement with a name for each request",
                "who serves the domain, and what else the service asks",
            ),
        ];
        why.silence = "name the service under rules.dns-anomaly.allowed, or raise tunnel.bytes".into();
        why
    }
}
