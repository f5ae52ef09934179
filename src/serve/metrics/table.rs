//! The table of metrics: a row declares, computes and documents one.

use std::collections::{BTreeMap, BTreeSet};

use super::samples::{SINKS, count, each_point, each_sink, known, plain, sample, seconds};
use super::{Kind, Metric, Number, Sample, Values};
use crate::decode::DecodeReason;
use crate::detect::{Severity, rules};
use crate::engine::{Bound, LatencyHistogram};
use crate::input::{LossReason, MAX_RUNTIMES, MissedKind, RuntimeId};
use crate::sandbox::Part;
use crate::serve::Snapshot;
use crate::sink_counters::Undelivered;
use crate::time::Timestamp;

/// Runtimes that are always shown, connected or not.
const RUNTIMES: [&str; 1] = ["docker"];

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
        "Packets dropped before capture or hidden by a filter (reason filter), and flow events dropped after the flow table (reason queue)",
        |s| {
            each_point(s, |point, counters| {
                let of = |reason: &str| counters.dropped.get(reason).copied().unwrap_or(0);
                let each = LossReason::ALL.into_iter().map(LossReason::as_str);
                each.map(|reason| sample([("observation_point", point), ("reason", reason)], of(reason))).collect()
            })
        },
    ),
    counter(
        "hopwatch_decode_errors_total",
        &["observation_point", "reason"],
        "Packets captured but not decoded",
        |s| {
            each_point(s, |point, counters| {
                let of = |reason: &str| counters.not_decoded.get(reason).copied().unwrap_or(0);
                let each = DecodeReason::ALL.into_iter().map(DecodeReason::as_str);
                each.map(|reason| sample([("observation_point", point), ("reason", reason)], of(reason))).collect()
            })
        },
    ),
    counter(
        "hopwatch_evicted_fragments_total",
        &["observation_point"],
        "Fragments not tracked because there were too many at once; they are counted without ports",
        |s| each_point(s, |point, counters| vec![sample([("observation_point", point)], counters.evicted_fragments)]),
    ),
    counter(
        "hopwatch_refused_payloads_total",
        &["observation_point"],
        "Payloads not read for names because too many flows were being inspected; their packets are counted",
        |s| each_point(s, |point, counters| vec![sample([("observation_point", point)], counters.refused_payloads)]),
    ),
    counter(
        "hopwatch_evicted_flows_total",
        &["observation_point"],
        "Flows that ended early because the flow table was full",
        |s| each_point(s, |point, counters| vec![sample([("observation_point", point)], counters.evicted_flows)]),
    ),
    counter(
        "hopwatch_neighbour_claims_total",
        &["observation_point", "result"],
        "Claims of ARP and neighbour discovery: reported, withheld (the same one was reported shortly before), forgotten (too many addresses)",
        |s| {
            each_point(s, |point, counters| {
                let results = [
                    ("reported", counters.claims_reported),
                    ("withheld", counters.claims_withheld),
                    ("forgotten", counters.claims_forgotten),
                ];
                results.map(|(result, n)| sample([("observation_point", point), ("result", result)], n)).into()
            })
        },
    ),
    gauge("hopwatch_flows_active", &["observation_point"], "Flows in the flow table", |s| {
        each_point(s, |point, counters| vec![sample([("observation_point", point)], counters.active_flows)])
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
    gauge(
        "hopwatch_unjudged_bytes",
        &["contract", "reason"],
        "Bytes that covered workloads sent without a verdict: in unobservable flows (a revised verdict takes them out), in frames that belong to no flow \
         (a reason of hopwatch_decode_errors_total, or non_ip; the contract is empty where no workload has their MAC), and in flows that no contract \
         covers (not_covered)",
        |s| {
            let all = s.engine.unjudged.iter();
            all.map(|((contract, reason), n)| sample([("contract", &**contract), ("reason", reason.as_str())], n.bytes))
                .collect()
        },
    ),
    gauge("hopwatch_unjudged_packets", &["contract", "reason"], "Packets of hopwatch_unjudged_bytes", |s| {
        let all = s.engine.unjudged.iter();
        all.map(|((contract, reason), n)| sample([("contract", &**contract), ("reason", reason.as_str())], n.packets))
            .collect()
    }),
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
        "Time from a flow's first packet to its final verdict, for flows that a contract covers",
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
    gauge(
        "hopwatch_host_log_last_entry_timestamp_seconds",
        &["log"],
        "When the last entry of a log of the host was read, in seconds since 1970, told once a minute; a quiet host writes little, so how old is \
         too old is yours to say",
        |s| {
            let seconds = |at: Timestamp| at.since(Timestamp::from_secs(0)).as_secs();
            s.engine.host_logging.heard.all().map(|(part, log)| sample([("log", part)], seconds(log.last))).collect()
        },
    ),
    counter("hopwatch_alerts_total", &["rule", "severity"], "Alerts raised, without their updates", |s| {
        let all = rules::ALL.iter().flat_map(|rule| Severity::ALL.map(|severity| (rule.name, severity)));
        let raised = |key| s.engine.alerts.get(&key).copied().unwrap_or(0);
        all.map(|key| sample([("rule", key.0), ("severity", key.1.as_str())], raised(key))).collect()
    }),
    counter("hopwatch_alerts_delivered_total", &["sink"], "Alerts and updates that a sink took", |s| {
        each_sink(s, |sink| sink.delivered)
    }),
    counter(
        "hopwatch_alerts_undelivered_total",
        &["sink", "reason"],
        "Alerts and updates that a sink did not take: queue_full (it was too slow), sink_gone (its reader closed it), write_failed (until \
         the end of the run), run_ended (they still waited), refused (its receiver does not want it), too_old (tried for three days), \
         outbox_full (of too many that waited the oldest of the lowest severity), too_large",
        |s| {
            let none = Undelivered::ALL.map(|reason| (reason.as_str(), 0)).to_vec();
            let mut all: BTreeMap<&str, _> = SINKS.map(|name| (name, &none)).into();
            all.extend(s.sinks.iter().map(|(name, sink)| (name.as_str(), &sink.undelivered)));
            let each = all.into_iter().flat_map(|(name, undelivered)| undelivered.iter().map(move |n| (name, n)));
            each.map(|(name, (reason, n))| sample([("sink", name), ("reason", reason)], *n)).collect()
        },
    ),
    gauge("hopwatch_alerts_waiting", &["sink"], "Alerts and updates that wait for a sink now", |s| {
        each_sink(s, |sink| sink.waiting)
    }),
    counter("hopwatch_sink_failures_total", &["sink"], "Attempts to deliver that failed; they are repeated", |s| {
        each_sink(s, |sink| sink.failures)
    }),
    gauge(
        "hopwatch_sink_last_success_timestamp_seconds",
        &["sink"],
        "When the receiver of a configured sink last took something, in seconds since 1970; 0 while it has not in this run",
        |s| each_sink(s, |sink| seconds(sink.last_success)),
    ),
    gauge(
        "hopwatch_sink_oldest_waiting_timestamp_seconds",
        &["sink"],
        "Since when the oldest alert waits for a configured sink, in seconds since 1970; 0 while nothing waits",
        |s| each_sink(s, |sink| seconds(sink.oldest)),
    ),
    gauge(
        "hopwatch_rule_blind",
        &["rule"],
        "1 while an enabled rule cannot fire at the captured interfaces or with the rights of this process, else 0: /readyz says why",
        |s| {
            let is_blind = |rule: &str| u64::from(s.blind_rules.contains(rule));
            rules::ALL.iter().map(|rule| sample([("rule", rule.name)], is_blind(rule.name))).collect()
        },
    ),
    counter(
        "hopwatch_exception_hits_total",
        &["exception"],
        "Findings held back by an exception of the configuration",
        |s| {
            let hits = |name: &str| s.engine.exception_hits.get(name).copied().unwrap_or_default();
            let known = s.engine.exceptions_expire.keys().chain(s.engine.exception_hits.keys());
            let names: BTreeSet<&String> = known.collect();
            names.into_iter().map(|name| sample([("exception", name)], hits(name))).collect()
        },
    ),
    gauge(
        "hopwatch_exception_last_hit_timestamp_seconds",
        &["exception"],
        "When the exception last held back a finding, in seconds since 1970; 0: never since the start",
        |s| {
            let last = |name: &String| seconds(s.engine.exception_last_hits.get(name).copied());
            let known = s.engine.exceptions_expire.keys().chain(s.engine.exception_last_hits.keys());
            let names: BTreeSet<&String> = known.collect();
            names.into_iter().map(|name| sample([("exception", name)], last(name))).collect()
        },
    ),
    gauge(
        "hopwatch_exception_expires_timestamp_seconds",
        &["exception"],
        "When the exception expires, in seconds since 1970",
        |s| {
            let all = s.engine.exceptions_expire.iter();
            all.map(|(name, at)| sample([("exception", name)], seconds(Some(*at)))).collect()
        },
    ),
    counter(
        "hopwatch_attributions_total",
        &["result", "how"],
        "Flows by how well their source is known, and by which method (empty unless it is a workload)",
        |s| {
            let all = s.engine.attributions.iter();
            all.map(|((result, how), n)| sample([("result", result), ("how", how)], *n)).collect()
        },
    ),
    counter(
        "hopwatch_kernel_missed_total",
        &["reason"],
        "What a scan of the kernel could not see: sockets that came and went between two scans, processes gone or hidden …",
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
        "Translated connections that are open, as far as they are remembered",
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
        "Connection tracking messages, about translated connections and others",
        |s| vec![plain(s.conntrack.messages)],
    ),
    counter("hopwatch_conntrack_malformed_total", &[], "Connection tracking messages that could not be decoded", |s| {
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
    counter("hopwatch_flows_forgotten_total", &[], "Flows dropped early because too many were tracked", |s| {
        vec![plain(s.engine.flows_forgotten)]
    }),
    counter("hopwatch_alerts_closed_early_total", &[], "Alerts closed early because too many were open", |s| {
        vec![plain(s.engine.alerts_closed_early)]
    }),
    counter("hopwatch_incidents_total", &[], "Incidents written, updates not counted", |s| {
        vec![plain(s.engine.incidents.written)]
    }),
    counter("hopwatch_incident_steps_omitted_total", &[], "Steps of incidents that are counted and not listed", |s| {
        vec![plain(s.engine.incidents.omitted)]
    }),
    counter(
        "hopwatch_alerts_over_budget_total",
        &["rule"],
        "Findings that a summarising alert counted, because the rule had raised too many alerts about their sender (alerts.burst)",
        |s| {
            let of = |rule: &str| s.engine.alerts_over_budget.get(rule).copied().unwrap_or(0);
            rules::ALL.iter().map(|rule| sample([("rule", rule.name)], of(rule.name))).collect()
        },
    ),
    counter(
        "hopwatch_bound_reached_total",
        &["bound"],
        "How often something remembered was lost, or something new refused, because a bound was reached: flows followed, alerts open, incidents open, \
         workloads, spans (of time in which a workload owned something), networks and links, namespaces, sockets, kernel (packet sockets), \
         bindings (address translations), loss_windows (in which absence counts again), points, kept_contracts, senders (of what was not judged), names (of addresses), \
         rules (what single rules remember to compare with)",
        |s| {
            let of = |bound: &Bound| s.engine.bounds.get(bound).copied().unwrap_or(0);
            Bound::ALL.iter().map(|bound| sample([("bound", bound.as_str())], of(bound))).collect()
        },
    ),
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
            let mut all: BTreeMap<_, _> = RUNTIMES.map(|name| (name.to_owned(), 0)).into();
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
        "Seconds since the runtime's whole list was last reconciled",
        |s| {
            let age = |at: &Timestamp| s.at.since(*at).as_secs();
            let all = s.engine.reconciled.iter().take(MAX_RUNTIMES);
            all.map(|(runtime, at)| sample([("runtime", &runtime.to_string())], age(at))).collect()
        },
    ),
    counter(
        "hopwatch_runtime_reader_total",
        &["runtime", "event"],
        "What a runtime's reader did and missed: events, events_ignored (unreadable), vanished (between list and query), \
         late (ended before the query), failed_requests, overflow (no room), unreadable (parts of an answer), labels_cut, texts_cut, truncated (texts and lists cut), foreign (spoke of \
         another runtime's workload), pids_refused (named another's process), veth_unknown, polls, reconnects, reconciles",
        |s| {
            let all = s.readers.iter().take(MAX_RUNTIMES);
            let each = |(runtime, counts): (&RuntimeId, &Vec<(&'static str, u64)>)| {
                let runtime = runtime.to_string();
                counts
                    .iter()
                    .map(|(event, n)| sample([("runtime", &runtime), ("event", event)], *n))
                    .collect::<Vec<_>>()
            };
            all.flat_map(each).collect()
        },
    ),
    counter("process_cpu_seconds_total", &[], "Processor time that the process used, user and system", |s| {
        let value = s.process.cpu_seconds.map(Number::Real);
        value.map(|value| Sample { labels: Vec::new(), value }).into_iter().collect()
    }),
    counter(
        "hopwatch_flows_exported_total",
        &[],
        "Judged flows that were sent to the collector of `flows.ipfix`; over UDP nothing says whether it took them",
        |s| vec![plain(s.flow_export.exported)],
    ),
    counter(
        "hopwatch_flows_unexported_total",
        &["reason"],
        "Judged flows that were not: the collector is slower than the traffic (queue_full), or cannot be reached (collector)",
        |s| s.flow_export.lost.iter().map(|(reason, flows)| sample([("reason", reason)], *flows)).collect(),
    ),
    counter("hopwatch_evidence_bundles_total", &[], "Alerts whose evidence was written as a bundle", |s| {
        vec![plain(s.evidence.written)]
    }),
    counter("hopwatch_evidence_incomplete_total", &[], "Bundles that say that something is missing from them", |s| {
        vec![plain(s.evidence.incomplete)]
    }),
    counter(
        "hopwatch_evidence_not_kept_total",
        &["reason"],
        "Alerts without a bundle: the hour's or the total budget was spent, too many came at once, the disk refused, or there was one already",
        |s| s.evidence.not_kept.iter().map(|(why, count)| sample([("reason", why)], *count)).collect(),
    ),
    counter("hopwatch_evidence_removed_total", &[], "Bundles that left to stay within the total budget", |s| {
        vec![plain(s.evidence.removed)]
    }),
    gauge("hopwatch_evidence_bytes", &[], "Bytes of all bundles", |s| vec![plain(s.evidence.disk_bytes)]),
    gauge("hopwatch_evidence_ring_bytes", &[], "Memory of the rings of recent packets", |s| {
        vec![plain(s.evidence.ring_bytes)]
    }),
    gauge("hopwatch_config_info", &["sha256"], "Always 1; the label is the hash of the configuration in force", |s| {
        vec![sample([("sha256", &s.reloads.sha256)], 1)]
    }),
    counter("hopwatch_config_reloads_total", &["result"], "Times that the configuration was read again", |s| {
        vec![sample([("result", "success")], s.reloads.succeeded), sample([("result", "failure")], s.reloads.failed)]
    }),
    gauge(
        "hopwatch_config_last_reload_successful",
        &[],
        "0 when the last reload left the old configuration in force, else 1",
        |s| vec![plain(u64::from(!s.reloads.last_failed))],
    ),
    gauge(
        "hopwatch_config_last_reload_success_timestamp_seconds",
        &[],
        "When the configuration in force was read, in seconds since 1970",
        |s| vec![plain(seconds(s.reloads.read_at))],
    ),
    gauge(
        "hopwatch_sandbox_enforced",
        &["part"],
        "1 while a part of the sandbox is in force in every thread: landlock, seccomp, capabilities, no_new_privs, core_dumps; else 0, and the log says why",
        |s| {
            let is_enforced = |part| s.sandbox.is_some_and(|report| report.is_enforced(part));
            Part::ALL.into_iter().map(|part| sample([("part", part.as_str())], u64::from(is_enforced(part)))).collect()
        },
    ),
    gauge("process_resident_memory_bytes", &[], "Memory in use", |s| known(s.process.resident_bytes)),
    gauge("process_virtual_memory_bytes", &[], "Address space", |s| known(s.process.virtual_bytes)),
    gauge("process_open_fds", &[], "Open file descriptors", |s| known(s.process.open_fds)),
    gauge("process_max_fds", &[], "The limit of open file descriptors", |s| known(s.process.max_fds)),
    gauge("process_threads", &[], "Threads", |s| known(s.process.threads)),
    gauge("process_start_time_seconds", &[], "When the process started, in seconds since 1970", |s| {
        known(s.process.start_seconds)
    }),
];
