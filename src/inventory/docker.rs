//! Runtimes that speak the Docker API: Docker and Podman.
//!
//! Contract: their words become workloads and networks in [`convert`], from a file of `docker inspect` as from a daemon's answer; [`reader`] asks daemons.

#[cfg_attr(not(feature = "live"), allow(dead_code, reason = "some of it is only asked of daemons"))]
mod api;
mod configuration;
#[cfg_attr(not(feature = "live"), allow(dead_code, reason = "some of it is only asked of daemons"))]
mod convert;
mod identity;
#[cfg(feature = "live")]
pub mod reader;

pub use self::api::{Container, Network};
pub use self::convert::{attach_by_network, from_inspect, from_network, referenced};
