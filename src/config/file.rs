//! The shape of the configuration file.
//!
//! Contract: unknown keys are refused; every key but names, whose traffic a contract is about and its path, and an exception's owner,
//! reason and expiry has a default. Limits: this shape knows no references between its parts; `check.rs` does.
//! Design: the doc comments here are the descriptions in the published schema and in `docs/configuration.md`.

mod contracts;
mod sections;
mod stage;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use contracts::{ContractFile, ExceptionFile, HopFile, MOVED, PlacedSelector};
pub(super) use sections::{Alerts, Capture, Detection, Flows, Inventory, Runtime, Serve};
pub(super) use stage::StageFile;

use super::located::Located;
use super::scalar::{Cidr, Label};
use crate::detect::rules::RuleParams;

/// Top-level lists that files in `conf.d` add to instead of replacing.
pub(super) const APPENDED: [&str; 2] = ["contracts", "exceptions"];

/// The whole configuration of hopwatch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "hopwatch configuration")]
pub(super) struct FileConfig {
    /// Where packets are captured.
    pub capture: Capture,
    /// Which container runtimes are asked.
    pub runtime: Runtime,
    /// Metrics and health over HTTP.
    pub serve: Serve,
    /// The flow table of each interface.
    pub flows: Flows,
    /// How long a flow waits for its judgement.
    pub detection: Detection,
    /// What is remembered of workloads.
    pub inventory: Inventory,
    /// How alerts are grouped.
    pub alerts: Alerts,
    /// Named sets of addresses: a name, and its ranges. `internet` and `any` are built in.
    #[schemars(extend("examples" = [{"corp": ["10.20.0.0/16"]}]))]
    pub destinations: BTreeMap<Located<Label>, Located<Vec<Located<Cidr>>>>,
    /// Places that traffic must pass: a name, and how the place is recognised.
    #[schemars(extend("examples" = [{"proxy": {"workloads": [{"name": "squid*"}], "ports": [3128]}}]))]
    pub hops: BTreeMap<Located<Label>, Located<HopFile>>,
    /// Who must reach what via which hops. Of the contracts that cover a flow the first judges it, DNS contracts before others.
    pub contracts: Vec<Located<ContractFile>>,
    /// What is allowed although a rule fires.
    pub exceptions: Vec<Located<ExceptionFile>>,
    /// The rules and their parameters; `hopwatch rules list` names them.
    pub rules: RuleParams,
}

impl FileConfig {
    /// The same configuration with nothing of its hops left to their kind.
    pub(super) fn spelt_out(&self) -> Self {
        let spelt_out = |hop: &Located<HopFile>| Located { value: hop.value.spelt_out(), ..hop.clone() };
        let hops = self.hops.iter().map(|(name, hop)| (name.clone(), spelt_out(hop))).collect();
        Self { hops, ..self.clone() }
    }
}
