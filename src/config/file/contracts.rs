//! Hops, contracts and exceptions as they stand in the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::decode::At;
use crate::config::scalar::{Cidr, Expiry, Label, Port, Sentence};
use crate::path::{EvidenceKind, Selector, Service};

/// A selector and its place.
pub(in crate::config) type PlacedSelector = At<Selector>;

/// A place that traffic must pass: workloads, addresses, or both. Any one of them is the hop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Hop")]
pub(in crate::config) struct HopFile {
    /// Workloads that are the hop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<PlacedSelector>,
    /// Addresses that are the hop, for a hop outside of the containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<At<Cidr>>,
    /// Ports at which it serves; without: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [[3128], ["53/udp", "53/tcp"]]))]
    pub ports: Vec<Port>,
}

/// From whom, to where, via which hop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Contract")]
pub(in crate::config) struct ContractFile {
    /// Its name, in alerts and metrics.
    #[schemars(extend("examples" = ["egress-through-proxy"]))]
    pub name: At<Label>,
    /// What traffic it is about. `dns`: name resolution, ports 53/udp, 53/tcp and 853 unless `ports` says otherwise.
    #[serde(default)]
    pub service: Service,
    /// Whose traffic. A workload that is the contract's hop is never judged by it.
    #[schemars(extend("examples" = [[{"name": "app*"}]]))]
    pub from: At<Vec<PlacedSelector>>,
    /// To where: names from `destinations`, `internet`, `any`, addresses or ranges. Without: `internet`; for `dns`, `any`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["internet"], ["corp", "192.0.2.7"]]))]
    pub to: Vec<At<String>>,
    /// To which ports; without: any, and for `dns` those of name resolution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// The hop that must be passed: one name from `hops`.
    #[schemars(extend("examples" = [["proxy"]]))]
    pub via: At<Vec<At<String>>>,
    /// What proves the hop. `peer`: the flow's other end is the hop.
    #[serde(default = "peer")]
    pub evidence: At<Vec<EvidenceKind>>,
}

fn peer() -> At<Vec<EvidenceKind>> {
    At { value: vec![EvidenceKind::Peer], ..At::default() }
}

/// What is allowed although a rule fires, by whom, why and until when. Every given part must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Exception")]
pub(in crate::config) struct ExceptionFile {
    /// Its name, in reports and metrics.
    #[schemars(extend("examples" = ["backup-direct"]))]
    pub name: At<Label>,
    /// Which rule.
    #[schemars(extend("examples" = ["egress-skips-proxy"]))]
    pub rule: At<String>,
    /// Whose doing; without: any workload's, known or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"name": "backup"}]))]
    pub workload: Option<PlacedSelector>,
    /// To where, as in a contract's `to`; without: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<At<String>>,
    /// To which ports; without: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Who answers for it.
    #[schemars(extend("examples" = ["platform team"]))]
    pub owner: Sentence,
    /// Why it is allowed.
    #[schemars(extend("examples" = ["backups go to the storage network directly"]))]
    pub reason: Sentence,
    /// Until when: a day (to its end, UTC) or a time. An expired exception no longer counts.
    pub expires: At<Expiry>,
}
