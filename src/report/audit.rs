//! The posture of every container, for a person and for a program: `hopwatch.audit/1`.
//!
//! Contract: says how a container logs, who sees its traffic, which hops it must pass and whether that was seen, what of its settings is dangerous
//! or not as the baseline expects, and what hopwatch cannot see of it. What was not looked at is said, never left out. Limits: each text is
//! attacker-chosen and escaped by what prints it. Design: from what the engine knows at one moment; live no traffic is waited for.

mod cis;
mod html;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

pub use cis::CIS_VERSION;

use super::paths::{Paths, WorkloadView};
use crate::baseline::{Baseline, Compared, Known};
use crate::detect::{Severity, assess};
use crate::input::{Configuration, Workload, WorkloadId};
use crate::inventory::configuration::ServiceKey;
use crate::inventory::{KernelState, Timeline};
use crate::path::{PathState, Verdict};
use crate::time::Timestamp;

/// Services that one text names.
const NAMED: usize = 8;
/// Name and version of the shape.
pub const AUDIT_SCHEMA: &str = "hopwatch.audit/1";

/// All containers at one moment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Audit {
    /// Always `hopwatch.audit/1`.
    pub schema: &'static str,
    /// When.
    pub at: Timestamp,
    /// `live`, or `recording`: as it was at its end.
    pub source: &'static str,
    /// Serial number of the baseline; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<u64>,
    /// The benchmark that `cis` numbers are of.
    pub benchmark: &'static str,
    /// Running containers, the ones with the worst findings first.
    pub workloads: Vec<WorkloadAudit>,
    /// What hopwatch cannot see of this host.
    pub blind_spots: Vec<String>,
}

/// One container.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WorkloadAudit {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Its service.
    pub service: String,
    /// `expected`, `shadow`, `other image` or `unknown` in the baseline; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_baseline: Option<&'static str>,
    /// How it logs.
    pub logging: String,
    /// Where its traffic is seen, and who monitors it.
    pub monitored_by: Vec<String>,
    /// The hops that it must pass, by contract.
    pub paths: Vec<PathAudit>,
    /// The worst severity of its findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<Severity>,
    /// What is dangerous, and what is not as the baseline expects.
    pub findings: Vec<FindingAudit>,
    /// Items of the benchmark that it fails.
    pub cis: Vec<CisItem>,
    /// What hopwatch cannot see of it.
    pub blind_spots: Vec<String>,
}

/// A contract that covers a container.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PathAudit {
    /// The contract.
    pub contract: String,
    /// Its hops in order, alternatives joined by `or`.
    pub hops: Vec<String>,
    /// Whether each stage can be proven here.
    pub can_be_proven: bool,
    /// Whether it was seen: flows by verdict in a recording, when a hop was last seen; else `not looked at`.
    pub seen: String,
}

/// Something about a container's settings.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FindingAudit {
    /// How much it matters.
    pub severity: Severity,
    /// The rule that reports it.
    pub rule: &'static str,
    /// The field.
    pub field: String,
    /// What was found.
    pub text: String,
}

/// An item of the benchmark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CisItem {
    /// Its number in the benchmark that the audit names.
    pub number: &'static str,
    /// What it asks for.
    pub title: &'static str,
    /// What was found.
    pub found: String,
}

/// What an audit is made of.
#[derive(Debug)]
pub struct AuditInput<'a> {
    /// When.
    pub at: Timestamp,
    /// Whether it is of a recording.
    pub is_recording: bool,
    /// What services are expected to be like.
    pub baseline: Option<&'a Baseline>,
    /// Who runs.
    pub timeline: &'a Timeline,
    /// What verdicts rest on.
    pub path: &'a PathState,
    /// What proves each contract.
    pub paths: &'a Paths,
    /// Own flows of each workload by verdict, in the order of [`Verdict::LABELS`]; `None` where no traffic was read.
    pub verdicts: Option<&'a BTreeMap<WorkloadId, [u64; 4]>>,
}

