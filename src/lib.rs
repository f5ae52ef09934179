//! hopwatch answers one question for every container on a host: did this traffic pass the hops it was supposed to pass?
//!
//! The map of the crate, in the order the data passes:
//!
//! | module | room |
//! |---|---|
//! | [`time`], [`input`] | event time, and the facts that everything speaks of. Pure |
//! | `observe` | live interfaces and capture files → packets; the recorder's file (shell) |
//! | [`decode`] → [`flow`] | bytes → headers → flow events. Pure |
//! | [`wording`] | counts in the texts that people read. Pure |
//! | [`names`] | which names addresses have, for the actor that asked. Pure |
//! | `host` | what the kernel shows: interfaces, namespaces, sockets, processes, connection tracking, firewall, log files (shell) |
//! | [`inventory`] | who owned which address when (pure), and the readers of the runtimes (shell) |
//! | [`path`] → [`detect`] → [`alert`] → [`incident`] | contracts and verdicts → rules and findings → alerts → their chains. Pure |
//! | [`baseline`] | what each service is expected to be set up like. Pure |
//! | [`engine`] | owns the state of all these; inputs in, alerts out. Pure |
//! | [`evidence`] | what an alert leaves behind: recent packets and facts, manifests and their chain. Pure |
//! | [`respond`] | what can be done about an alert: planned (pure), sent and written down (shell) |
//! | `config` | the configuration: file → checked values (shell) |
//! | `serve`, `view`, `report`, `export`, `judged_flows`, `sweep` | metrics and health, `hopwatch top`, proofs of a path, flow records and judged flows as text, who else shows what an alert shows (shell) |
//! | `deliver` | the outbox of alerts, and what they are sent to (shell) |
//! | `app`, `cli` | threads, channels and signals; subcommands (shell) |
//! | `sandbox` | what a live run gives up once it has started (shell) |
//! | `clock`, `sync`, `escape`, `layout`, `sink_counters` | clocks, locks, hostile text made safe, text that fits the terminal, what sinks took (shell) |
//!
//! `ARCHITECTURE.md` says more; `tests/core/architecture.rs` holds which room may use which.

pub mod alert;
#[cfg(feature = "shell")]
pub mod app;
pub mod baseline;
#[cfg(feature = "shell")]
pub mod cli;
#[cfg(feature = "shell")]
pub mod clock;
#[cfg(feature = "shell")]
pub mod config;
pub mod decode;
#[cfg(feature = "live")]
pub mod deliver;
pub mod detect;
pub mod engine;
#[cfg(feature = "shell")]
pub mod escape;
pub mod evidence;
#[cfg(feature = "shell")]
pub mod export;
pub mod flow;
#[cfg(feature = "live")]
pub mod host;
pub mod incident;
pub mod input;
pub mod inventory;
#[cfg(feature = "shell")]
pub mod judged_flows;
#[cfg(feature = "shell")]
pub mod layout;
pub mod names;
#[cfg(feature = "shell")]
pub mod observe;
pub mod path;
#[cfg(feature = "shell")]
pub mod report;
pub mod respond;
#[cfg(feature = "live")]
pub mod sandbox;
#[cfg(feature = "live")]
pub mod serve;
#[cfg(feature = "shell")]
pub mod sink_counters;
#[cfg(feature = "shell")]
pub mod spelling;
#[cfg(feature = "shell")]
pub mod sweep;
#[cfg(feature = "shell")]
pub mod sync;
pub mod time;
#[cfg(feature = "live")]
pub mod view;
pub mod wording;

#[cfg(test)]
extern crate self as hopwatch;
#[cfg(test)]
#[path = "../tests/support/engine_config.rs"]
mod engine_config;
#[cfg(test)]
#[path = "../tests/support/facts.rs"]
mod facts;
