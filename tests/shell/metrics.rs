//! The metrics page: every series is there, both formats are what they claim, hostile text stays text.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hopwatch::engine::LatencyHistogram;
use hopwatch::flow::PointCounters;
use hopwatch::input::ObservationPoint;
use hopwatch::serve::{PointTable, SinkSnapshot, Snapshot, metrics};

fn snapshot() -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    let points = PointTable::default();
    for number in 0..300_u64 {
        let counters = PointCounters { packets: 1000 - number, ..PointCounters::default() };
        points.update(&ObservationPoint::new(&format!("veth{number}")), counters);
    }
    let hostile = PointCounters {
        packets: 5000,
        frame_bytes: 64,
        dropped: BTreeMap::from([("kernel", 3)]),
        evicted_fragments: 3,
        refused_payloads: 4,
        claims_withheld: 6,
        active_flows: 2,
        ..PointCounters::default()
    };
    points.update(&ObservationPoint::new("br-\"}\n# HELP x \\"), hostile);
    snapshot.points = points.scrape();
    let lost = vec![("queue_full", 9), ("run_ended", 0)];
    let sink = SinkSnapshot { delivered: 8, undelivered: lost, waiting: 1, ..SinkSnapshot::default() };
    snapshot.sinks.insert("stdout".to_owned(), sink);
    snapshot.process = hopwatch::serve::ProcessStats::read();
    snapshot.engine.path_flows.insert((Arc::from("egress"), "bypassed", ""), 7);
    snapshot.engine.runtimes.insert(hopwatch::input::RuntimeId::DOCKER, true);
    snapshot.at = hopwatch::time::Timestamp::from_secs(100);
    snapshot.engine.reconciled.insert(hopwatch::input::RuntimeId::DOCKER, hopwatch::time::Timestamp::from_secs(93));
    for number in 0..100_u32 {
        let user = hopwatch::input::RuntimeId::new(hopwatch::input::RuntimeKind::Podman, Some(1000 + number), 1);
        snapshot.readers.insert(user, vec![("events", 5), ("truncated", number.into())]);
    }
    snapshot.engine.exception_hits.insert("backup".to_owned(), 2);
    Arc::new(snapshot)
}

