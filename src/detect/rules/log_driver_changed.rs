//! `log-driver-changed`.
//!
//! Contract: the setting is reported at once; where its service's logs were on the wire before and the wire is quiet, the same alert rises and
//! has both witnesses. Design: [`PostureRule`] for the setting, [`Wire`] for what the daemon sends.

mod wire;

use std::sync::Arc;

use self::wire::{Found, Wire};
use crate::baseline::Deviation;
use crate::detect::log_shipping::Quiet;
use crate::detect::params::rule_params;
use crate::detect::posture::{Posture, PostureRule, Signal};
use crate::detect::roll_out::Report;
use crate::detect::{Ads, Context, Finding, Findings, HoldTime, Rule, RuleMeta, Severity, Technique};
use crate::input::{Configuration, FlowEvent, FlowEventKind, RecordedFact, Workload};
use crate::inventory::configuration::Field;
use crate::path::{Evidence, JudgedFlow, Selector};

/// The driver that throws output away.
const NONE: &str = "none";
/// The same as a difference from the baseline.
const DRIVER_NONE: &str = "logging.driver none";
const NOT_KEPT: &str = "its log driver is none: nothing that it writes is kept";

rule_params! {
    /// Workloads whose output may be thrown away: jobs of a build server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// How long the runtime must have sent nothing for a service whose driver became `none`; longer than `flows.update_interval`.
    silence: HoldTime = HoldTime::secs(120),
    /// How many flows the container must have opened meanwhile.
    #[schemars(range(min = 1))]
    min_flows: u64 = 5,
}

/// The rule.
#[derive(Debug)]
pub struct LogDriverChanged {
    posture: PostureRule,
    allowed: Vec<Selector>,
    wire: Wire,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    let quiet = Quiet { silence: params.silence.get(), min_flows: params.min_flows.max(1) };
    LogDriverChanged {
        posture: PostureRule::new(POSTURE, &params.allowed),
        allowed: params.allowed.clone(),
        wire: Wire::new(quiet),
    }
}

impl Rule for LogDriverChanged {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        self.posture.on_fact(context, fact, findings);
        self.wire.on_fact(context, fact);
    }

    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        self.posture.on_workload(context, workload, findings);
        let is_none = workload.configuration.as_deref().is_some_and(throws_away);
        if is_none && !Selector::any(&self.allowed, workload) {
            self.wire.mute(context, workload);
        }
    }

    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        if !flow.again {
            let found = self.wire.on_flow(context, flow, findings);
            self.report(found, findings);
        }
    }

    fn on_progress(&mut self, context: Context<'_>, flow: &JudgedFlow, event: &FlowEvent, _findings: &mut Findings) {
        let ended = matches!(event.kind, FlowEventKind::Ended(_));
        self.wire.on_progress(context, flow, &event.record, ended);
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        let found = self.wire.on_time(context);
        self.report(found, findings);
    }

    fn forgotten(&self) -> u64 {
        self.wire.forgotten()
    }
}

impl LogDriverChanged {
    /// The wire's word is a second witness of the setting: the same cause, one severity more.
    fn report(&self, found: Vec<Found>, findings: &mut Findings) {
        for (workload, at, wire) in found {
            let mut evidence = vec![Evidence::new("setting", NOT_KEPT)];
            evidence.extend(wire);
            let is_told = |report: &Report| report.names.iter().any(|name| name == NONE || name == DRIVER_NONE);
            let told = self.posture.counted(&workload.id).filter(is_told);
            let (cause, roll_out) =
                told.map_or_else(|| (NONE.to_owned(), None), |report| (report.cause(), report.roll_out));
            let finding = Finding::of_workload(&META, at, &workload, &cause, evidence);
            findings.push(Finding { severity: Severity::Critical, roll_out, ..finding });
        }
    }
}

fn throws_away(configuration: &Configuration) -> bool {
    configuration.logging.as_ref().is_some_and(|logging| logging.driver == NONE)
}

