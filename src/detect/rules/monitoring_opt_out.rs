//! `monitoring-opt-out`.

use crate::baseline::Deviation;
use crate::detect::params::rule_params;
use crate::detect::posture::{Posture, PostureRule, Signal};
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::input::{Configuration, Setting, Workload};
use crate::inventory::configuration::{Field, is_hook_variable, is_switch, is_telemetry_variable};
use crate::path::Selector;

rule_params! {
    /// Workloads that may opt out: the collectors themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// Labels and annotations that take a workload out of collection, with the value that does.
const LABELS: [(&str, &str, &str); 8] = [
    ("sidecar.istio.io/inject", "false", "Istio adds no sidecar"),
    ("linkerd.io/inject", "disabled", "Linkerd adds no sidecar"),
    ("prometheus.io/scrape", "false", "Prometheus does not scrape it"),
    ("fluentbit.io/exclude", "true", "Fluent Bit does not read its log"),
    ("co.elastic.logs/enabled", "false", "Elastic's collectors do not read its log"),
    ("co.elastic.metrics/enabled", "false", "Elastic's collectors do not read its metrics"),
    ("logspout.exclude", "true", "logspout does not read its log"),
    ("com.datadoghq.ad.logs_exclude", "true", "Datadog's agent does not read its log"),
];

/// Beginnings of annotations that take traffic past a sidecar.
const EXCLUDED_TRAFFIC: &str = "traffic.sidecar.istio.io/exclude";

/// Variables that switch telemetry off, with the values that do.
const VARIABLES: [(&str, &[&str], &str); 9] = [
    ("OTEL_SDK_DISABLED", &["true"], "OpenTelemetry is off"),
    ("OTEL_TRACES_EXPORTER", &["none"], "OpenTelemetry exports no traces"),
    ("OTEL_METRICS_EXPORTER", &["none"], "OpenTelemetry exports no metrics"),
    ("OTEL_LOGS_EXPORTER", &["none"], "OpenTelemetry exports no logs"),
    ("DD_TRACE_ENABLED", &["false", "0"], "Datadog's tracer is off"),
    ("ELASTIC_APM_ENABLED", &["false"], "Elastic's agent is off"),
    ("ELASTIC_APM_ACTIVE", &["false"], "Elastic's agent is off"),
    ("NEW_RELIC_ENABLED", &["false"], "New Relic's agent is off"),
    ("LOGSPOUT", &["ignore"], "logspout does not read its log"),
];

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    PostureRule::new(POSTURE, &params.allowed)
}

/// What it says of settings.
pub(super) const POSTURE: Posture = Posture { rule: &META, signals, owns, drift, needed_by_sensor: false };

fn owns(field: &Field) -> bool {
    match (field.name(), field.in_group()) {
        ("environment", Some(name)) => is_telemetry_variable(name) || is_hook_variable(name),
        ("annotations", Some(name)) => is_switch(name),
        ("labels", _) | ("handler", None) => true,
        _ => false,
    }
}

/// Code that is loaded before the program's own, and another runtime below the runtime, may take monitors out.
const fn drift(_deviation: &Deviation) -> Severity {
    Severity::Medium
}

fn signals(workload: &Workload, configuration: &Configuration) -> Vec<Signal> {
    let labels = workload.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let annotations = configuration.annotations.iter();
    let annotations = annotations.filter_map(|(name, value)| Some((name.as_str(), value.clear()?)));
    let labels = labels.filter_map(|(name, value)| by_label("labels", name, value));
    let annotations = annotations.filter_map(|(name, value)| by_label("annotations", name, value));
    let mut all: Vec<Signal> = labels.chain(annotations).collect();
    for (name, off, what) in VARIABLES {
        let value = configuration.variable(name).and_then(Setting::clear);
        if let Some(value) = value.filter(|value| off.contains(&value.trim().to_ascii_lowercase().as_str())) {
            let field = Field::member("environment", name);
            all.push(Signal::new(name, field, Severity::Medium, format!("{name} is {value}: {what}")));
        }
    }
    all
}

