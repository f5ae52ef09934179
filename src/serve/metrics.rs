//! The metrics: one table that declares, renders and documents them.
//!
//! Contract: OpenMetrics 1.0 when asked for, else Prometheus text 0.0.4. Label values are escaped (the encoder does it) and their
//! number is bounded: at most [`MAX_POINTS`] observation points, the rest summed as `other`.
//! Design: a row of [`METRICS`] is a metric; `docs/metrics.md` is generated from the same rows.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::{PointCounters, Snapshot};
use crate::decode::DecodeReason;
use crate::detect::Severity;
use crate::detect::rules;
use crate::engine::LatencyHistogram;
use crate::input::{MAX_RUNTIMES, MissedKind};
use crate::time::Timestamp;

/// Observation points with series of their own.
pub const MAX_POINTS: usize = 200;
/// Runtimes that are always shown, connected or not.
const RUNTIMES: [&str; 1] = ["docker"];

/// One series of a metric.
struct Sample {
    labels: Vec<(&'static str, String)>,
    value: u64,
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

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Snapshot) -> Vec<Sample>,
) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help, values: Values::Plain(samples) }
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Snapshot) -> Vec<Sample>,
) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help, values: Values::Plain(samples) }
}

const fn histogram(name: &'static str, help: &'static str, delays: fn(&Snapshot) -> LatencyHistogram) -> Metric {
    Metric { name, kind: Kind::Histogram, labels: &["le"], help, values: Values::LatencyHistogram(delays) }
}

