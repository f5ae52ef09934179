//! Every `MAX_*` of what the engine remembers is counted by a `Bound`, or says here why it needs none.
//!
//! Limits: what one point's meter remembers (`src/flow`) is counted by point, in `PointCounters`, and not held by this test.

use std::collections::BTreeSet;

use crate::architecture::source::read_sources;
use hopwatch::engine::Bound;

/// How the loss at a bound is known.
enum Cost {
    Counted(Bound),
    /// Why nothing is counted.
    Not(&'static str),
}

use Cost::{Counted, Not};

const ONE_FLOW: &str = "a part of one flow; the flow itself stays";
const A_TEXT: &str = "names in a text; the finding stays";
const AT_ONCE: &str = "beyond it a finding is reported at once instead of later";
const CONFIGURATION: &str = "a configuration beyond it is refused";

const BOUNDS: &[(&str, &str, Cost)] = &[
    ("src/detect/anomaly/actors.rs", "MAX_SERVICES", Counted(Bound::Rules)),
    ("src/detect/anomaly/asked.rs", "MAX_FLOWS", Not("beyond it a flow's questions are given at its end")),
    ("src/detect/anomaly/contacts.rs", "MAX_OPEN", Counted(Bound::Rules)),
    ("src/detect/anomaly/explanation.rs", "MAX_OBJECTS", Not(A_TEXT)),
    ("src/detect/anomaly/hours.rs", "MAX_FLOWS", Counted(Bound::Rules)),
    ("src/detect/anomaly/hours.rs", "MAX_OPEN", Not("a step of the clock; what follows begins anew")),
    ("src/detect/anomaly/hours.rs", "MAX_SERVICES", Counted(Bound::Rules)),
    ("src/detect/anomaly/per_actor.rs", "MAX_ACTORS", Counted(Bound::Rules)),
    ("src/detect/anomaly/new_traffic.rs", "MAX_NEW", Not("names of one alert; what is beyond them is counted in it")),
    ("src/detect/anomaly/once.rs", "MAX_FLOWS", Not("beyond it a flow is reported again")),
    ("src/detect/anomaly/routers.rs", "MAX_ROUTERS", Not("a router beyond it is asked about as a host is")),
    ("src/detect/blind_spots.rs", "MAX_NAMED", Not(A_TEXT)),
    ("src/detect/changed_by.rs", "MAX_NAMED", Not(A_TEXT)),
    ("src/detect/debounce.rs", "MAX_HELD", Not(AT_ONCE)),
    ("src/detect/log_shipping.rs", "MAX_FLOWS", Counted(Bound::Rules)),
    ("src/detect/log_shipping/clients.rs", "MAX_CLIENTS", Counted(Bound::Rules)),
    ("src/detect/log_shipping/pulse.rs", "MAX_NAMES", Not(A_TEXT)),
    ("src/detect/log_shipping/pulse.rs", "MAX_POINTS", Not("points of one sender; any of them is enough")),
    ("src/detect/posture.rs", "MAX_EVIDENCE", Not(A_TEXT)),
    ("src/detect/roll_out.rs", "MAX_CONTAINERS", Counted(Bound::Rules)),
    ("src/detect/roll_out.rs", "MAX_SETS", Counted(Bound::Rules)),
    ("src/detect/rules/address_conflict.rs", "MAX_ADDRESSES", Counted(Bound::Rules)),
    ("src/detect/rules/address_conflict.rs", "MAX_OF_MAC", Not("addresses of one MAC, to compare two")),
    ("src/detect/rules/anonymizer.rs", "MAX_ACTORS", Counted(Bound::Rules)),
    ("src/detect/rules/beacon/series.rs", "MAX_NAMES", Not("a name beyond it is new again")),
    ("src/detect/rules/dns_anomaly.rs", "MAX_FLOWS", Counted(Bound::Rules)),
    ("src/detect/rules/dns_anomaly/window.rs", "MAX_ACTORS", Counted(Bound::Rules)),
    ("src/detect/rules/dns_anomaly/window.rs", "MAX_DAY", Not("names of one domain; so many are enough")),
    ("src/detect/rules/dns_anomaly/window.rs", "MAX_DOMAINS", Counted(Bound::Rules)),
    ("src/detect/rules/dns_anomaly/window.rs", "MAX_FAILED", Not("failed domains of one actor; so many are enough")),
    ("src/detect/rules/dns_anomaly/window.rs", "MAX_NAMES", Not("names of one domain; so many are enough")),
    ("src/detect/rules/unjudged_traffic.rs", "MAX_SENDERS", Counted(Bound::Rules)),
    ("src/detect/placement.rs", "MAX_JOINS", Not("joins of joins; a deeper one ends the search")),
    (
        "src/detect/rules/foreign_interface.rs",
        "MAX_FIRST",
        Not("beyond it an interface of the start is reported, not hidden"),
    ),
    ("src/detect/rules/brute_force.rs", "MAX_SERVICES", Counted(Bound::Rules)),
    ("src/detect/rules/brute_force/window.rs", "MAX_SESSIONS", Not("the latest sessions are enough")),
    ("src/detect/rules/exfiltration.rs", "MAX_FLOWS", Counted(Bound::Rules)),
    ("src/detect/rules/exfiltration/volumes.rs", "MAX_PEERS", Counted(Bound::Rules)),
    ("src/detect/rules/flood.rs", "MAX_FLOWS", Counted(Bound::Rules)),
    ("src/detect/rules/flood/meter.rs", "MAX_KEYS", Counted(Bound::Rules)),
    ("src/detect/rules/flood/meter.rs", "MAX_SOURCES", Not("a number in a text; the flood is counted whole")),
    (
        "src/detect/rules/flood/new_macs.rs",
        "MAX_MACS",
        Not("a MAC that is forgotten counts as new when it comes again"),
    ),
    ("src/detect/rules/flood/new_macs.rs", "MAX_POINTS", Not("MACs of points beyond it are not counted; all else is")),
    ("src/detect/rules/beacon.rs", "MAX_SERIES", Counted(Bound::Rules)),
    (
        "src/detect/rules/host_scan.rs",
        "MAX_KNOWN",
        Not("an address that is forgotten counts as new when it comes again"),
    ),
    ("src/detect/rules/host_scan/sweep.rs", "MAX_WINDOW", Not("the latest of a sweep are enough")),
    ("src/detect/rules/port_scan.rs", "MAX_KNOWN", Not("a port that is forgotten counts as new when it comes again")),
    ("src/detect/rules/port_scan.rs", "MAX_TARGETS", Counted(Bound::Rules)),
    ("src/detect/rules/exception_expires.rs", "MAX_GONE", Counted(Bound::Rules)),
    ("src/detect/rules/foreign_interface.rs", "MAX_NAMESPACES", Counted(Bound::Rules)),
    ("src/detect/rules/proxy_settings_changed/name_files.rs", "MAX_CONTAINERS", Counted(Bound::Rules)),
    ("src/detect/rules/proxy_settings_changed/name_files.rs", "MAX_NAMED", Not(A_TEXT)),
    ("src/detect/rules/hop_silent.rs", "MAX_NAMES", Not(A_TEXT)),
    ("src/detect/rules/monitor_stopped.rs", "MAX_DOWN", Counted(Bound::Rules)),
    ("src/detect/rules/monitor_stopped.rs", "MAX_MONITORS", Counted(Bound::Rules)),
    ("src/detect/rules/monitor_stopped/known.rs", "MAX_ACTS", Not(A_TEXT)),
    ("src/detect/rules/monitor_stopped/known.rs", "MAX_KEYS", Not("names of one monitor; the monitor stays")),
    ("src/detect/rules/monitor_stopped/known.rs", "MAX_PROCESSES", Not("agents of one monitor; the monitor stays")),
    ("src/detect/rules/hop_silent.rs", "MAX_POINTS", Not("points of one silence; the finding stays")),
    ("src/detect/rules/host_audit_tampered.rs", "MAX_NAMED", Not("names of log daemons, which are a closed list")),
    ("src/detect/rules/host_firewall_changed.rs", "MAX_NAMED", Not(A_TEXT)),
    ("src/detect/rules/log_driver_changed/wire.rs", "MAX_KNOWN", Counted(Bound::Rules)),
    ("src/detect/rules/log_files_tampered.rs", "MAX_PENDING", Counted(Bound::Rules)),
    ("src/detect/rules/log_shipper_redirected.rs", "MAX_CLIENTS", Not("containers that one flow is compared for")),
    ("src/detect/rules/log_shipper_redirected.rs", "MAX_COLLECTORS", Counted(Bound::Rules)),
    ("src/detect/rules/log_shipper_redirected.rs", "MAX_SERVICES", Counted(Bound::Rules)),
    ("src/detect/rules/log_shipper_silent.rs", "MAX_BOOKS", Counted(Bound::Rules)),
    ("src/detect/rules/log_shipper_silent.rs", "MAX_FOR_ALL", Counted(Bound::Rules)),
    ("src/detect/rules/log_shipper_silent.rs", "MAX_NAMES", Not(A_TEXT)),
    ("src/detect/rules/metadata_service_direct.rs", "MAX_OPEN", Not(AT_ONCE)),
    ("src/detect/rules/namespace_mismatch.rs", "MAX_ANCHORS", Counted(Bound::Rules)),
    ("src/detect/rules/packet_socket.rs", "MAX_TAPS", Counted(Bound::Rules)),
    ("src/detect/rules/packet_socket.rs", "MAX_UNOWNED", Not(AT_ONCE)),
    ("src/detect/rules/replica_differs.rs", "MAX_REPLICAS", Counted(Bound::Rules)),
    ("src/detect/rules/sensor_blinded.rs", "MAX_POINTS", Counted(Bound::Rules)),
    ("src/detect/rules/sysctl_changed/kernel.rs", "MAX_NAMED", Not(A_TEXT)),
    ("src/detect/rules/sysctl_changed/kernel.rs", "MAX_NAMESPACES", Counted(Bound::Rules)),
    ("src/detect/rules/tunnel_from_container.rs", "MAX_FLOWS", Counted(Bound::Rules)),
    ("src/detect/rules/tunnel_from_container/names.rs", "MAX_DOMAINS", Counted(Bound::Rules)),
    ("src/detect/rules/undeclared_relay/echoes.rs", "MAX_WORKLOADS", Counted(Bound::Rules)),
    ("src/detect/rules/undeclared_relay/legs.rs", "MAX_EACH", Counted(Bound::Rules)),
    ("src/detect/rules/undeclared_relay/legs.rs", "MAX_LEGS", Counted(Bound::Rules)),
    ("src/detect/rules/unknown_source/held.rs", "MAX_HELD", Not(AT_ONCE)),
    ("src/detect/rules/unknown_source/neighbour_checks.rs", "MAX_WAITING", Not(AT_ONCE)),
    ("src/detect/rules/unmonitored_driver.rs", "MAX_UNKNOWN", Counted(Bound::Rules)),
    ("src/detect/rules/volume_anomaly.rs", "MAX_POINTS", Not("points of one service; a loss at any of them is enough")),
    ("src/detect/rules/volume_anomaly.rs", "MAX_SERVICES", Counted(Bound::Rules)),
    ("src/inventory/kernel.rs", "MAX_NAMESPACES", Counted(Bound::Kernel)),
    ("src/inventory/kernel.rs", "MAX_SNIFFERS", Counted(Bound::Kernel)),
    ("src/inventory/kernel/first_processes.rs", "MAX_PROCESSES", Counted(Bound::Kernel)),
    ("src/inventory/recent_acts.rs", "MAX_ACTS", Not("the latest of one container; its start is seldom long ago")),
    ("src/inventory/recent_acts.rs", "MAX_CALLS", Counted(Bound::Rules)),
    ("src/inventory/recent_acts.rs", "MAX_CONTAINERS", Counted(Bound::Rules)),
    ("src/inventory/recent_acts.rs", "MAX_OWN", Not("the latest of one container")),
    ("src/inventory/timeline/configurations.rs", "MAX_CONTAINERS", Counted(Bound::Workloads)),
    ("src/inventory/timeline/changes.rs", "MAX_CHANGES", Not("beyond it every workload counts as changed")),
    ("src/inventory/timeline/key.rs", "MAX_TOUCHED", Not("beyond it every waiting flow is looked at again")),
    ("src/inventory/timeline/lifecycles.rs", "MAX_SPANS", Counted(Bound::Spans)),
    ("src/inventory/timeline/lifecycles/namespace_membership.rs", "MAX_MEMBERSHIPS", Counted(Bound::Namespaces)),
    ("src/inventory/timeline/lifecycles/namespace_membership.rs", "MAX_STRAYS", Not("the collector reports no more")),
    (
        "src/inventory/timeline/lifecycles/namespace_membership.rs",
        "MAX_STAYS",
        Not("homes of one workload that its runtime has not reported; the next one counts as one that was joined"),
    ),
    ("src/inventory/timeline/namespaces.rs", "MAX_NAMESPACES", Counted(Bound::Namespaces)),
    ("src/inventory/timeline/namespaces.rs", "MAX_INSIDE", Counted(Bound::Namespaces)),
    ("src/inventory/timeline/namespaces.rs", "MAX_CLOSED", Counted(Bound::Namespaces)),
    (
        "src/inventory/timeline/index.rs",
        "MAX_OWNERS",
        Not("owners of one address at one moment; beyond it the address is ambiguous, and its flows are unobservable"),
    ),
    ("src/inventory/timeline/networks.rs", "MAX_NETWORKS", Counted(Bound::Networks)),
    ("src/inventory/timeline/networks.rs", "MAX_LINKS", Counted(Bound::Networks)),
    ("src/inventory/timeline/networks.rs", "MAX_GATEWAYS", Not("gateways that one network named over time")),
    ("src/inventory/timeline/sockets.rs", "MAX_SOCKETS", Counted(Bound::Sockets)),
    (
        "src/path/may_cover.rs",
        "MAX_ADDRESSES",
        Not("only the order in which flows are left out under pressure; each that is left out is counted"),
    ),
    ("src/path/per_workload.rs", "MAX_WORKLOADS", Not("what can be asked again about a workload")),
    ("src/path/selector.rs", "MAX_GLOB", Not(CONFIGURATION)),
    ("src/path/selector.rs", "MAX_GLOB_DEPTH", Not(CONFIGURATION)),
    ("src/path/state/bindings.rs", "MAX_BINDINGS", Counted(Bound::Bindings)),
    ("src/path/state/hops.rs", "MAX_KEPT", Counted(Bound::KeptContracts)),
    ("src/path/state/hops.rs", "MAX_POINTS", Not("interfaces of one hop")),
    ("src/path/state/legs.rs", "MAX_LEGS", Not("a window of a hop's latest legs; the oldest always goes")),
    ("src/path/state/losses.rs", "MAX_POINTS", Counted(Bound::Points)),
    ("src/path/state/windows.rs", "MAX_WINDOWS", Counted(Bound::LossWindows)),
    ("src/path/state/unjudged.rs", "MAX_FOLLOWED", Not("the flow keeps what it counted; its growth is not followed")),
    ("src/path/state/unjudged.rs", "MAX_SENDERS", Counted(Bound::Senders)),
    ("src/path/state/unjudged/frames.rs", "MAX_POINTS", Not("points that saw the same frames of one sender")),
    ("src/path/tracker.rs", "MAX_WATCHED", Counted(Bound::Points)),
    (
        "src/path/tracker/aside.rs",
        "MAX_ASIDE",
        Not("ended flows of one five-tuple that wait for other points; the oldest is judged as it stands"),
    ),
    (
        "src/path/tracker/ended_early.rs",
        "MAX_ENDED",
        Not("connections that ended right after their start; the other side of one beyond it is judged by itself"),
    ),
    ("src/path/tracker/rejoin.rs", "MAX_REJOINED", Not(ONE_FLOW)),
    ("src/path/tracker/asked.rs", "MAX_SHOWN", Not(ONE_FLOW)),
    ("src/path/tracker/asked.rs", "MAX_SPENT", Not("empty places that are used again; one more is given back")),
    ("src/path/tracker/tracked_flow.rs", "MAX_TWINS", Not(ONE_FLOW)),
    (
        "src/path/tracker/unsure.rs",
        "MAX_UNSURE",
        Not("conversations that fell silent; the meter, which remembers as many, decides again who began them"),
    ),
    ("src/path/trail.rs", "MAX_LINKS", Not(ONE_FLOW)),
    ("src/path/trail.rs", "MAX_SIGHTINGS", Not(ONE_FLOW)),
];

/// The `MAX_*` constants that a text declares.
fn declared(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let (_, declaration) = line.split_once("const MAX_")?;
        let (name, _) = declaration.split_once(':')?;
        let start = line.len() - declaration.len() - "MAX_".len();
        line.get(start..start + "MAX_".len() + name.len())
    })
}

