//! `log-driver-changed`.

use crate::detect::params::rule_params;
use crate::detect::posture::{Posture, PostureRule, Signal};
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::input::{Configuration, Workload};
use crate::path::Selector;

rule_params! {
    /// Workloads whose output may be thrown away: jobs of a build server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    PostureRule::new(Posture { rule: &META, signals, owns: |field| field.starts_with("logging.") }, &params.allowed)
}

fn signals(_workload: &Workload, configuration: &Configuration) -> Vec<Signal> {
    let Some(logging) = &configuration.logging else { return Vec::new() };
    if logging.driver != "none" {
        return Vec::new();
    }
    vec![Signal::new("none", Severity::High, "its log driver is none: nothing that it writes is kept")]
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
             and start time, is critical: no call of the runtime can do that, so its files on the host were edited.",
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
        true_positives: &["log-driver-none"],
        benign_twins: &["log-driver-default"],
        priority: "High: what the container did cannot be read later. Critical where a running container's setting changed in place.",
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