/// Every metric, in the order of output.
pub static METRICS: &[Metric] = &[
    gauge("hopwatch_build_info", &["version"], "Always 1; the label names the running version", |_| {
        vec![sample([("version", env!("CARGO_PKG_VERSION"))], 1)]
    }),
    counter("hopwatch_packets_total", &["observation_point"], "Packets captured", |s| {
        each_point(s, |point, counters| vec![sample([("observation_point", point)], counters.packets)])
    }),
    counter(
        "hopwatch_frame_bytes_total",
        &["observation_point"],
        "Bytes of captured packets as they were on the wire",
        |s| each_point(s, |point, counters| vec![sample([("observation_point", point)], counters.frame_bytes)]),
    ),
    counter(
        "hopwatch_dropped_packets_total",
        &["observation_point", "reason"],
        "Packets lost before they were seen, and flow events lost behind the flow table (reason queue)",
        |s| {
            each_point(s, |point, counters| {
                let each = counters.dropped_by_reason();
                each.map(|(reason, n)| sample([("observation_point", point), ("reason", reason)], n)).collect()
            })
        },
    ),
    counter(
        "hopwatch_decode_errors_total",
        &["observation_point", "reason"],
        "Packets captured but not decoded",
        |s| {
            each_point(s, |point, counters| {
                let of = |reason: &str| counters.decode_errors.get(reason).copied().unwrap_or(0);
                let each = DecodeReason::ALL.into_iter().map(DecodeReason::as_str);
                each.map(|reason| sample([("observation_point", point), ("reason", reason)], of(reason))).collect()
            })
        },
    ),
    counter(
        "hopwatch_evicted_fragments_total",
        &["observation_point"],
        "Fragments not followed because there were too many at once; they count, without ports",
        |s| each_point(s, |point, counters| vec![sample([("observation_point", point)], counters.evicted_fragments)]),
    ),
    counter(
        "hopwatch_refused_payloads_total",
        &["observation_point"],
        "Payloads not read for names because too many flows were being looked at; their packets count",
        |s| each_point(s, |point, counters| vec![sample([("observation_point", point)], counters.refused_payloads)]),
    ),
    gauge("hopwatch_flows_active", &["observation_point"], "Flows held in the flow table now", |s| {
        each_point(s, |point, counters| vec![sample([("observation_point", point)], counters.flows_active)])
    }),
    counter(
        "hopwatch_path_flows_total",
        &["contract", "verdict", "reason"],
        "Flows that a path contract covers, by their first verdict; the reason is empty unless the verdict is unobservable",
        |s| {
            let flows = s.engine.path_flows.iter();
            flows
                .map(|((contract, verdict, reason), n)| {
                    sample([("contract", &**contract), ("verdict", verdict), ("reason", reason)], *n)
                })
                .collect()
        },
    ),
    counter(
        "hopwatch_path_flows_revised_total",
        &["contract", "from", "to"],
        "Verdicts that were revised; hopwatch_path_flows_total counts the first verdict of each flow",
        |s| {
            let mut revised = BTreeMap::<_, u64>::new();
            for ((contract, from, to), n) in &s.engine.revised {
                *revised.entry((&**contract, from.as_str(), to.as_str())).or_default() += n;
            }
            let samples = revised.into_iter();
            samples
                .map(|((contract, from, to), n)| sample([("contract", contract), ("from", from), ("to", to)], n))
                .collect()
        },
    ),
    histogram(
        "hopwatch_path_verdict_seconds",
        "How long after its first packet the verdict on a flow that a contract covers was final",
        |s| s.engine.verdict_seconds,
    ),
    gauge(
        "hopwatch_hop_last_seen_timestamp_seconds",
        &["hop"],
        "When a flow was last proven to have passed the hop, in seconds since 1970; 0: never since the start",
        |s| {
            let seconds = |at: &Option<Timestamp>| at.map_or(0, |at| at.since(Timestamp::from_secs(0)).as_secs());
            s.engine.hops_seen.iter().map(|(hop, at)| sample([("hop", &**hop)], seconds(at))).collect()
        },
    ),
    counter(
        "hopwatch_alerts_total",
        &["rule", "severity"],
        "Alerts raised; counted updates of an alert are not counted here",
        |s| {
            let all = rules::ALL.iter().flat_map(|rule| Severity::ALL.map(|severity| (rule.name, severity)));
            let raised = |key| s.engine.alerts.get(&key).copied().unwrap_or(0);
            all.map(|key| sample([("rule", key.0), ("severity", key.1.as_str())], raised(key))).collect()
        },
    ),
    counter(
        "hopwatch_exception_hits_total",
        &["exception"],
        "Findings held back by an exception of the configuration",
        |s| s.engine.exception_hits.iter().map(|(name, n)| sample([("exception", name)], *n)).collect(),
    ),
    counter(
        "hopwatch_attributions_total",
        &["result", "how"],
        "Flows by how well their source is known, and how (empty unless it is a workload)",
        |s| {
            let all = s.engine.attributions.iter();
            all.map(|((result, how), n)| sample([("result", result), ("how", how)], *n)).collect()
        },
    ),
    counter(
        "hopwatch_kernel_missed_total",
        &["reason"],
        "What the look at the kernel could not see: sockets that came and went between two looks, processes gone or hidden …",
        |s| {
            let of = |kind: &MissedKind| s.engine.kernel_missed.get(kind).copied().unwrap_or(0);
            MissedKind::ALL.iter().map(|kind| sample([("reason", kind.as_str())], of(kind))).collect()
        },
    ),
    gauge(
        "hopwatch_conntrack_watched",
        &[],
        "1 while the kernel reports the host's address translation, else 0: the log says why",
        |s| vec![plain(u64::from(s.conntrack.host))],
    ),
    gauge(
        "hopwatch_conntrack_namespaces",
        &[],
        "Network namespaces whose address translation is read, the host's among them",
        |s| vec![plain(count(s.conntrack.namespaces))],
    ),
    gauge(
        "hopwatch_conntrack_bindings_active",
        &[],
        "Translated connections that stand, as far as they are remembered",
        |s| vec![plain(count(s.conntrack.bindings))],
    ),
    counter(
        "hopwatch_conntrack_bindings_total",
        &["event"],
        "Translations reported by the kernel's connection tracking: bound, and released",
        |s| {
            let all = [("bound", s.conntrack.bound), ("released", s.conntrack.released)];
            all.map(|(event, n)| sample([("event", event)], n)).into()
        },
    ),
    counter(
        "hopwatch_conntrack_messages_total",
        &[],
        "Messages of connection tracking, about translated connections and others",
        |s| vec![plain(s.conntrack.messages)],
    ),
    counter("hopwatch_conntrack_malformed_total", &[], "Messages of connection tracking that made no sense", |s| {
        vec![plain(s.conntrack.malformed)]
    }),
    counter(
        "hopwatch_conntrack_lost_total",
        &["reason"],
        "Losses of what connection tracking reported: kernel (times that a socket was full, each some events), queue (facts without room)",
        |s| {
            let all = [("kernel", s.conntrack.overruns), ("queue", s.conntrack.refused)];
            all.map(|(reason, n)| sample([("reason", reason)], n)).into()
        },
    ),
    counter("hopwatch_flows_forgotten_total", &[], "Flows forgotten early because too many were followed", |s| {
        vec![plain(s.engine.flows_forgotten)]
    }),
    counter("hopwatch_alerts_closed_early_total", &[], "Alerts closed early because too many were open", |s| {
        vec![plain(s.engine.alerts_closed_early)]
    }),
    gauge("hopwatch_inventory_workloads", &["state"], "Workloads remembered, by state", |s| {
        let all = s.engine.workloads.iter();
        all.map(|(state, n)| sample([("state", state)], u64::try_from(*n).unwrap_or(u64::MAX))).collect()
    }),
    gauge(
        "hopwatch_runtime_connected",
        &["runtime"],
        "1 while the runtime answers and its event stream is open, else 0",
        |s| {
            let known = s.engine.runtimes.iter().map(|(name, connected)| (name.to_string(), u64::from(*connected)));
            let mut all: std::collections::BTreeMap<_, _> = RUNTIMES.map(|name| (name.to_owned(), 0)).into();
            all.extend(known);
            all.into_iter()
                .take(MAX_RUNTIMES)
                .map(|(name, connected)| sample([("runtime", name.as_str())], connected))
                .collect()
        },
    ),
    counter(
        "hopwatch_runtime_event_gaps_total",
        &[],
        "How often a runtime stopped answering or its event stream was cut",
        |s| vec![plain(s.engine.runtime_event_gaps)],
    ),
    gauge(
        "hopwatch_runtime_reconcile_age_seconds",
        &["runtime"],
        "Seconds since the whole list of a runtime was last compared",
        |s| {
            let age = |at: &crate::time::Timestamp| s.at.since(*at).as_secs();
            let all = s.engine.reconciled.iter().take(MAX_RUNTIMES);
            all.map(|(runtime, at)| sample([("runtime", &runtime.to_string())], age(at))).collect()
        },
    ),
    counter(
        "hopwatch_runtime_reader_total",
        &["runtime", "event"],
        "What the reader of a runtime did and missed: events, events_ignored (unreadable), vanished (between list and look), \
         late (ended before the look), failed_requests, overflow (no room), unreadable (parts of an answer), labels_cut, texts_cut, truncated (texts and lists cut), foreign (spoke of \
         another runtime's workload), pids_refused (named another's process), veth_unknown, polls, reconnects, reconciles",
        |s| {
            let all = s.readers.iter().take(MAX_RUNTIMES);
            let each = |(runtime, counts): (&crate::input::RuntimeId, &Vec<(&'static str, u64)>)| {
                let runtime = runtime.to_string();
                counts
                    .iter()
                    .map(|(event, n)| sample([("runtime", &runtime), ("event", event)], *n))
                    .collect::<Vec<_>>()
            };
            all.flat_map(each).collect()
        },
    ),
];

fn sample<const N: usize>(labels: [(&'static str, &str); N], value: u64) -> Sample {
    Sample { labels: labels.map(|(name, value)| (name, value.to_owned())).into(), value }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

const fn plain(value: u64) -> Sample {
    Sample { labels: Vec::new(), value }
}

/// The busiest points one by one, and the sum of the others.
fn each_point(snapshot: &Snapshot, samples: impl Fn(&str, &PointCounters) -> Vec<Sample>) -> Vec<Sample> {
    let mut busiest: Vec<_> = snapshot.points.iter().collect();
    busiest.sort_by_key(|(name, counters)| (std::cmp::Reverse(counters.packets), (*name).clone()));
    let rest = busiest.split_off(busiest.len().min(MAX_POINTS));
    let mut all: Vec<_> = busiest.into_iter().flat_map(|(name, counters)| samples(name, counters)).collect();
    if !rest.is_empty() {
        let mut sum = PointCounters::default();
        for (_, counters) in rest {
            sum.add(counters);
        }
        all.extend(samples("other", &sum));
    }
    all
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
    let labels = Labels(&sample.labels);
    let mut series = family.encode_family(&labels)?;
    if kind == Kind::Counter {
        series.encode_counter::<Labels<'_>, u64, u64>(&sample.value, None)
    } else {
        series.encode_gauge(&i64::try_from(sample.value).unwrap_or(i64::MAX))
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

Alerting rules on them: [hopwatch.rules.yaml](../config/prometheus/hopwatch.rules.yaml), tested by promtool.
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
         it, OpenMetrics 1.0.\nAt most {MAX_POINTS} observation points have series of their own; the others are summed as `other`.\n\n\
         | metric | type | labels | what it counts |\n|---|---|---|---|\n{rows}{SHARES}"
    )
}
