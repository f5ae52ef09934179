//! The rules about host network, namespaces, what is inside them and what flows say, driven by facts through the engine: true positive, benign twin,
//! facts in either order, no repetition of what was told.
#![allow(clippy::expect_used, missing_docs, reason = "a test: a failure ends it")]

mod support;

#[path = "rules/content.rs"]
mod content;
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
