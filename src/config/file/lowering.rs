//! Severities that are set, maintenance windows and environments in the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PlacedSelector;
use crate::config::located::Located;
use crate::config::scalar::{DurationText, Expiry, Label, Sentence};
use crate::detect::Severity;

/// A severity in place of a rule's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SetSeverity")]
pub(in crate::config) struct SeverityFile {
    /// Whose alerts: a rule's name.
    #[schemars(extend("examples" = ["beacon"]))]
    pub rule: Located<String>,
    /// About which workloads, as in `maintenance`; without: about any, and about none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [[{"name": "updater*"}]]))]
    pub workloads: Option<Located<Vec<PlacedSelector>>>,
    /// The severity that they get.
    pub severity: Severity,
    /// Why; the evidence of each alert says it.
    #[schemars(extend("examples" = ["it asks for updates every minute"]))]
    pub reason: Sentence,
}

/// A time in which changes are expected: alerts about workloads are one severity lower, and written all the same. What is dangerous in
/// itself is never lowered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Maintenance")]
pub(in crate::config) struct MaintenanceFile {
    /// Its name, in the evidence of alerts.
    #[schemars(extend("examples" = ["weekly-updates"]))]
    pub name: Located<Label>,
    /// Of which workloads; labels alone select nobody here, unless one of them is `com.docker.compose.project`.
    #[schemars(extend("examples" = [[{"name": "shop-*"}]]))]
    pub workloads: Located<Vec<PlacedSelector>>,
    /// From when on.
    pub from: Located<Expiry>,
    /// Until when.
    pub until: Located<Expiry>,
    /// After how long it comes again: `24h`, `7d`; without: once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["24h", "7d"]))]
    pub every: Option<DurationText<60_000>>,
    /// Who answers for it.
    #[schemars(extend("examples" = ["platform team"]))]
    pub owner: Sentence,
    /// Why.
    #[schemars(extend("examples" = ["updates of the shop are rolled out"]))]
    pub reason: Sentence,
}

/// A group of workloads in which less is at stake: development, test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Environment")]
pub(in crate::config) struct EnvironmentFile {
    /// Its workloads, as in `maintenance`.
    #[schemars(extend("examples" = [[{"labels": {"com.docker.compose.project": "shop-test"}}]]))]
    pub workloads: Located<Vec<PlacedSelector>>,
    /// `lower`: alerts are one severity lower; `observe`: they are low.
    #[serde(default)]
    pub severity: EnvironmentSeverity,
}

/// How far alerts of an environment are lowered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum EnvironmentSeverity {
    /// One severity.
    #[default]
    Lower,
    /// To low.
    Observe,
}
