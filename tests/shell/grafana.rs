//! The Grafana dashboard: every expression is one that Prometheus takes, and asks for metrics and labels that the metrics page has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use hopwatch::serve::metrics;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What Prometheus adds to every series, and what a histogram has.
const ADDED: [&str; 3] = ["instance", "job", "le"];

fn dashboard() -> Value {
    let text = std::fs::read_to_string(root().join("config/grafana/hopwatch.json")).expect("the dashboard");
    serde_json::from_str(&text).expect("JSON")
}

/// The expressions of all panels, by the panel's title, and those of annotations.
fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let of = |owner: &Value, name: &str| Some((name.to_owned(), owner["expr"].as_str()?.to_owned()));
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut all = Vec::new();
    for panel in list(&dashboard["panels"]) {
        let title = panel["title"].as_str().expect("a title");
        all.extend(list(&panel["targets"]).iter().filter_map(|target| of(target, title)));
    }
    all.extend(list(&dashboard["annotations"]["list"]).iter().filter_map(|one| of(one, "annotation")));
    all
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The metrics that an expression names, each with the labels that it is selected by.
fn selectors(expression: &str) -> Vec<(String, Vec<String>)> {
    let words = expression.split(|c: char| !is_name(c));
    let metrics: BTreeSet<_> =
        words.filter(|word| word.starts_with("hopwatch_") || word.starts_with("process_")).collect();
    let found = |name: &str| {
        let after = expression.match_indices(name).map(|(at, _)| &expression[at + name.len()..]);
        let braces =
            after.filter(|rest| !rest.starts_with(is_name)).filter_map(|rest| rest.strip_prefix('{')?.split_once('}'));
        let labels = braces.flat_map(|(inside, _)| inside.split(',')).filter_map(|one| one.split(['=', '!']).next());
        labels.map(str::to_owned).collect()
    };
    metrics.into_iter().map(|name| (name.to_owned(), found(name))).collect()
}

/// As Grafana fills it in.
fn filled_in(expression: &str) -> String {
    ["$__rate_interval", "$instance", "$contract"]
        .iter()
        .zip(["5m", ".*", ".*"])
        .fold(expression.to_owned(), |text, (name, value)| text.replace(name, value))
}

#[test]
fn every_expression_asks_for_metrics_and_labels_that_there_are() {
    let known: BTreeMap<&str, &[&str]> = metrics::METRICS.iter().map(|metric| (metric.name, metric.labels)).collect();
    let dashboard = dashboard();
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 40, "{}", expressions.len());
    for (panel, expression) in &expressions {
        for (name, labels) in selectors(expression) {
            let plain = name.trim_end_matches("_bucket");
            let Some(has) = known.get(plain) else { panic!("{panel}: no metric is called {name}") };
            for label in labels {
                let is_there = has.contains(&label.as_str()) || ADDED.contains(&label.as_str());
                assert!(is_there, "{panel}: {name} has no label {label}");
            }
        }
    }
}

#[test]
fn every_metric_that_a_person_on_call_needs_is_on_it() {
    let dashboard = dashboard();
    let all: String = expressions(&dashboard).into_iter().map(|(_, expression)| expression).collect();
    for name in ["path_flows_total", "alerts_total", "alerts_undelivered_total", "dropped_packets_total", "rule_blind"]
    {
        assert!(all.contains(&format!("hopwatch_{name}")), "{name}");
    }
}

#[test]
fn panels_have_numbers_of_their_own_and_do_not_overlap() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a place"));
        assert!(x + w <= 24, "{panel}");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{} lies over another panel", panel["title"]);
        }
    }
}

#[test]
fn prometheus_takes_every_expression() {
    let dashboard = dashboard();
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, (_, expression)) in expressions(&dashboard).iter().enumerate() {
        let expression = serde_json::to_string(&filled_in(expression)).expect("a text");
        writeln!(rules, "      - {{record: \"panel_{number}\", expr: {expression}}}").expect("written");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("dashboard.yaml");
    std::fs::write(&file, rules).expect("written");
    match Command::new("promtool").args(["check", "rules"]).arg(&file).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{said}");
        }
        Err(_) => println!(
            "skipped: prometheus_takes_every_expression: promtool is not installed (Debian package prometheus)"
        ),
    }
}
