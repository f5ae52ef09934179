//! The shape of the configuration file.
//!
//! Contract: unknown keys are refused; every key but names, whose traffic a contract is about and its path, and an exception's owner,
//! reason and expiry has a default. Limits: this shape knows no references between its parts; `check.rs` does.
//! Design: the doc comments here are the descriptions in the published schema and in `docs/configuration.md`.

mod contracts;
mod log_sinks;
mod lowering;
mod sections;
mod sinks;
mod stage;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use contracts::{ContractFile, ExceptionFile, HopFile, MOVED, PlacedSelector};
pub(super) use log_sinks::{ElasticsearchFile, LokiFile, OtlpFile, SplunkFile};
pub(super) use lowering::{EnvironmentFile, EnvironmentSeverity, MaintenanceFile, SeverityFile};
pub(super) use sections::{
    ActorsFile, Alerts, Capture, Detection, Evidence, Flows, Incidents, Inventory, MonitorsFile, Response, Runtime,
    Serve, State,
};
pub(super) use sinks::{AlertmanagerFile, FileSinkFile, SinkFile, SyslogFile, WebhookFile};
pub(super) use stage::StageFile;

use super::SandboxMode;
use super::located::Located;
use super::scalar::{Cidr, FilePath, Label, MinisignKey, ZoneName};
use crate::detect::rules::RuleParams;

/// Top-level lists that files in `conf.d` add to instead of replacing.
pub(super) const APPENDED: [&str; 4] = ["contracts", "exceptions", "severities", "maintenance"];

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
    /// Who acts where no runtime explains an address.
    pub actors: ActorsFile,
    /// How alerts are grouped.
    pub alerts: Alerts,
    /// How alerts and events become incidents.
    pub incidents: Incidents,
    /// What is kept of packets and facts from before each alert.
    pub evidence: Evidence,
    /// What `hopwatch respond` may do.
    pub response: Response,
    /// What is kept between runs.
    pub state: State,
    /// What is given up once a live command has started: capabilities, dangerous system calls, files that the configuration does not name, programs. `enforced`: all of it, else it does not
    /// start; `best-effort`: what this kernel can, and the log, the metrics and `hopwatch doctor` say what it cannot; `off`: nothing. See docs/sandbox.md.
    pub sandbox: SandboxMode,
    /// The file that says what each service is expected to be set up like, made by `hopwatch baseline learn`; a relative path is one
    /// beside this file. Without: rules about settings speak of what is dangerous in itself.
    #[schemars(extend("examples" = ["baseline.yaml"]))]
    pub baseline: Option<Located<FilePath>>,
    /// The public key of minisign (`RW…`) by which the baseline's file must be signed; without: no signature is asked for.
    pub baseline_key: Option<MinisignKey>,
    /// By which clock `hopwatch baseline learn` tells the hours of the week: a name, or a rule; without: UTC. People and cron follow the clock on the wall.
    pub time_zone: Option<ZoneName>,
    /// Named sets of addresses: a name, and its ranges. `internet` and `any` are built in.
    #[schemars(extend("examples" = [{"corp": ["10.20.0.0/16"]}]))]
    pub destinations: BTreeMap<Located<Label>, Located<Vec<Located<Cidr>>>>,
    /// Places that traffic must pass: a name, and how the place is recognised.
    #[schemars(extend("examples" = [{"proxy": {"workloads": [{"name": "squid*"}], "ports": [3128]}}]))]
    pub hops: BTreeMap<Located<Label>, Located<HopFile>>,
    /// What watches others, or carries what others log: its end is reported, and commands against it.
    #[schemars(extend("examples" = [{"workloads": [{"name": "shipper*"}], "programs": ["own-agent"]}]))]
    pub monitors: MonitorsFile,
    /// Who must reach what via which hops. Of the contracts that cover a flow the first judges it, DNS contracts before others.
    pub contracts: Vec<Located<ContractFile>>,
    /// What is allowed although a rule fires.
    pub exceptions: Vec<Located<ExceptionFile>>,
    /// Severities in place of the rules' own, by rule and workload; of those that fit an alert the first counts.
    pub severities: Vec<Located<SeverityFile>>,
    /// Times in which changes are expected.
    pub maintenance: Vec<Located<MaintenanceFile>>,
    /// Groups of workloads in which less is at stake, such as `dev` and `test`: a name, and who is in it.
    #[schemars(extend("examples" = [{"test": {"workloads": [{"labels": {"com.docker.compose.project": "shop-test"}}]}}]))]
    pub environments: BTreeMap<Located<Label>, Located<EnvironmentFile>>,
    /// Where alerts of `hopwatch sniff` are delivered to beside standard output: a name, and where. See docs/delivery.md.
    #[schemars(extend("examples" = [{"pager": {"severity": "medium", "alertmanager": {"urls": ["http://127.0.0.1:9093"]}}}]))]
    pub sinks: BTreeMap<Located<Label>, Located<SinkFile>>,
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
