//! Tests that need root, network namespaces or real container runtimes; each says why it skips where it cannot run.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "tests: a failure ends them")]

#[path = "../support/mod.rs"]
mod support;

mod baseline_live;
mod conntrack;
mod containerd;
mod delivery;
mod docker;
mod evidence;
mod firewall;
mod flood;
mod host_audit;
mod inside;
mod kernel;
mod live;
mod podman;
mod reload;
mod respond;
mod sandbox;
mod secrets;
mod sniffer;
mod terminal_output;
mod verify_live;
