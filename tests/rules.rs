//! The rules about host network, namespaces and what is inside them, driven by facts through the engine: true positive, benign twin,
//! facts in either order, no repetition of what was told.
#![allow(clippy::expect_used, missing_docs, reason = "a test: a failure ends it")]

mod support;

#[path = "rules/facts.rs"]
mod facts;
#[path = "rules/host_network.rs"]
mod host_network;
#[path = "rules/inside.rs"]
mod inside;
#[path = "rules/namespaces.rs"]
mod namespaces;
#[path = "rules/unmonitored.rs"]
mod unmonitored;
