//! The Alerting and Detection Strategy (Palantir's ADS framework) of a rule, as data.
//!
//! Contract: no field is optional, so an unfinished strategy does not compile.

use schemars::JsonSchema;
use serde::Serialize;

use super::Severity;

/// An ATT&CK technique in both namings; v19 (April 2026) renamed the T1562 family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Technique {
    /// Name.
    pub name: &'static str,
    /// Id in ATT&CK v19.
    pub v19: &'static str,
    /// Id in ATT&CK v18.
    pub v18: &'static str,
}

/// What a rule is and how it alerts.
#[derive(Debug)]
pub struct RuleMeta {
    /// Stable id: metric label, configuration key, file name, docs page.
    pub name: &'static str,
    /// One line for a person: what happened.
    pub title: &'static str,
    /// Severity unless the rule lowers it.
    pub severity: Severity,
    /// What its evidence really shows.
    pub techniques: &'static [Technique],
    /// The strategy.
    pub ads: Ads,
}

/// The technique that started the project: client configurations gathered by an adversary.
pub const SEED_REFERENCE: &str = "T1592.004";

/// Palantir's eleven sections; text is Markdown.
#[derive(Debug)]
pub struct Ads {
    /// What it detects.
    pub goal: &'static str,
    /// Where it sits in ATT&CK, in words.
    pub categorization: &'static str,
    /// How it detects.
    pub strategy: &'static str,
    /// What a responder has to know.
    pub technical_context: &'static str,
    /// What it cannot see, and which of that becomes `unobservable`.
    pub blind_spots: &'static [&'static str],
    /// What must hold for it to work.
    pub assumptions: &'static [&'static str],
    /// When it fires without an attack.
    pub false_positives: &'static [&'static str],
    /// Folders under `captures/` that must raise it.
    pub true_positives: &'static [&'static str],
    /// Folders under `captures/` that must not: the same actions, allowed.
    pub benign_twins: &'static [&'static str],
    /// How severe, and why.
    pub priority: &'static str,
    /// What to do, in order.
    pub response: &'static [&'static str],
    /// Further reading.
    pub resources: &'static [&'static str],
}
