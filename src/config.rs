//! The configuration: file shape → checked shape, with every mistake reported at its place.
//!
//! Contract: layers are `-c FILE`, or `/etc/hopwatch/hopwatch.yaml` and `conf.d/*.yaml` beside it, then `HOPWATCH__SECTION__KEY`
//! variables. A mistake names file, line, column, the wrong word and the nearest right one; all are reported at once.
//! Design: [`load`] merges the layers as trees (`node`), `decode` reads the tree into `file`, `check` resolves the names.

mod check;
mod decode;
mod defaults;
mod document;
mod environment;
mod excerpt;
mod expire;
mod file;
mod kept;
mod layers;
mod lints;
mod located;
mod node;
mod problem;
mod reference;
mod scalar;
mod sinks;
mod source;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use defaults::is_default_interface;
pub use document::{document_schema, print_document, read_document};
pub use expire::{FileWithExpired, files_with_expired};
pub use kept::{KEPT_BASELINE, kept_text, sha256};
pub use problem::{ConfigError, Problem};
pub use scalar::CollectorUrl;
pub use sinks::{
    AlertmanagerDestination, Credentials, Destination, ElasticsearchDestination, FileDestination, HostAndPort,
    HttpDestination, LokiDestination, OtlpDestination, SinkConfig, SplunkDestination, SyslogDestination,
    SyslogTransport, TokenScheme, Updates, UrlSource, WebhookDestination,
};

use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::EngineConfig;
use crate::evidence::{BudgetLimits, PayloadPolicy, RingLimits};
use crate::flow::MeterLimits;
use crate::input::RuntimeKind;
use crate::inventory::command_words::Vocabulary;
use crate::inventory::configuration::ShownLabels;
use crate::inventory::discover::Sought;
use crate::path::{Hop, PortSpec, Selector};
use decode::Decoded;
use file::FileConfig;
use layers::Layers;

/// What to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureConfig {
    /// Interface globs.
    pub interfaces: Vec<String>,
    /// Bytes kept of each packet.
    pub snap_length: SnapLength,
    /// Where that depends on the packet: the most of any.
    pub payload_snap_length: u32,
    /// Kernel buffer of each interface, in bytes, at most.
    pub ring_bytes: u32,
    /// Of all interfaces together.
    pub ring_budget_bytes: u64,
    /// Threads that read packets, at most.
    pub threads: usize,
    /// Leave out traffic of this process's own endpoint.
    pub exclude_own: bool,
    /// Which workloads are observed inside their own network namespace.
    pub inside_namespaces: InsideNamespaces,
}

/// Which workloads are observed inside their own network namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum InsideNamespaces {
    /// None.
    #[default]
    Never,
    /// Those whose traffic no captured interface of the host shows: macvlan, ipvlan, pods, rootless ones.
    Unwatched,
    /// All that have a network namespace of their own.
    All,
}

/// What a live command gives up once it has started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// Everything that it does not need, else it does not start.
    Enforced,
    /// As much as this kernel can.
    #[default]
    BestEffort,
    /// Nothing.
    Off,
}

/// How much of a packet is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapLength {
    /// As much as there is to be seen in it.
    Adaptive,
    /// So many bytes of each.
    Bytes(u32),
}

/// Where judged flows are exported to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpfixConfig {
    /// The collector.
    pub collector: CollectorUrl,
    /// Enterprise number of hopwatch's own elements.
    pub enterprise: u32,
}

/// What is kept of packets and facts from before each alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceConfig {
    /// Write bundles.
    pub enabled: bool,
    /// Their folder; `None`: one in the state directory.
    pub dir: Option<PathBuf>,
    /// Recent packets of each observation point.
    pub ring: RingLimits,
    /// Bytes of all rings together.
    pub ring_budget: usize,
    /// What stays of what applications wrote.
    pub payload: PayloadPolicy,
    /// For how long after an alert its packets are added.
    pub after: Duration,
    /// What may be written.
    pub budget: BudgetLimits,
}

/// What `hopwatch respond` may do.
#[derive(Clone, Debug)]
pub struct ResponseConfig {
    /// Whether it may act.
    pub enabled: bool,
    /// Workloads to which nothing is done.
    pub protected: Vec<Selector>,
    /// Responses in [`Self::period`], at most.
    pub limit: usize,
    /// See [`Self::limit`].
    pub period: Duration,
    /// When a response is undone, unless asked otherwise; zero: by a person.
    pub undo_after: Duration,
}

