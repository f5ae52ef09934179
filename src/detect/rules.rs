//! The registry: one line a rule.
//!
//! Contract: order here is the order of output. Each rule's file holds its code, its parameters and its strategy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! registry {
    ($($module:ident = $name:literal,)*) => {
        $(pub mod $module;)*

        /// The parameters of every rule, as the configuration's `rules` section holds them.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct RuleParams {
            $(
                #[doc = concat!("Parameters of `", $name, "`.")]
                #[serde(rename = $name)]
                pub $module: $module::Params,
            )*
        }

        /// The rules that are switched on, in order.
        pub fn enabled(params: &RuleParams) -> Vec<Box<dyn super::Rule>> {
            let mut rules: Vec<Box<dyn super::Rule>> = Vec::new();
            $(if params.$module.enabled {
                rules.push(Box::new($module::rule(&params.$module)));
            })*
            rules
        }

        /// Whether the rule of this name is switched on; `None` when there is none.
        pub fn is_enabled(params: &RuleParams, name: &str) -> Option<bool> {
            match name {
                $($name => Some(params.$module.enabled),)*
                _ => None,
            }
        }

        /// What every rule is, in order.
        pub static ALL: &[&super::RuleMeta] = &[$(&$module::META,)*];
    };
}

registry! {
    egress_skips_proxy = "egress-skips-proxy",
    dns_skips_resolver = "dns-skips-resolver",
    unexpected_host_network = "unexpected-host-network",
    host_network_flow = "host-network-flow",
    namespace_mismatch = "namespace-mismatch",
    joined_namespace = "joined-namespace",
    unknown_source = "unknown-source",
    foreign_interface = "foreign-interface",
    packet_socket = "packet-socket",
    unmonitored_driver = "unmonitored-driver",
    undeclared_relay = "undeclared-relay",
    tunnel_from_container = "tunnel-from-container",
    metadata_service_direct = "metadata-service-direct",
    sensor_blinded = "sensor-blinded",
    gateway_skipped = "gateway-skipped",
    monitor_hop_skipped = "monitor-hop-skipped",
    sidecar_skipped = "sidecar-skipped",
    ipv6_leak = "ipv6-leak",
    second_network_egress = "second-network-egress",
    startup_window = "startup-window",
    published_port_direct = "published-port-direct",
    hop_silent = "hop-silent",
    log_driver_changed = "log-driver-changed",
    proxy_settings_changed = "proxy-settings-changed",
    monitoring_opt_out = "monitoring-opt-out",
    capability_raised = "capability-raised",
    sensitive_mount = "sensitive-mount",
    sysctl_changed = "sysctl-changed",
    unjudged_traffic = "unjudged-traffic",
}