#[test]
fn every_bound_of_what_is_remembered_is_counted_or_says_why_not() {
    let rooms =
        ["src/detect", "src/path", "src/inventory/timeline", "src/inventory/kernel", "src/inventory/recent_acts.rs"];
    let sources = read_sources("src");
    let found: BTreeSet<(&str, &str)> = sources
        .iter()
        .filter(|file| rooms.iter().any(|room| file.path.starts_with(room)))
        .flat_map(|file| declared(&file.code).map(|name| (file.path.as_str(), name)))
        .collect();
    let listed: BTreeSet<(&str, &str)> = BOUNDS.iter().map(|(file, name, _)| (*file, *name)).collect();
    let differ: Vec<_> = found.symmetric_difference(&listed).collect();
    assert!(differ.is_empty(), "name the Bound of each, or the reason why nothing is counted: {differ:?}");
    for (file, name, cost) in BOUNDS {
        if let Not(reason) = cost {
            assert!(reason.len() > 10, "{file} {name} has no reason");
        }
    }
}

#[test]
fn every_bound_has_a_number_from_the_start() {
    let stats = hopwatch::engine::Engine::new(crate::support::engine_config::for_tests()).stats();
    for (_, _, cost) in BOUNDS {
        if let Counted(bound) = cost {
            assert_eq!(stats.bounds.get(bound), Some(&0), "{}", bound.as_str());
        }
    }
}
