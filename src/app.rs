//! Wiring: sources to the engine, the engine to the sinks.
//!
//! Contract: the only place that knows threads, channels, signals and the wall clock together. Design: [`replay`] is one thread
//! from file to alert; [`live`] has threads
//! that capture, each with several points, one thread for the engine, one for each sink, and a small runtime for sockets.

pub mod audit;
pub mod baseline;
pub mod collector;
pub mod evidence;
pub mod first_configuration;
pub mod flows;
pub mod hash_key;
pub mod logging;
pub mod memory;
pub mod observe;
pub mod output;
pub mod paths;
pub mod recorder;
pub mod replay;
pub mod state_dir;
pub mod summary;
pub mod verify;

mod point_filters;
mod point_places;

#[cfg(feature = "live")]
pub mod doctor;
#[cfg(feature = "live")]
mod last_entries;
#[cfg(feature = "live")]
pub mod live;
#[cfg(feature = "live")]
pub mod on_host;
#[cfg(feature = "live")]
mod readers;
#[cfg(feature = "live")]
mod reorder;
#[cfg(feature = "live")]
pub mod runtime_snapshot;
#[cfg(feature = "live")]
mod screen;
#[cfg(feature = "live")]
pub mod top;
