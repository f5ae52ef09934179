//! The registry: the module of a rule, and its line.
//!
//! Contract: the order of lines is the order of output. Each rule's file holds its code, its parameters and its strategy. Design: modules stand
//! outside the macro, so that `cargo fmt` finds their files.

pub mod address_conflict;
pub mod anonymizer;
pub mod baseline_changed;
pub mod beacon;
pub mod brute_force;
pub mod capability_raised;
pub mod control_api_contact;
pub mod dns_anomaly;
pub mod dns_skips_resolver;
pub mod egress_skips_proxy;
pub mod exception_expires;
pub mod exfiltration;
pub mod flood;
pub mod foreign_interface;
pub mod gateway_skipped;
pub mod hop_silent;
pub mod host_audit_tampered;
pub mod host_firewall_changed;
pub mod host_network_flow;
pub mod host_scan;
pub mod image_drift;
pub mod ipv6_leak;
pub mod joined_namespace;
pub mod log_driver_changed;
pub mod log_files_tampered;
pub mod log_shipper_redirected;
pub mod log_shipper_silent;
pub mod metadata_service_direct;
pub mod miner;
pub mod monitor_hop_skipped;
pub mod monitor_stopped;
pub mod monitoring_opt_out;
pub mod namespace_mismatch;
pub mod new_destination;
pub mod new_fingerprint;
pub mod new_listener;
pub mod new_peer;
pub mod packet_socket;
pub mod port_scan;
pub mod protocol_mismatch;
pub mod proxy_settings_changed;
pub mod published_port_direct;
pub mod replica_differs;
pub mod second_network_egress;
pub mod sensitive_mount;
pub mod sensor_blinded;
pub mod sidecar_skipped;
pub mod startup_window;
pub mod sysctl_changed;
pub mod tamper_exec;
pub mod tunnel_from_container;
pub mod undeclared_relay;
pub mod unexpected_host_network;
pub mod unjudged_traffic;
pub mod unknown_source;
pub mod unmonitored_driver;
pub mod volume_anomaly;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::posture::Posture;
use crate::baseline::traffic::{Row, Way};
use crate::inventory::configuration::Field;

macro_rules! registry {
    ($($module:ident = $name:literal,)*) => {
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

        /// The rules that are switched on, each at its place in [`ALL`].
        pub fn enabled(params: &RuleParams) -> Vec<Option<Box<dyn super::Rule>>> {
            vec![$(params.$module.enabled.then(|| Box::new($module::rule(&params.$module)) as _),)*]
        }

        /// The places in [`ALL`] of rules with other parameters than before.
        pub fn changed(before: &RuleParams, now: &RuleParams) -> Vec<usize> {
            let changed = [$(before.$module != now.$module,)*];
            changed.iter().enumerate().filter(|(_, changed)| **changed).map(|(place, _)| place).collect()
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
    log_shipper_redirected = "log-shipper-redirected",
    log_shipper_silent = "log-shipper-silent",
    log_files_tampered = "log-files-tampered",
    host_firewall_changed = "host-firewall-changed",
    host_audit_tampered = "host-audit-tampered",
    proxy_settings_changed = "proxy-settings-changed",
    monitoring_opt_out = "monitoring-opt-out",
    capability_raised = "capability-raised",
    sensitive_mount = "sensitive-mount",
    sysctl_changed = "sysctl-changed",
    image_drift = "image-drift",
    replica_differs = "replica-differs",
    baseline_changed = "baseline-changed",
    exception_expires = "exception-expires",
    tamper_exec = "tamper-exec",
    monitor_stopped = "monitor-stopped",
    unjudged_traffic = "unjudged-traffic",
    port_scan = "port-scan",
    host_scan = "host-scan",
    beacon = "beacon",
    brute_force = "brute-force",
    exfiltration = "exfiltration",
    flood = "flood",
    protocol_mismatch = "protocol-mismatch",
    miner = "miner",
    control_api_contact = "control-api-contact",
    anonymizer = "anonymizer",
    address_conflict = "address-conflict",
    dns_anomaly = "dns-anomaly",
    new_destination = "new-destination",
    new_peer = "new-peer",
    new_listener = "new-listener",
    new_fingerprint = "new-fingerprint",
    volume_anomaly = "volume-anomaly",
}

/// The rules about settings.
pub(super) const fn postures() -> [&'static Posture; 6] {
    [
        &log_driver_changed::POSTURE,
        &proxy_settings_changed::POSTURE,
        &monitoring_opt_out::POSTURE,
        &capability_raised::POSTURE,
        &sensitive_mount::POSTURE,
        &sysctl_changed::POSTURE,
    ]
}

/// The rule that speaks of a setting.
pub fn owner_of(field: &Field) -> Option<&'static super::RuleMeta> {
    let of_settings = postures().into_iter().find(|posture| (posture.owns)(field)).map(|posture| posture.rule);
    of_settings.or_else(|| match field.name() {
        "network.mode" => Some(&unexpected_host_network::META),
        "command" | "image.digest" => Some(&image_drift::META),
        _ => None,
    })
}

/// The rules about traffic that the baseline does not hold.
const NEWS: [&super::RuleMeta; 5] =
    [&new_destination::META, &new_peer::META, &new_listener::META, &new_fingerprint::META, &volume_anomaly::META];

/// The rule that speaks of a row of traffic that the baseline does not hold; `is_known`: peer and port are expected, how they speak is not.
pub fn owner_of_traffic(row: &Row, is_known: bool) -> &'static super::RuleMeta {
    match row.way {
        _ if is_known => &new_fingerprint::META,
        Way::Listens => &new_listener::META,
        Way::Reaches if row.peer.is_outside() => &new_destination::META,
        Way::Reaches => &new_peer::META,
    }
}

/// Whether the rule of this name compares traffic with the baseline.
pub fn is_about_new_traffic(name: &str) -> bool {
    NEWS.iter().any(|rule| rule.name == name)
}

/// Whether the rule of this name speaks of how workloads are set up: what it finds is compared by name, and approved by name.
pub fn is_about_settings(name: &str) -> bool {
    let others = [&unexpected_host_network::META, &image_drift::META, &replica_differs::META];
    postures().into_iter().map(|posture| posture.rule).chain(others).any(|rule| rule.name == name)
}