/// What `promtool check metrics` says, or why it cannot be asked.
fn promtool(page: &str) -> Result<(bool, String), String> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|_| "promtool is not installed (Debian package prometheus)".to_owned())?;
    child.stdin.take().expect("piped").write_all(page.as_bytes()).expect("write to promtool");
    let output = child.wait_with_output().expect("promtool ends");
    Ok((output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
}

#[test]
fn the_text_format_passes_promtool() {
    match promtool(&metrics::prometheus_text(snapshot()).expect("rendered")) {
        Ok((passed, said)) => assert!(passed, "{said}"),
        Err(why) => println!("skipped: the_text_format_passes_promtool: {why}"),
    }
}

/// promtool reads OpenMetrics as if it were text 0.0.4 and so misses the help of counters, which OpenMetrics describes under the
/// name without `_total`. Nothing else may be wrong; `tests/privileged/sniffer.rs` has a real Prometheus read this format.
#[test]
fn open_metrics_passes_promtool_but_for_the_help_of_counters() {
    match promtool(&metrics::open_metrics(snapshot()).expect("rendered")) {
        Ok((_, said)) => {
            let other: Vec<_> = said.lines().filter(|line| !line.ends_with("_total no help text")).collect();
            assert!(other.is_empty(), "{other:?}");
        }
        Err(why) => println!("skipped: open_metrics_passes_promtool_but_for_the_help_of_counters: {why}"),
    }
}

#[test]
fn every_declared_metric_has_its_series_from_the_start() {
    let page = metrics::prometheus_text(Arc::default()).expect("rendered");
    for metric in metrics::METRICS {
        assert!(page.contains(&format!("# TYPE {} ", metric.name)), "{}\n{page}", metric.name);
    }
    for rule in hopwatch::detect::rules::ALL {
        assert!(
            page.contains(&format!("hopwatch_alerts_total{{rule=\"{}\",severity=\"high\"}} 0", rule.name)),
            "{page}"
        );
    }
    assert!(page.contains("hopwatch_runtime_connected{runtime=\"docker\"} 0"));
}

#[test]
fn points_beyond_the_bound_are_summed_as_other() {
    let page = metrics::prometheus_text(snapshot()).expect("rendered");
    let of = |line: &&str| line.starts_with("hopwatch_packets_total{");
    let named = page.lines().filter(of).filter(|line| !line.contains("\"other\"")).count();
    assert!(named <= metrics::MAX_POINTS && page.lines().filter(of).count() == named + 1, "{named}");
    let total: u64 = page
        .lines()
        .filter(of)
        .map(|line| line.rsplit(' ').next().expect("a value").parse::<u64>().expect("a number"))
        .sum();
    assert_eq!(total, 5000 + (701..=1000).sum::<u64>());
}

#[test]
fn the_readers_of_runtimes_are_counted_and_their_labels_are_bounded() {
    let page = metrics::prometheus_text(snapshot()).expect("rendered");
    assert!(page.contains("hopwatch_runtime_reconcile_age_seconds{runtime=\"docker\"} 7\n"), "{page}");
    assert!(page.contains("hopwatch_runtime_reader_total{runtime=\"podman-1003\",event=\"truncated\"} 3\n"), "{page}");
    let series = page.lines().filter(|line| line.starts_with("hopwatch_runtime_reader_total{"));
    assert_eq!(series.count(), 64, "of 32 runtimes, two each");
}

#[test]
fn lost_alerts_and_the_process_itself_are_counted() {
    let page = metrics::prometheus_text(snapshot()).expect("rendered");
    for line in [
        "hopwatch_alerts_undelivered_total{sink=\"stdout\",reason=\"queue_full\"} 9\n",
        "hopwatch_alerts_delivered_total{sink=\"stdout\"} 8\n",
        "hopwatch_alerts_waiting{sink=\"stdout\"} 1\n",
        "result=\"withheld\"} 6\n",
        "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total ",
        "\nprocess_resident_memory_bytes ",
        "\nprocess_start_time_seconds ",
    ] {
        assert!(page.contains(line), "{line}{page}");
    }
}

#[test]
fn a_hostile_name_stays_inside_its_quotes() {
    let page = metrics::prometheus_text(snapshot()).expect("rendered");
    assert!(page.contains(r#"observation_point="br-\"}\n# HELP x \\""#), "{page}");
}

#[test]
fn open_metrics_ends_with_eof_and_the_text_format_does_not() {
    assert!(metrics::open_metrics(snapshot()).expect("rendered").ends_with("# EOF\n"));
    assert!(!metrics::prometheus_text(snapshot()).expect("rendered").contains("# EOF"));
}

#[test]
fn the_histogram_is_cumulative_and_ends_with_all() {
    let mut snapshot = Snapshot::default();
    let delays = LatencyHistogram { buckets: [1, 1, 2, 2, 2, 5, 5, 6], count: 7, sum: Duration::from_millis(9500) };
    snapshot.engine.verdict_seconds = delays;
    let page = metrics::prometheus_text(Arc::new(snapshot)).expect("rendered");
    let lines: Vec<_> = page.lines().filter(|line| line.starts_with("hopwatch_path_verdict_seconds")).collect();
    let bucket = |le: &str, count: u64| format!("hopwatch_path_verdict_seconds_bucket{{le=\"{le}\"}} {count}");
    let buckets = [("0.001", 1), ("0.05", 1), ("0.1", 2), ("0.2", 2), ("0.4", 2), ("0.6", 5), ("1.0", 5), ("5.0", 6)];
    let mut expected =
        vec!["hopwatch_path_verdict_seconds_sum 9.5".to_owned(), "hopwatch_path_verdict_seconds_count 7".to_owned()];
    expected.extend(buckets.iter().map(|(le, count)| bucket(le, *count)));
    expected.push(bucket("+Inf", 7));
    assert_eq!(lines, expected);
}

#[test]
fn a_hop_that_was_never_seen_is_zero() {
    let mut snapshot = Snapshot::default();
    let seen = hopwatch::time::Timestamp::from_secs(1_764_000_000);
    snapshot.engine.hops_seen = BTreeMap::from([(Arc::from("proxy"), Some(seen)), (Arc::from("vpn"), None)]);
    let page = metrics::prometheus_text(Arc::new(snapshot)).expect("rendered");
    assert!(page.contains("hopwatch_hop_last_seen_timestamp_seconds{hop=\"proxy\"} 1764000000\n"), "{page}");
    assert!(page.contains("hopwatch_hop_last_seen_timestamp_seconds{hop=\"vpn\"} 0\n"), "{page}");
}

/// Every name of a metric in a text.
fn named(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("hopwatch_")).map(str::to_owned).collect()
}

#[test]
fn every_metric_that_a_shipped_rule_or_expression_names_is_served() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus/hopwatch.rules.yaml");
    let rules = std::fs::read_to_string(rules).expect("the shipped rules");
    let reference = metrics::reference();
    let served = |name: &str| {
        metrics::METRICS.iter().any(|metric| {
            let of = |suffix: &str| name.strip_suffix(suffix) == Some(metric.name);
            metric.name == name
                || (metric.kind == metrics::Kind::Histogram && (of("_bucket") || of("_count") || of("_sum")))
        })
    };
    let names = [named(&rules), named(&reference)].concat();
    assert!(names.len() > 40);
    for name in names {
        assert!(served(&name), "{name}");
    }
}

#[test]
fn the_shipped_rules_fire_when_they_should() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prometheus/hopwatch.rules.test.yaml");
    match Command::new("promtool").args(["test", "rules"]).arg(tests).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{said}");
        }
        Err(_) => println!(
            "skipped: the_shipped_rules_fire_when_they_should: promtool is not installed (Debian package prometheus)"
        ),
    }
}

#[test]
fn the_reference_is_current() {
    crate::support::assert_current("docs/metrics.md", &metrics::reference());
}
