//! The shape of a scenario file.
//!
//! Contract: `scenarios/NAME.yaml`; an unknown key is an error. The order of `actions` is the order in which they happen.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// A story with containers, and what hopwatch must say of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// File name without `.yaml`.
    #[serde(skip)]
    pub name: String,
    /// What happens, in a sentence.
    pub title: String,
    /// The scenario that is the same story with the other outcome: the benign twin, or whose twin this is.
    pub twin: String,
    /// Why it is left out: what hopwatch still says wrongly of it.
    #[serde(default)]
    pub ignored: Option<String>,
    /// Interfaces to observe, by glob.
    #[serde(default = "bridges")]
    pub interfaces: Vec<String>,
    /// Further arguments of `sniff` and `record`.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// How many milliseconds an alert may take, where waiting belongs to the rule.
    #[serde(default = "a_second")]
    pub latest_ms: u64,
    /// Whether it needs the machine for itself: it counts what a busy one would lose.
    #[serde(default)]
    pub alone: bool,
    /// Whether every place is observed that its traffic passes; not so where the story is that one is missing.
    #[serde(default = "yes")]
    pub whole: bool,
    /// The daemon's configuration for this scenario, as JSON; it is restarted with it, and back afterwards.
    #[serde(default)]
    pub daemon: Option<String>,
    /// Docker networks.
    #[serde(default)]
    pub networks: Vec<Network>,
    /// Containers that run before hopwatch starts.
    #[serde(default)]
    pub containers: Vec<Container>,
    /// What is arranged once the containers run, before hopwatch starts: firewall rules, interfaces, namespaces.
    #[serde(default)]
    pub prepare: Vec<Action>,
    /// A shell script on the host that takes back what `prepare` and `actions` did to it; whatever happened, every line runs.
    #[serde(default)]
    pub tidy: Option<String>,
    /// hopwatch's configuration, as it stands.
    pub hopwatch: String,
    /// A baseline, written to `baseline.yaml` beside the configuration, which names it.
    #[serde(default)]
    pub baseline: Option<String>,
    /// What happens while hopwatch watches.
    pub actions: Vec<Action>,
    /// What hopwatch must say, and nothing else.
    #[serde(default)]
    pub expect: Expect,
    /// Who sent, as live alerts must say it.
    #[serde(default)]
    pub senders: Vec<ExpectedSender>,
    /// How many facts of a kind (`disconnected`, `stopped` …) the recording must hold at least.
    #[serde(default)]
    pub facts: BTreeMap<String, u64>,
    /// Packets that must be (or not be) in the recording: the story really took place.
    pub proof: Vec<Proof>,
    /// Whether its recording is small enough to be kept under `captures/`.
    #[serde(default = "yes")]
    pub saved: bool,
}

const fn yes() -> bool {
    true
}

fn bridges() -> Vec<String> {
    vec!["br-*".to_owned()]
}

const fn a_second() -> u64 {
    1000
}

/// A network.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Name.
    pub name: String,
    /// IPv4 range; the gateway is its first address.
    pub subnet: String,
    /// IPv6 range.
    #[serde(default)]
    pub subnet6: Option<String>,
    /// Driver; without it a bridge.
    #[serde(default)]
    pub driver: Option<String>,
    /// Gateway, where it is not the first address.
    #[serde(default)]
    pub gateway: Option<String>,
    /// Options of the driver.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// A container to run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// Name.
    pub name: String,
    /// One of the lab's images (`images.rs`, `far.rs`).
    #[serde(default = "busybox")]
    pub image: String,
    /// Networks; none means Docker's default bridge, or the host's network.
    #[serde(default)]
    pub networks: Vec<Attachment>,
    /// Arguments after the image; none, without an entry point: sleep.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Resolvers.
    #[serde(default)]
    pub dns: Vec<String>,
    /// Whether it runs in the host's network.
    #[serde(default)]
    pub host_network: bool,
    /// The container whose network it joins.
    #[serde(default)]
    pub network_of: Option<String>,
    /// Whether it sees the host's processes.
    #[serde(default)]
    pub pid_host: bool,
    /// Devices of the host that it gets.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Whether it gets every privilege.
    #[serde(default)]
    pub privileged: bool,
    /// Capabilities added.
    #[serde(default)]
    pub cap_add: Vec<String>,
    /// Kernel parameters of its namespaces.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// Files that are put into it before it starts: path and content. The folder must exist in the image.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Further arguments of `docker run`.
    #[serde(default)]
    pub docker: Vec<String>,
    /// Published ports, `host:container`.
    #[serde(default)]
    pub publish: Vec<String>,
    /// A shell command inside it that succeeds once it serves.
    #[serde(default)]
    pub ready: Option<String>,
}

