//! The metrics: one table that declares, renders and documents them.
//!
//! Contract: OpenMetrics 1.0 when asked for, else Prometheus text 0.0.4. Label values are escaped (the encoder does it) and their
//! number is bounded: at most [`MAX_POINTS`] observation points, the rest summed as `other`.
//! Design: a row of [`METRICS`] is a metric; `docs/metrics.md` is generated from the same rows.

mod samples;
mod table;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::Snapshot;
pub use super::points::MAX_POINTS;
use crate::engine::LatencyHistogram;
pub use table::METRICS;

/// One series of a metric.
struct Sample {
    labels: Vec<(&'static str, String)>,
    value: Number,
}

/// The value of a series.
enum Number {
    Whole(u64),
    Real(f64),
}

/// One metric.
pub struct Metric {
    /// Name as it is scraped.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Labels, in order.
    pub labels: &'static [&'static str],
    /// What it counts, and in which unit.
    pub help: &'static str,
    values: Values,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often something took at most so long.
    Histogram,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Where a metric's values come from.
enum Values {
    Plain(fn(&Snapshot) -> Vec<Sample>),
    LatencyHistogram(fn(&Snapshot) -> LatencyHistogram),
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metric").field("name", &self.name).finish_non_exhaustive()
    }
}

struct Labels<'a>(&'a [(&'static str, String)]);

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|label| {
            use prometheus_client::encoding::EncodeLabel as _;
            (label.0, label.1.as_str()).encode(encoder.encode_label())
        })
    }
}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Labels").field(&self.0).finish()
    }
}

#[derive(Debug)]
struct FromSnapshot(std::sync::Arc<Snapshot>);

impl Collector for FromSnapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(name, metric.help, None, kind)?;
            match metric.values {
                Values::LatencyHistogram(delays) => encode_delays(&mut family, &delays(&self.0))?,
                Values::Plain(samples) => {
                    samples(&self.0).iter().try_for_each(|sample| encode_sample(&mut family, metric.kind, sample))?;
                }
            }
        }
        Ok(())
    }
}

fn encode_sample(family: &mut MetricEncoder<'_>, kind: Kind, sample: &Sample) -> fmt::Result {
    if sample.labels.is_empty() {
        return encode_number(family, kind, &sample.value);
    }
    let labels = Labels(&sample.labels);
    encode_number(&mut family.encode_family(&labels)?, kind, &sample.value)
}

fn encode_number(series: &mut MetricEncoder<'_>, kind: Kind, value: &Number) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Number::Whole(value)) => series.encode_counter::<Labels<'_>, u64, u64>(value, None),
        (Kind::Counter, Number::Real(value)) => series.encode_counter::<Labels<'_>, f64, u64>(value, None),
        (_, Number::Whole(value)) => series.encode_gauge(&i64::try_from(*value).unwrap_or(i64::MAX)),
        (_, Number::Real(value)) => series.encode_gauge(value),
    }
}

/// The encoder adds the buckets up itself.
fn encode_delays(family: &mut MetricEncoder<'_>, delays: &LatencyHistogram) -> fmt::Result {
    let bounds = LatencyHistogram::BOUNDS.map(|millis| f64::from(millis) / 1000.0).into_iter().chain([f64::INFINITY]);
    let mut below = 0;
    let buckets = bounds.zip(delays.buckets.into_iter().chain([delays.count])).map(|(bound, up_to)| {
        let within = up_to.saturating_sub(below);
        below = up_to;
        (bound, within)
    });
    let buckets: Vec<_> = buckets.collect();
    family.encode_histogram::<Labels<'_>>(delays.sum.as_secs_f64(), delays.count, &buckets, None)
}

/// The snapshot in OpenMetrics 1.0.
pub fn open_metrics(snapshot: std::sync::Arc<Snapshot>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(FromSnapshot(snapshot)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// The snapshot in Prometheus text 0.0.4, where a counter is described under the name that it is scraped by.
pub fn prometheus_text(snapshot: std::sync::Arc<Snapshot>) -> Result<String, fmt::Error> {
    let text = open_metrics(snapshot)?;
    let mut out = String::with_capacity(text.len() + 1024);
    for line in text.lines().filter(|line| *line != "# EOF") {
        out.push_str(&described_by_full_name(line));
        out.push('\n');
    }
    Ok(out)
}

fn described_by_full_name(line: &str) -> String {
    let Some((keyword, rest)) = ["# HELP ", "# TYPE "].iter().find_map(|k| Some((*k, line.strip_prefix(k)?))) else {
        return line.to_owned();
    };
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let is_counter =
        METRICS.iter().any(|metric| metric.kind == Kind::Counter && metric.name.strip_suffix("_total") == Some(name));
    format!("{keyword}{name}{} {rest}", if is_counter { "_total" } else { "" })
}

/// Shares are not metrics: a share of counters is right over any stretch of time, a gauge only over the one that it was made with.
const SHARES: &str = r#"
Shares are made of counters, over the stretch of time that you choose:

| share | expression |
|---|---|
| of flows whose sender is known | `sum(rate(hopwatch_attributions_total{result=~"exact\|likely"}[5m])) / sum(rate(hopwatch_attributions_total[5m]))` |
| of covered flows that could be judged | `1 - sum by (contract) (rate(hopwatch_path_flows_total{verdict="unobservable"}[5m])) / sum by (contract) (rate(hopwatch_path_flows_total[5m]))` |
| of verdicts that were final within a second | `sum(rate(hopwatch_path_verdict_seconds_bucket{le="1.0"}[5m])) / sum(rate(hopwatch_path_verdict_seconds_count[5m]))` |
| seconds since a hop was last seen | `time() - (hopwatch_hop_last_seen_timestamp_seconds > 0)` |

Alerting rules on them: [hopwatch.rules.yaml](../config/prometheus/hopwatch.rules.yaml), tested by promtool. A dashboard for Grafana 10 and later: [hopwatch.json](../config/grafana/hopwatch.json); import it, and choose the Prometheus that scrapes
this page. A test holds that each of its expressions is taken by Prometheus and names metrics and labels of this page.
"#;

/// `docs/metrics.md`.
pub fn reference() -> String {
    let row = |metric: &Metric| {
        let kind = metric.kind.as_str();
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        format!("| `{}` | {kind} | {labels} | {} |\n", metric.name, metric.help)
    };
    let rows: String = METRICS.iter().map(row).collect();
    format!(
        "# Metrics\n\nServed at `/metrics` (default http://127.0.0.1:9921/metrics), in Prometheus text 0.0.4 or, when the scraper asks for \
         it, OpenMetrics 1.0.\nAt most {MAX_POINTS} observation points have series of their own; the others are summed as `other`, which never falls. An \
         interface that is gone\nis shown by one more scrape, and then has no series.\n\n\
         | metric | type | labels | what it counts |\n|---|---|---|---|\n{rows}{SHARES}"
    )
}
