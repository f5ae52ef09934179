//! The keys of the document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::{Expect, FieldText, ValueShape};
use super::traffic::{RowShape, TrafficShape};
use crate::time::Timestamp;

/// What the services of a host are expected to be set up like, and to deal with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "hopwatch baseline", rename = "Baseline")]
pub struct BaselineDocument {
    /// `hopwatch.baseline/1`; a newer one is refused.
    pub schema: String,
    /// Grows with every change; a lower one than was approved is a roll-back and refused.
    pub serial: u64,
    /// Id of the key that made the hashes; under another key a hidden value is only known to be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_key: Option<String>,
    /// One entry per service.
    #[serde(default)]
    pub(super) services: Vec<ServiceShape>,
    /// Values that were seen and are not in force, until a person approves them one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) quarantine: Vec<QuarantineShape>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Service")]
pub(super) struct ServiceShape {
    /// Which.
    #[serde(rename = "match")]
    pub(super) of: MatchShape,
    /// Its differences are shown by `diff` and `shadow`, and raise no alert.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) shadow: bool,
    /// From what it was learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) learned: Option<LearnedShape>,
    /// What each field may hold.
    #[serde(default)]
    pub(super) expect: Expect,
    /// Whom it deals with; absent: nothing is expected of its traffic, and nothing about it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) traffic: Option<TrafficShape>,
    /// The last approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) approved: Option<ApprovalShape>,
}

/// A service by one manager and its image's repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Match")]
pub(super) struct MatchShape {
    /// Docker Compose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compose: Option<ComposeShape>,
    /// Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pod: Option<PodShape>,
    /// A service of Swarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) swarm: Option<String>,
    /// A unit of systemd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<String>,
    /// No manager: the pattern of the names of its containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// The image's repository, without tag and digest.
    pub(super) image: String,
}

/// A service of Docker Compose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Compose")]
pub(super) struct ComposeShape {
    /// Its project.
    pub(super) project: String,
    /// Its name there.
    pub(super) service: String,
}

/// A container of a controller's pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Pod")]
pub(super) struct PodShape {
    /// Kubernetes namespace.
    pub(super) namespace: String,
    /// The controller, by the pattern of its pods' names.
    pub(super) controller: String,
    /// The container in the pod.
    pub(super) container: String,
}

/// From what a service was learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Learned")]
pub(super) struct LearnedShape {
    /// The first observation.
    pub(super) from: Timestamp,
    /// The last one.
    pub(super) to: Timestamp,
    /// Starts of containers; after one alone, differences count one severity less.
    pub(super) starts: u64,
    /// Containers.
    pub(super) replicas: u64,
}

/// Who approved what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Approval")]
pub(super) struct ApprovalShape {
    /// Who.
    pub(super) by: String,
    /// When.
    pub(super) at: Timestamp,
    /// Why.
    pub(super) why: String,
    /// Field, old and new value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) changes: Vec<String>,
}

/// A value that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Quarantine")]
pub(super) struct QuarantineShape {
    /// Whose.
    #[serde(rename = "match")]
    pub(super) of: MatchShape,
    /// Names it for `hopwatch baseline approve`.
    pub(super) id: String,
    /// Which field, where it is a setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<FieldText>,
    /// What it held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<ValueShape>,
    /// Whom the service reached, where it is traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reaches: Option<RowShape>,
    /// Who reached the service, where it is traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) listens: Option<RowShape>,
    /// When it was seen first.
    pub(super) first: Timestamp,
    /// In how many starts, or contacts.
    pub(super) seen: u64,
    /// Why it waits.
    pub(super) reason: String,
}