impl Audit {
    /// Looks at every running container.
    pub fn new(input: &AuditInput<'_>) -> Self {
        let mut workloads: Vec<WorkloadAudit> =
            input.timeline.running().map(|workload| WorkloadAudit::new(input, workload)).collect();
        workloads.sort_by(|one, other| (other.worst, &one.name, &one.id).cmp(&(one.worst, &other.name, &other.id)));
        let mut blind_spots = input.paths.warnings.clone();
        if input.baseline.is_none() {
            blind_spots.push("no baseline is configured: only what is dangerous in itself is found".to_owned());
        }
        blind_spots.extend(input.baseline.and_then(|baseline| without_traffic(baseline, input.timeline)));
        if !input.is_recording {
            let text = "whether traffic keeps to its path is not looked at here: `hopwatch verify` and `hopwatch sniff` watch it";
            blind_spots.push(text.to_owned());
        }
        blind_spots.push(
            "what a process changes after the start of its container (mounts, resolv.conf, its own log level) is not in what the runtime reports"
                .to_owned(),
        );
        Self {
            schema: AUDIT_SCHEMA,
            at: input.at,
            source: if input.is_recording { "recording" } else { "live" },
            baseline: input.baseline.map(|baseline| baseline.serial),
            benchmark: CIS_VERSION,
            workloads,
            blind_spots,
        }
    }

    /// The worst severity of all findings.
    pub fn worst(&self) -> Option<Severity> {
        self.workloads.iter().filter_map(|workload| workload.worst).max()
    }

    /// The published JSON Schema.
    pub fn json_schema() -> serde_json::Value {
        super::paths::schema_of::<Self>()
    }
}

impl WorkloadAudit {
    fn new(input: &AuditInput<'_>, workload: &Workload) -> Self {
        let key = ServiceKey::of(workload);
        let compared = input.baseline.and_then(|baseline| Compared::of(baseline, workload));
        let findings: Vec<FindingAudit> = assess(workload, input.baseline)
            .into_iter()
            .map(|(rule, signal)| FindingAudit {
                severity: signal.severity,
                rule: rule.name,
                field: signal.field.to_string(),
                text: signal.text,
            })
            .collect();
        let configuration = workload.configuration.as_deref();
        let view = WorkloadView::new(input.timeline, workload, &input.timeline.is_watched(workload));
        Self {
            id: workload.id.to_string(),
            name: workload.name.clone(),
            image: workload.image.clone(),
            service: key.to_string(),
            in_baseline: compared.map(|compared| match compared.known {
                Known::Enforced => "expected",
                Known::Shadow => "shadow",
                Known::OtherImage(_) => "other image",
                Known::Unknown => "unknown",
            }),
            logging: logging(configuration),
            monitored_by: monitored_by(input, workload, &view),
            paths: paths_of(input, workload),
            worst: findings.iter().map(|finding| finding.severity).max(),
            findings,
            cis: cis::failed(workload),
            blind_spots: blind_spots(workload, &view, input.timeline.kernel()),
        }
    }
}

/// The services whose traffic is compared with nothing.
fn without_traffic(baseline: &Baseline, timeline: &Timeline) -> Option<String> {
    let has_none = |key: &ServiceKey| baseline.service(key).is_none_or(|service| service.traffic.is_none());
    let services: BTreeSet<String> = timeline
        .running()
        .map(|workload| ServiceKey::of(workload))
        .filter(has_none)
        .map(|key| key.to_string())
        .collect();
    let named: Vec<&str> = services.iter().take(NAMED).map(String::as_str).collect();
    let more = services.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let text = "new destinations, peers, listening ports and fingerprints are not reported of";
    (!services.is_empty()).then(|| format!("there is no traffic baseline: {text} {}{more}", named.join(", ")))
}

/// Driver and destination, in a line.
fn logging(configuration: Option<&Configuration>) -> String {
    let Some(configuration) = configuration else { return "its runtime was not asked for its settings".to_owned() };
    let Some(logging) = &configuration.logging else { return "its runtime reports no log driver".to_owned() };
    let to = logging.options.iter().filter(|(name, _)| name.ends_with("address") || name.ends_with("url"));
    let to: String = to.map(|(_, value)| format!(" to {value}")).collect();
    match logging.driver.as_str() {
        "none" => "none: nothing that it writes is kept".to_owned(),
        driver => format!("{driver}{to}"),
    }
}

