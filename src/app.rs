//! Wiring: sources to the engine, the engine to the sinks.
//!
//! Contract: the only place that knows threads, channels, signals and the wall clock together. Design: [`replay`] is one thread
//! from file to alert; [`live`] has threads
//! that capture, each with several points, one thread for the engine, one for each sink, and a small runtime for sockets.

pub mod audit;
pub mod baseline;
pub mod doctor;
pub mod evidence;
pub mod flows;
pub mod hash_key;
pub mod live;
pub mod logging;
pub mod memory;
pub mod output;
pub mod paths;
pub mod replay;
pub mod runtime_snapshot;
pub mod state_dir;
pub mod summary;
pub mod top;
pub mod verify;

mod point_places;
mod readers;
pub mod recorder;
mod reorder;
mod screen;
