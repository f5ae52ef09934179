//! `image-drift`.

use std::sync::Arc;

use crate::baseline::{Compared, Known};
use crate::detect::params::rule_params;
use crate::detect::roll_out::RollOuts;
use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, Technique};
use crate::input::{RecordedFact, Workload, WorkloadState};
use crate::path::{Evidence, Selector};

rule_params! {
    /// Workloads whose image may change without an approval: builds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// The rule; it remembers what it reported of each service.
#[derive(Debug)]
struct ImageDrift {
    allowed: Vec<Selector>,
    reported: RollOuts,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    ImageDrift { allowed: params.allowed.clone(), reported: RollOuts::default() }
}

/// What differs.
struct Drift {
    severity: Severity,
    cause: String,
    evidence: Vec<Evidence>,
}

impl Rule for ImageDrift {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, _findings: &mut Findings) {
        self.reported.follow(context.timeline, fact);
    }

    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        let Some((baseline, compared)) = context.baseline.zip(context.compared) else { return };
        if workload.state == WorkloadState::Exited || Selector::any(&self.allowed, workload) {
            return self.reported.forget(&workload.id);
        }
        let drift = drift_of(compared);
        let cause: Vec<&str> = drift.iter().map(|drift| drift.cause.as_str()).collect();
        let report = self.reported.report(context.now, &compared.key, &workload.id, &cause);
        let Some((mut drift, report)) = drift.zip(report) else { return };
        drift.evidence.push(Evidence::new("baseline", format!("the baseline has serial {}", baseline.serial)));
        let at = workload.since.unwrap_or(context.now);
        let finding = Finding::of_workload(&META, at, workload, &drift.cause, drift.evidence);
        findings.push(Finding { severity: drift.severity, roll_out: report.roll_out, is_change: true, ..finding });
    }

    fn forgotten(&self) -> u64 {
        self.reported.refused()
    }
}

fn drift_of(compared: &Compared) -> Option<Drift> {
    let evidence = |kind: &'static str, text: String| vec![Evidence::new(kind, text)];
    if let Known::OtherImage(expected) = &compared.known {
        let (name, image) = (compared.key.name(), compared.key.repository());
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        let text = format!(
            "it says that it is of the service {name}, which comes from {}; its image is {image}; the one who starts a container writes \
             its labels and its name",
            expected.join(" or ")
        );
        let cause = format!("image {image}");
        return Some(Drift { severity: Severity::High, cause, evidence: evidence("image", text) });
    }
    if compared.known != Known::Enforced {
        return None;
    }
    let is_what_runs = |name: &str| matches!(name, "command" | "image.digest");
    let mut found = compared.deviations.iter().filter(|deviation| is_what_runs(deviation.field.name())).peekable();
    found.peek()?;
    let is_rolled_out = compared.key.name().is_managed();
    let mut drift = Drift { severity: Severity::Low, cause: String::new(), evidence: Vec::new() };
    for deviation in found {
        let is_command = deviation.field.name() == "command";
        let severity = if is_command || !is_rolled_out { Severity::Medium } else { Severity::Low };
        drift.severity = drift.severity.max(severity);
        drift.cause.push_str(&format!("{} {};", deviation.field, deviation.words()));
        drift.evidence.push(Evidence::new("setting", deviation.to_string()));
    }
    let how = if is_rolled_out {
        "its service is managed: a new version is rolled out like this; approve it when it was meant"
    } else {
        "no manager starts it: it was started by hand, or by a script"
    };
    drift.evidence.push(Evidence::new("service", format!("the service is {}; {how}", compared.key)));
    Some(drift)
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "image-drift",
    title: "A service runs another image or command than its baseline",
    severity: Severity::Low,
    techniques: &[Technique { name: "Implant Internal Image", v19: "T1525", v18: "T1525" }],
    ads: Ads {
        goal: "Detects a container that says it is of a known service and runs another image, another digest, or another command.",
        categorization: "Persistence: an image that was exchanged runs the attacker's program under the name, the network and the rights \
             of a known service.",
        strategy: "A service is known by the one who manages it (pod's controller, Compose, Swarm, systemd unit, pattern of the name) and by \
             its image's repository. A container with the name of a known service and another repository is high. Another digest of the \
             same repository is low where a manager rolls versions out, else medium; another entrypoint or command is medium. \
             Containers of a service that differ alike are one alert, with what the baseline has; those that follow within an hour are \
             counted in it, later ones add nothing. Works with a baseline only.",
        technical_context: "Labels and names are chosen by the one who starts a container, the digest is not. The runtime merges entrypoint \
             and command; values of arguments are compared as keyed hashes, so their change is seen and their text is not. Docker \
             reports an image's id where it has no repository digest: such an image was built on this host, and each build is another.",
        blind_spots: &[
            "Another program under the same digest: a volume over it, or a download at its start.",
            "An attacker who can push to the same repository: the new digest is reported as a roll-out, low.",
            "Under another key than the baseline's, arguments compare as set or not set.",
        ],
        assumptions: &["A baseline is configured and approved.", "Versions are approved as they are rolled out."],
        false_positives: &[
            "A new version that is rolled out before it is approved; `latest` that was pulled again.",
            "Images that are built on this host.",
        ],
        true_positives: &["image-exchanged"],
        benign_twins: &["image-approved"],
        priority: "High where another repository claims a service; low for a new version of the same one, so that roll-outs are seen and \
             approved, and nobody is woken.",
        response: &[
            "See what differs: `hopwatch baseline diff NAME`.",
            "Compare the digest with the registry's and with the pipeline that built it.",
            "Who started it? `docker inspect -f '{{json .Config.Labels}}' NAME` shows Compose's folder and files.",
            "If it is a planned version, `hopwatch baseline approve ID --why TEXT`.",
            "If nobody can explain it, `docker pause NAME`, and keep the image: `docker save`.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1525/",
            "https://docs.docker.com/reference/cli/docker/image/ls/#digests",
        ],
    },
};
