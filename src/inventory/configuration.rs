//! A container's settings: read, hashed, compared.
//!
//! Contract: pure; readers of each runtime use the parts here to make an [`input::Configuration`](crate::input::Configuration), rules
//! to compare two. Limits: those of each part. Design: what is a secret is decided in one place, [`secrets`], by a list of what is none.

mod bounds;
mod capabilities;
mod clear;
mod diff;
mod facets;
mod labels;
mod secrets;
mod service;
mod ulimits;
mod written;

pub use bounds::limit;
pub use capabilities::{ALL_CAPABILITIES, DOCKER_DEFAULT, PODMAN_DEFAULT, effective};
pub use clear::{
    command, is_hook_variable, is_proxy_variable, is_telemetry_variable, is_trust_variable, log_option, option_name,
    variables, without_credentials,
};
pub use diff::{Difference, differences};
pub use facets::{Facets, Field, GROUPS, SINGLE, UNSET, Value};
pub use labels::{annotation, hide_labels, is_switch};
pub use secrets::{HashKey, Redaction, Scope, ShownLabels, is_hidden};
pub use service::{ServiceKey, ServiceName};
pub use ulimits::ulimit;