fn by_label(group: &'static str, name: &str, value: &str) -> Option<Signal> {
    let (field, value) = (Field::member(group, name), value.trim());
    if name.starts_with(EXCLUDED_TRAFFIC) && !value.is_empty() {
        let text = format!("{name} is {value}: this traffic bypasses Istio's sidecar");
        return Some(Signal::new(name, field, Severity::Medium, text));
    }
    let matches = |(known, off, _): &&(&str, &str, &str)| *known == name && value.eq_ignore_ascii_case(off);
    let (_, _, what) = LABELS.iter().find(matches)?;
    Some(Signal::new(name, field, Severity::Medium, format!("{name} is {value}: {what}")))
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "monitoring-opt-out",
    title: "A container takes itself out of monitoring",
    severity: Severity::Medium,
    techniques: &[Technique { name: "Disable or Modify Tools", v19: "T1685", v18: "T1562.001" }],
    ads: Ads {
        goal: "Detects labels, annotations and variables by which a container tells collectors, sidecars and tracers to leave it out.",
        categorization: "Defense Evasion: the one who starts a container writes its labels, and so end its monitoring without touching \
             the monitor.",
        strategy: "Labels, annotations and variables of each inspect are compared with the opt-out switches of Istio, Linkerd, \
             Prometheus, Fluent Bit, Elastic, Datadog, New Relic, logspout and OpenTelemetry. All of a service are one alert, once. For a service of the baseline \
             the same labels and variables, variables that load code before the program's own (LD_PRELOAD and the like), and the runtime \
             below the runtime are compared with it.",
        technical_context: "Collectors that discover containers ask these switches first. `traffic.sidecar.istio.io/exclude…` takes \
             single ports and ranges past the sidecar; what then leaves is judged by the path rules where a contract asks for a sidecar.",
        blind_spots: &[
            "An opt-out in the collector's own configuration.",
            "Switches of collectors that are not on the list.",
            "Variables that an image sets in a start script.",
        ],
        assumptions: &[
            "The runtime's inspect can be read.",
            "The collectors' own containers are on the list of allowed workloads.",
        ],
        false_positives: &[
            "Collectors that leave themselves out, so that they do not read their own log.",
            "Jobs and debug containers without telemetry.",
        ],
        true_positives: &["monitoring-opt-out"],
        benign_twins: &["monitoring-opt-in"],
        priority: "Medium: a switch that many use for good reasons; look at who set it.",
        response: &[
            "Who started it, and is the switch in the repository that deploys it?",
            "Read the switches: `docker inspect -f '{{json .Config.Labels}}' NAME`.",
            "Look at what it does while nobody watches: `hopwatch flows`, `docker logs NAME`.",
            "If it may opt out, add it to rules.monitoring-opt-out.allowed, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1562/001/",
            "https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/",
            "https://istio.io/latest/docs/reference/config/annotations/",
        ],
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testing::workload;
    use crate::inventory::configuration::{Scope, variables};

    fn names(labels: &[(&str, &str)], environment: &[&str]) -> Vec<String> {
        let scope = Scope { key: None, service: "web" };
        let environment = variables(scope, environment.iter().copied());
        let configuration = Configuration { environment, ..Configuration::default() };
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let workload = Workload { labels, ..workload("web", 10) };
        signals(&workload, &configuration).into_iter().map(|signal| signal.name).collect()
    }

    #[test]
    fn each_switch_counts_with_its_value_only() {
        assert_eq!(names(&[("sidecar.istio.io/inject", "false")], &[]), ["sidecar.istio.io/inject"]);
        assert_eq!(names(&[("prometheus.io/scrape", "False")], &[]), ["prometheus.io/scrape"]);
        assert!(names(&[("sidecar.istio.io/inject", "true"), ("prometheus.io/scrape", "true")], &[]).is_empty());
        assert_eq!(names(&[], &["OTEL_SDK_DISABLED=TRUE", "OTEL_TRACES_EXPORTER=otlp"]), ["OTEL_SDK_DISABLED"]);
        let excluded = "traffic.sidecar.istio.io/excludeOutboundPorts";
        assert_eq!(names(&[(excluded, "443")], &[]), [excluded]);
    }
}
