//! Every default, in one place.
//!
//! Contract: `config/hopwatch.yaml`, the shipped sample, says the same; a test compares them.

use std::net::{Ipv4Addr, SocketAddr};

/// The bridges that Docker makes: its default one, one a network, and Swarm's way out.
pub(super) const INTERFACES: [&str; 3] = ["docker0", "br-*", "docker_gwbridge"];

/// Whether the name is captured by default, so that a host without it is in order.
pub fn is_default_interface(name: &str) -> bool {
    INTERFACES.contains(&name)
}

/// Kept of a packet that may hold a name: a `ClientHello` with a post-quantum key share has up to 2.1 kB, and reaches a veth as one
/// packet.
pub(super) const PAYLOAD_SNAP_LENGTH: u64 = 4096;
/// Kernel ring of one interface: at 256 bytes per packet about 60,000 packets, that is some tenths of a second at full load.
pub(super) const RING_MIB: u64 = 16;
/// Kernel rings together: sixteen bridges in full, or hundreds of veths with little each.
pub(super) const RING_BUDGET_MIB: u64 = 64;
/// One reads some millions of packets per second; more would take processors from the containers.
pub(super) const CAPTURE_THREADS: u64 = 4;

/// Between two full comparisons with the runtime; its events come at once, this only restores what a cut stream lost.
pub(super) const RECONCILE_INTERVAL_MS: u64 = 30_000;

/// Metrics and health are for this host only unless configured otherwise.
pub(super) const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9921);

/// Flows of one interface at once: some 60 MiB.
pub(super) const METER_MAX_FLOWS: u64 = 262_144;
/// A minute without a packet ends a flow.
pub(super) const IDLE_TIMEOUT_MS: u64 = 60_000;
/// A connection that stays open is reported at least this often.
pub(super) const ACTIVE_TIMEOUT_MS: u64 = 30 * 60_000;
/// Between two updates of one flow.
pub(super) const FLOW_UPDATE_INTERVAL_MS: u64 = 10_000;

/// A container's start reaches us after its first packets; with [`ANSWER_GRACE_MS`] it stays below one second.
pub(super) const ATTRIBUTION_GRACE_MS: u64 = 600;
/// An attempt that nobody answers is judged as an attempt after this.
pub(super) const ANSWER_GRACE_MS: u64 = 400;
/// The same packet reaches another interface within microseconds; capture blocks and netlink events reach us some 100 ms later.
pub(super) const TRANSIT_GRACE_MS: u64 = 500;
/// Proxies and gateways of a compose project are up within some seconds; images that fetch something first take longer.
pub(super) const STARTUP_GRACE_MS: u64 = 30_000;
/// Flows that the engine remembers at once.
pub(super) const ENGINE_MAX_FLOWS: u64 = 262_144;

/// Workloads remembered, the dead included.
pub(super) const MAX_WORKLOADS: u64 = 20_000;
/// Late packets of a container that ended find it for so long.
pub(super) const REMEMBER_MS: u64 = 10 * 60_000;

/// Between two counted updates of one alert.
pub(super) const ALERT_UPDATE_INTERVAL_MS: u64 = 60_000;
/// Quiet for so long, an alert is closed.
pub(super) const CLOSE_AFTER_MS: u64 = 10 * 60_000;
/// Alerts open at once.
pub(super) const MAX_OPEN_ALERTS: u64 = 10_000;
/// Quiet for so long, an incident is closed.
pub(super) const INCIDENT_CLOSE_AFTER_MS: u64 = 10 * 60_000;
/// Incidents open at once.
pub(super) const MAX_OPEN_INCIDENTS: u64 = 1_024;
/// Destinations listed in one alert.
pub(super) const MAX_DESTINATIONS: u64 = 20;
/// Alerts of one rule about one sender at once; few senders have as many distinct causes, a sender that makes them up has any number.
pub(super) const ALERT_BURST: u64 = 20;
/// Until that rule may raise one more about that sender.
pub(super) const ALERT_REFILL_MS: u64 = 60_000;

/// Keeping packets costs more than a twentieth of capture (docs/performance.md), so it is asked for.
pub(super) const EVIDENCE_RING_MIB: u64 = 0;
/// Of all points: as much as the kernel's rings.
pub(super) const EVIDENCE_RING_BUDGET_MIB: u64 = 64;
/// Longer than the waiting times of rules that judge a flow.
pub(super) const EVIDENCE_AGE_MS: u64 = 60_000;
/// Headers, inside of a tunnel, too: what `capture.snap_length: auto` keeps of most packets.
pub(super) const EVIDENCE_SNAP_LENGTH: u64 = 160;
/// What follows at once shows whether it went on.
pub(super) const EVIDENCE_AFTER_MS: u64 = 3_000;
/// Some ten thousand packets.
pub(super) const EVIDENCE_BUNDLE_MIB: u64 = 4;
/// Hundreds of alerts, or a flood of them for some minutes.
pub(super) const EVIDENCE_HOUR_MIB: u64 = 128;
/// A small part of any disk.
pub(super) const EVIDENCE_TOTAL_MIB: u64 = 512;

/// A person responds to a few containers of an incident; more is a mistake, or somebody else.
pub(super) const RESPONSE_LIMIT: u64 = 5;
/// Of [`RESPONSE_LIMIT`].
pub(super) const RESPONSE_LIMIT_PERIOD_MS: u64 = 10 * 60_000;
/// Time to look, and no container that stays paused by oversight.
pub(super) const RESPONSE_UNDO_AFTER_MS: u64 = 30 * 60_000;

/// A file of alerts of this size is read by any tool.
pub(super) const SINK_ROTATE_MIB: u64 = 100;
/// Old files that are kept.
pub(super) const SINK_KEEP: u64 = 7;
/// local0: no daemon of the system writes there.
pub(super) const SYSLOG_FACILITY: u64 = 16;
/// The enterprise number that RFC 5612 sets aside for examples.
pub(super) const ENTERPRISE_NUMBER: u64 = 32_473;
/// One datagram that passes every link.
pub(super) const SYSLOG_DATAGRAM: usize = 1_180;
/// What rsyslog takes by default.
pub(super) const SYSLOG_MESSAGE: usize = 8_192;
/// Receivers answer within a second; one that is overloaded gets ten times that.
pub(super) const SINK_TIMEOUT_MS: u64 = 10_000;
/// A fifth of Alertmanager's default `resolve_timeout`.
pub(super) const ALERTMANAGER_RESEND_MS: u64 = 60_000;
/// As long as an alert stays open here.
pub(super) const ALERTMANAGER_KEEP_OPEN_MS: u64 = CLOSE_AFTER_MS;
/// Elasticsearch's own template for `logs-*-*` makes a data stream of it.
pub(super) const DATA_STREAM: &str = "logs-hopwatch.alert-default";
/// Splunk's documentation names five minutes before an event is sent again.
pub(super) const SPLUNK_ACK_TIMEOUT_MS: u64 = 5 * 60_000;
/// Whatever `encoding` says.
pub(super) const SPLUNK_SOURCE_TYPE: &str = "hopwatch:alert";
/// Where journald listens.
pub(super) const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";