/// What it says of settings.
pub(super) const POSTURE: Posture = Posture { rule: &META, signals, owns, drift, needed_by_sensor: false };

fn owns(field: &Field) -> bool {
    matches!(field.name(), "logging.driver" | "logging.options")
}

/// Sizes and formats matter little; where the output goes, and whether it is lost when the collector is slow, matters.
fn drift(deviation: &Deviation) -> Severity {
    match deviation.field.in_group() {
        Some("max-size" | "max-file" | "compress" | "tag" | "labels" | "env" | "syslog-format") => Severity::Low,
        Some("mode" | "max-buffer-size" | "cache-disabled" | "fluentd-async" | "fluentd-async-connect") => {
            Severity::Medium
        }
        _ => Severity::High,
    }
}

fn signals(_workload: &Workload, configuration: &Configuration) -> Vec<Signal> {
    if !throws_away(configuration) {
        return Vec::new();
    }
    vec![Signal::new(NONE, Field::single("logging.driver"), Severity::High, NOT_KEPT)]
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "log-driver-changed",
    title: "A container's output is not logged, or is logged elsewhere",
    severity: Severity::High,
    techniques: &[Technique { name: "Disable or Modify Tools", v19: "T1685", v18: "T1562.006" }],
    ads: Ads {
        goal: "Detects a container whose output the runtime throws away, or whose log driver or log destination changed while it \
             ran.",
        categorization: "Defense Evasion: impairing the collection of indicators.",
        strategy: "The log driver in force is read from each inspect: the runtime merges its default in when it creates a container. \
             Driver `none` is reported once a service. A driver or option that differs from the container's own start, under one id \
             and start time, is critical: no call of the runtime can do that, so its files on the host were edited. Where the runtime sent \
             the service's logs to a collector before, and sends nothing for `silence` while the container with driver `none` opens \
             `min_flows` connections, the quiet wire is the second witness: the same alert rises to critical. For a service of \
             the baseline each driver and option that differs from it is reported once: where the output goes is high, whether it \
             may be lost medium, sizes and formats low; a driver `none` that was approved is not reported.",
        technical_context: "`docker run --log-driver none` leaves no trace of what the program prints; `docker logs` fails and a \
             collector that reads the runtime's files sees nothing. Editing `hostconfig.json` while the daemon is down (with \
             live-restore) does the same to a running container without any event. Values of options that may hold tokens are \
             compared as keyed hashes and never shown.",
        blind_spots: &[
            "A program that writes to /dev/null, or whose own log level is lowered, has unchanged settings.",
            "containerd and CRI do not report a log driver; nothing is said of their containers.",
            "A change of driver from one container to its successor is a roll-out; it is not compared without a baseline.",
        ],
        assumptions: &[
            "The runtime's inspect can be read.",
            "Jobs that may discard their output are on the list of allowed ones.",
        ],
        false_positives: &[
            "Short-lived jobs of a build server that discard their output on purpose.",
            "Local development.",
        ],
        true_positives: &["log-driver-none", "log-driver-none-quiet", "log-address-moved"],
        benign_twins: &["log-driver-default", "log-address-kept"],
        priority: "High: what the container did cannot be read later. Critical where a running container's setting changed in place, and where \
             the wire shows that logs stopped.",
        response: &[
            "Who started it? Look at the orchestrator's history, or at the shell history of the host.",
            "Read the setting: `docker inspect -f '{{json .HostConfig.LogConfig}}' NAME`.",
            "Look at what it does now: its flows in `hopwatch flows`, its processes in `docker top NAME`.",
            "If nobody can explain it, `docker pause NAME`, and keep the container as evidence.",
            "If it may discard its output, add it to rules.log-driver-changed.allowed, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1562/006/",
            "https://docs.docker.com/engine/logging/configure/",
        ],
    },
};
