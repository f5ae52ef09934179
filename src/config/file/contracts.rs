//! Hops, contracts and exceptions as they stand in the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stage::StageFile;
use crate::config::located::Located;
use crate::config::scalar::{Cidr, Expiry, InterfaceGlob, Label, NetworkName, Port, Sentence};
use crate::path::{EvidenceKind, Family, HopKind, Selector, Service};

/// A selector and its place.
pub(in crate::config) type PlacedSelector = Located<Selector>;

/// Keys that stood in a contract once: the key, one that is there still, and what to do now.
pub(in crate::config) const MOVED: [(&str, &str, &str); 1] = [(
    "evidence",
    "via",
    "evidence is said of the hop: hops.NAME.evidence, such as hops.proxy.evidence; take it out here",
)];

/// A place that traffic must pass: workloads, addresses, or both. Any one of them is the hop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Hop")]
pub(in crate::config) struct HopFile {
    /// What kind of place it is. `endpoint`: is spoken to (proxy, resolver, ingress); `gateway`: routes for others; `inline`: traffic
    /// runs through it; `mirror`: traffic is copied to it; `sidecar`: shares the workload's network namespace and speaks for it.
    #[serde(default)]
    pub kind: Located<HopKind>,
    /// Workloads that are the hop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<PlacedSelector>,
    /// Addresses that are the hop, for a hop outside of the containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Located<Cidr>>,
    /// Its own observation points, as globs of interface names (they must be captured). Without: the host's side of its workloads'
    /// interfaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["ids0"]]))]
    pub interfaces: Option<Located<Vec<InterfaceGlob>>>,
    /// Ports at which it serves; without: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [[3128], ["53/udp", "53/tcp"]]))]
    pub ports: Option<Located<Vec<Port>>>,
    /// What proves that traffic passed it; any one is enough. `peer`: the flow's other end is the hop; `next_hop`: the frame was given to
    /// its MAC address; `transit`: the flow was seen at its observation point; `redirect`: connection tracking says that it answers;
    /// `owner`: the socket is its own; `relay`: what it sent on matches. Without, by kind: `endpoint`: `peer`, `redirect`; `gateway`: `next_hop`;
    /// `inline` and `mirror`: `transit`; `sidecar`: `owner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["peer", "relay"]]))]
    pub evidence: Option<Located<Vec<Located<EvidenceKind>>>>,
}

impl HopFile {
    /// The kinds of evidence that count.
    pub(in crate::config) fn evidence(&self) -> Vec<EvidenceKind> {
        match &self.evidence {
            Some(named) => named.value.iter().map(|kind| kind.value).collect(),
            None => self.kind.value.evidence().to_vec(),
        }
    }

    /// The same hop with nothing left to defaults.
    pub(in crate::config) fn spelt_out(&self) -> Self {
        let evidence = self.evidence().into_iter().map(Located::nowhere).collect();
        Self { evidence: Some(Located::nowhere(evidence)), ..self.clone() }
    }
}

/// From whom, to where, via which hops; or, with `service: ingress`, into whom, from where, via which hop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Contract", extend("anyOf" = [{"required": ["via"]}, {"required": ["deny"]}]))]
pub(in crate::config) struct ContractFile {
    /// Its name, in alerts and metrics.
    #[schemars(extend("examples" = ["egress-through-proxy"]))]
    pub name: Located<Label>,
    /// What traffic it is about. `egress`: what workloads send; `dns`: name resolution, ports 53/udp, 53/tcp and 853 unless `ports` says
    /// otherwise; `ingress`: what reaches them, such as published ports.
    #[serde(default)]
    pub service: Service,
    /// Whose traffic; must be given unless `service` is `ingress`. What the contract's own hop sends on is not judged
    /// by it; what a sidecar sends is, since that proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [[{"name": "app*"}]]))]
    pub from: Option<Located<Vec<PlacedSelector>>>,
    /// To where: names from `destinations`, `internet`, `any`, addresses or ranges. Without: `internet`; for `dns`, `any`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["internet"], ["corp", "192.0.2.7"]]))]
    pub to: Option<Located<Vec<Located<String>>>>,
    /// With `service: ingress` only, and there it must be given: the workloads that are reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [[{"name": "web*"}]]))]
    pub into: Option<Located<Vec<PlacedSelector>>>,
    /// With `service: ingress` only: from where, written like `to`. Without: `any`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["internet"]]))]
    pub sources: Option<Located<Vec<Located<String>>>>,
    /// To which ports; without: any, and for `dns` those of name resolution. With `service: ingress` the workload's own ports, not
    /// those that the host publishes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Only this address family; without: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Located<Family>>,
    /// Networks over which the traffic may leave, by their whole names. Without: those that a hop's workload is in, or any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["shop_default"]]))]
    pub networks: Option<Located<Vec<NetworkName>>>,
    /// The hops that must all be passed, in the order of the way, by their names in `hops`. A list in place of a name: any one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["proxy"], ["gateway", "ids"], [["proxy-a", "proxy-b"], "ids"]]))]
    pub via: Option<Located<Vec<Located<StageFile>>>>,
    /// `true` in place of `via`: no path is allowed: any such traffic is an alert.
    #[serde(default, skip_serializing_if = "Located::is_default")]
    pub deny: Located<bool>,
}

/// What is allowed although a rule fires, by whom, why and until when. Every given part must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Exception")]
pub(in crate::config) struct ExceptionFile {
    /// Its name, in reports and metrics.
    #[schemars(extend("examples" = ["backup-direct"]))]
    pub name: Located<Label>,
    /// Which rule.
    #[schemars(extend("examples" = ["egress-skips-proxy"]))]
    pub rule: Located<String>,
    /// Whose doing; without: any workload's, known or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"name": "backup"}]))]
    pub workload: Option<PlacedSelector>,
    /// To where, as in a contract's `to`; without: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<Located<String>>,
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
    pub expires: Located<Expiry>,
}