fn busybox() -> String {
    "busybox".to_owned()
}

/// A container in a network.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// The network's name.
    pub name: String,
    /// Its IPv4 address there; any if absent.
    #[serde(default)]
    pub ip: Option<String>,
    /// Its IPv6 address there; any if absent.
    #[serde(default)]
    pub ip6: Option<String>,
}

/// Something that happens.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// A shell command in a container, which must succeed.
    Exec(Exec),
    /// A shell command in a container, whatever comes of it.
    Try(Exec),
    /// Starts a container and goes on.
    Run(Box<Container>),
    /// Starts a container, waits until it ends well, and removes it.
    RunToEnd(Box<Container>),
    /// Repeats a shell command in a container until it succeeds.
    WaitUntil(Exec),
    /// A shell command on the pretended internet, which must succeed.
    Outside(Outside),
    /// A shell command on the host, which must succeed.
    Host(String),
    /// Attaches a running container to a further network.
    Connect(Connect),
    /// Stops a container.
    Stop(String),
    /// Removes a container, running or not.
    Remove(String),
    /// Restarts the Docker daemon; containers go on.
    RestartDaemon {},
    /// Lets time pass, where time itself is the story.
    PauseMs(u64),
}

/// A shell command in a container.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The container.
    pub container: String,
    /// What `sh -c` runs.
    pub run: String,
}

/// A further attachment of a running container.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// The container.
    pub container: String,
    /// Where to.
    pub network: Attachment,
}

/// A shell command on the pretended internet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    /// Where: `web`, `resolver`, `cloud` or `far`.
    pub site: String,
    /// What `sh -c` runs.
    pub run: String,
}

/// The shape of `expect.yaml` too.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Alerts that must appear; an alert of another rule and workload must not.
    #[serde(default)]
    pub alerts: Vec<ExpectedAlert>,
    /// By contract and verdict: at least so many flows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub verdicts: BTreeMap<String, BTreeMap<String, u64>>,
}

/// An alert that must appear.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedAlert {
    /// Rule.
    pub rule: String,
    /// Container name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// One of its destinations, `address:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// How severe it is at first, where that is the story.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
}

/// What the first line of an alert must say of who sent, live.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedSender {
    /// Rule.
    pub rule: String,
    /// Name of the process.
    #[serde(default)]
    pub process: Option<String>,
    /// Whether the interface is a veth.
    #[serde(default)]
    pub veth: bool,
    /// To whom the forged address belongs.
    #[serde(default)]
    pub address_of: Option<String>,
}

/// Packets of the recording, counted by tcpdump.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// A filter in tcpdump's language.
    pub filter: String,
    /// At least so many; 0 without `at_most` means none at all.
    pub at_least: u64,
    /// At most so many.
    #[serde(default)]
    pub at_most: Option<u64>,
}

impl Scenario {
    /// Whether a container shares the host's network, so that the host's own flows could be a container's.
    pub fn shares_host(&self) -> bool {
        let started = self.actions.iter().filter_map(|action| match action {
            Action::Run(container) | Action::RunToEnd(container) => Some(&**container),
            _ => None,
        });
        self.containers.iter().chain(started).any(|container| container.host_network)
    }
}

impl Proof {
    /// Whether a number of packets is as told.
    pub fn holds(&self, packets: u64) -> bool {
        let most = self.at_most.unwrap_or(if self.at_least == 0 { 0 } else { u64::MAX });
        (self.at_least..=most).contains(&packets)
    }
}

/// Reads every scenario of a folder, in order of name.
pub fn load_all(folder: &Path) -> Result<Vec<Scenario>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let scenarios = paths.iter().map(|path| load(path)).collect::<Result<Vec<_>>>()?;
    for scenario in &scenarios {
        let twin = scenarios.iter().find(|other| other.name == scenario.twin);
        ensure!(twin.is_some(), "{}: there is no scenario {:?} to be its twin", scenario.name, scenario.twin);
    }
    Ok(scenarios)
}

fn load(path: &Path) -> Result<Scenario> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut scenario: Scenario =
        serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    scenario.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(scenario)
}