/// Which runtimes are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimesConfig {
    /// Their sockets, and whether more are looked for.
    pub sought: Sought,
    /// How often the whole list is compared.
    pub reconcile_interval: Duration,
    /// The same for Docker.
    pub docker_reconcile_interval: Duration,
    /// Words of executed commands that are shown.
    pub vocabulary: Arc<Vocabulary>,
    /// Labels that selectors need.
    pub shown_labels: ShownLabels,
}

impl RuntimesConfig {
    /// How often the whole list of such a runtime is compared.
    pub fn reconcile_interval(&self, kind: RuntimeKind) -> Duration {
        if kind == RuntimeKind::Docker { self.docker_reconcile_interval } else { self.reconcile_interval }
    }
}

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Capture.
    pub capture: CaptureConfig,
    /// Container runtimes.
    pub runtimes: RuntimesConfig,
    /// Address of metrics and health.
    pub listen: SocketAddr,
    /// Bounds of the flow tables.
    pub meter: MeterLimits,
    /// Where judged flows are exported to; `None`: nowhere.
    pub ipfix: Option<IpfixConfig>,
    /// Folder of what is kept between runs; `None`: the usual one.
    pub state_dir: Option<PathBuf>,
    /// What is given up after the start.
    pub sandbox: SandboxMode,
    /// What is kept from before each alert.
    pub evidence: EvidenceConfig,
    /// What may be done about an alert.
    pub response: ResponseConfig,
    /// Where alerts are delivered to, beside standard output.
    pub sinks: Vec<SinkConfig>,
    /// The core's part.
    pub engine: EngineConfig,
    /// Every hop by its name, in a contract or not.
    pub hops: BTreeMap<String, Arc<Hop>>,
    /// The file that says what services are expected to be like.
    pub baseline: Option<PathBuf>,
    /// The minisign key by which that file must be signed.
    pub baseline_key: Option<String>,
    /// The time zone of what is learned, by its name or rule.
    pub time_zone: Option<String>,
    /// Every destination that has a name, but for the built-in ones.
    pub destinations: BTreeMap<String, Vec<IpNetwork>>,
}

/// A configuration and where it comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked configuration.
    pub config: Config,
    /// `section.key` and the layer that set it, in order.
    pub origins: Vec<(String, String)>,
    /// The whole configuration as YAML, defaults included.
    pub printed: String,
    /// What is allowed but hardly meant.
    pub lints: Vec<Problem>,
}

/// Loads the configuration from its layers.
pub fn load(explicit: Option<&Path>) -> Result<Loaded, ConfigError> {
    finish(layers::read(explicit, std::env::vars_os())?)
}

/// Reads a configuration from a text.
pub fn from_str(name: &str, text: &str) -> Result<Loaded, ConfigError> {
    finish(layers::of_text(name, text)?)
}

/// A duration as the configuration writes it: `600ms`, `10s`, `5m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    scalar::DurationText::<0>::parse(text).map(scalar::DurationText::get)
}

/// A port as the configuration writes it: `3128`, `53/udp`.
pub fn parse_port(text: &str) -> Result<PortSpec, String> {
    scalar::Port::parse(text).map(|port| port.0)
}

/// The bounds of a flow table where no configuration says otherwise.
pub fn default_meter() -> MeterLimits {
    FileConfig::default().flows.limits()
}

/// The published JSON Schema of the file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(FileConfig).to_value()
}

/// `docs/configuration.md`.
pub fn reference() -> String {
    reference::markdown(&schema())
}

/// The manual page `hopwatch.yaml(5)`.
pub fn manual_page() -> String {
    reference::manual_page(&schema())
}

/// The built-in defaults as YAML.
pub fn defaults_text() -> String {
    print(&FileConfig::default())
}

fn print(file: &FileConfig) -> String {
    serde_saphyr::to_string(file).unwrap_or_else(|error| format!("# cannot be printed: {error}\n"))
}

fn finish(Layers { sources, mut tree }: Layers) -> Result<Loaded, ConfigError> {
    tree.number(&mut 0);
    let Decoded { value, mut problems, removed } = decode::decode::<FileConfig>(&sources, tree.clone(), &file::MOVED);
    let Some(file) = value else { return Err(ConfigError::new(problems)) };
    let origins = layers::origins(&sources, &tree);
    let printed = print(&file.spelt_out());
    let lints = lints::lints(&file);
    let config = check::check(&sources, &tree, &removed, file, &mut problems);
    match config {
        Some(mut config) if problems.is_empty() => {
            let kept = kept_text(&printed, config.baseline.is_some());
            config.engine.config_sha256 = Some(sha256(kept.as_bytes()).into());
            let lints = lints.with_contracts(&sources, &config.engine.contracts);
            Ok(Loaded { config, origins, printed, lints })
        }
        _ => Err(ConfigError::new(problems)),
    }
}