fn monitored_by(input: &AuditInput<'_>, workload: &Workload, view: &WorkloadView) -> Vec<String> {
    let mut all: Vec<String> = view.observation_points.iter().map(|point| format!("hopwatch at {point}")).collect();
    let hops = contracts_of(input, workload).flat_map(|contract| contract.stages.iter().flatten());
    for hop in hops.filter(|hop| !matches!(hop.kind, crate::path::HopKind::Endpoint)) {
        let who = if hop.workloads.is_empty() { String::new() } else { format!(": {}", hop.workloads.join(", ")) };
        let text = format!("{} {}{who}", format!("{:?}", hop.kind).to_lowercase(), hop.name);
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

fn contracts_of<'a>(
    input: &'a AuditInput<'_>,
    workload: &Workload,
) -> impl Iterator<Item = &'a super::paths::ContractView> + use<'a> {
    let id = workload.id.to_string();
    input.paths.contracts.iter().filter(move |contract| contract.workloads.iter().any(|one| one.id == id))
}

fn paths_of(input: &AuditInput<'_>, workload: &Workload) -> Vec<PathAudit> {
    let verdicts = input.verdicts.map(|all| all.get(&workload.id).copied().unwrap_or_default());
    contracts_of(input, workload)
        .map(|contract| {
            let last = contract.stages.iter().flatten().filter_map(|hop| hop.last_seen).max();
            let seen = match (verdicts, last) {
                (Some(counts), _) => {
                    let counts = Verdict::LABELS.iter().zip(counts).filter(|(_, count)| *count > 0);
                    let counts: Vec<String> = counts.map(|(label, count)| format!("{count} {label}")).collect();
                    if counts.is_empty() {
                        "no flow was judged".to_owned()
                    } else {
                        format!("its flows: {}", counts.join(", "))
                    }
                }
                (None, Some(last)) => format!("a hop was last seen at {}", last.readable()),
                (None, None) => "not looked at".to_owned(),
            };
            PathAudit {
                contract: contract.name.clone(),
                hops: contract
                    .stages
                    .iter()
                    .map(|hops| hops.iter().map(|hop| hop.name.as_str()).collect::<Vec<_>>().join(" or "))
                    .collect(),
                can_be_proven: contract.whole,
                seen,
            }
        })
        .collect()
}

fn blind_spots(workload: &Workload, view: &WorkloadView, kernel: &KernelState) -> Vec<String> {
    let mut all: Vec<String> = view.unseen.iter().map(|unseen| format!("{}; {}", unseen.why, unseen.fix)).collect();
    match view.observation {
        "unknown" => all.push("it is not known where its traffic passes".to_owned()),
        "unwatched" if view.unseen.is_empty() => all.push("its traffic is not seen".to_owned()),
        _ => {}
    }
    if kernel.rights(workload).is_none() {
        all.push("what its first process may do, and what is mounted for it, is its runtime's word alone".to_owned());
    }
    let omitted = kernel.mounts(workload).map_or(0, |seen| seen.now.omitted);
    if omitted > 0 {
        all.push(format!(
            "{omitted} of the mounts over its logs, certificates and resolver are not read: there are too many"
        ));
    }
    let Some(configuration) = &workload.configuration else {
        all.push("its settings are not known: its runtime did not report them".to_owned());
        return all;
    };
    let missing = [
        (configuration.logging.is_none(), "log driver"),
        (configuration.sysctls.is_none(), "sysctls"),
        (configuration.capabilities.is_none(), "capabilities"),
        (configuration.masked_paths.is_none(), "masked paths"),
    ];
    let missing: Vec<&str> = missing.into_iter().filter(|(is_missing, _)| *is_missing).map(|(_, what)| what).collect();
    if !missing.is_empty() {
        all.push(format!("its runtime does not report: {}", missing.join(", ")));
    }
    if !configuration.unread.is_empty() {
        let unread: Vec<&str> = configuration.unread.iter().map(String::as_str).collect();
        all.push(format!("parts of its settings that this version does not read: {}", unread.join(", ")));
    }
    all
}
