//! Tests of the pure core: they build and run with `--no-default-features`, too.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "tests: a failure ends them")]

#[path = "../support/mod.rs"]
mod support;

mod admission;
mod adversary;
mod architecture;
mod attribution;
mod baseline_approval;
mod bounds;
mod circles;
mod contacts;
mod decode;
mod determinism;
mod flood;
mod flow_facts;
mod flow_meter;
mod hop_evidence;
mod incidents;
mod names;
mod neighbour_claims;
mod oracle;
mod path;
mod payload_events;
mod payload_parsers;
mod reconfigure;
mod restart;
mod rules;
mod scorecard;
mod sensor_blinded;
mod translated_legs;
mod trust_claims;
mod tunnel_layers;
mod tunnels;
mod unknown_source;
mod verdict_log;
mod words;
