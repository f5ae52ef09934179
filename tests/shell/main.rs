//! Tests of the shell that need no privileges: files, the command line, the configuration, fake runtimes.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "tests: a failure ends them")]

#[path = "../support/mod.rs"]
mod support;

mod alert_text;
mod alerts;
mod anomalies;
mod audit;
mod audit_page;
mod baseline;
mod benign;
mod capture_files;
mod cli;
mod config;
mod conformance;
mod container_files;
mod delivery;
mod docker_reader;
mod docs;
mod evidence;
mod exceptions;
mod export;
mod facts;
mod filter;
mod flows;
mod fuzz_regression;
mod grafana;
mod helm;
mod hostile_runtime;
mod init;
mod ipfix;
mod labels;
mod live_equals_replay;
mod metrics;
mod observe;
mod registry;
mod rules_command;
mod sbom;
mod scenarios;
mod setup;
mod severities;
mod site;
mod sweep;
mod terminal;
mod test_script;
mod verify;
mod verify_files;
mod verify_gaps;
mod verify_hidden;
