//! Runtimes that speak the Docker API: Docker and Podman.
//!
//! Contract: their words become workloads and networks in [`convert`], from a file of `docker inspect` as from a daemon's answer; [`reader`] asks daemons.

mod api;
mod configuration;
mod convert;
mod identity;
mod reader;

pub use self::api::{Container, Network};
pub use self::convert::{attach_by_network, from_inspect, from_network, referenced};
pub use self::reader::{
    DEFAULT_HOST, DockerOptions, DockerReader, MAX_ATTACHMENTS, MAX_LABEL_BYTES, MAX_LABELS, MAX_NAME,
};
