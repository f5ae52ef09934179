//! The tree of Docker's own words, with a made-up kernel.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::input::{Fact, Mac, NamespaceView, Pod, ProcessNamespaces, RecordedFact, Stray};
use crate::inventory::configuration::ShownLabels;
use crate::inventory::file::read_facts;

const HOST: NetnsId = NetnsId(4_026_531_840);
const APP: NetnsId = NetnsId(4_026_532_281);
const DARK: NetnsId = NetnsId(4_026_532_400);

fn inspected() -> Vec<InventoryEvent> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/docker");
    let facts = ["networks.json", "containers.json"]
        .map(|name| read_facts(&folder.join(name), &ShownLabels::default()).expect("docker inspect").inputs);
    let event = |fact| match fact {
        Fact::Recorded(RecordedFact::Inventory(event)) => Some(event),
        _ => None,
    };
    facts.into_iter().flatten().filter_map(|input| event(input.fact)).collect()
}

fn workload(events: &[InventoryEvent], name: &str) -> Workload {
    let named = |event: &InventoryEvent| match event {
        InventoryEvent::Workload(workload) if workload.name == name => Some(Workload::clone(workload)),
        _ => None,
    };
    events.iter().find_map(named).expect("a workload of this name")
}

fn namespace(netns: NetnsId, interfaces: Vec<InsideInterface>) -> KernelFact {
    KernelFact::Namespace(Arc::new(NamespaceView {
        netns,
        host: netns == HOST,
        workloads: vec![],
        interfaces,
        settings: None,
    }))
}

fn processes(workload: &Workload, netns: NetnsId, strays: Vec<Stray>) -> KernelFact {
    KernelFact::Processes(Arc::new(ProcessNamespaces { workload: workload.id.clone(), netns, strays }))
}

fn inside(name: &str, kind: &str, address: &str, host: Option<&str>) -> InsideInterface {
    InsideInterface {
        name: name.to_owned(),
        kind: kind.to_owned(),
        addresses: vec![address.parse().expect("an address")],
        up: true,
        host_interface: host.map(str::to_owned),
        ..InsideInterface::default()
    }
}

fn link(name: &str, address: &str) -> Interface {
    let addresses = vec![address.parse().expect("an address")];
    Interface { name: name.to_owned(), up: true, addresses, mac: Some(Mac([2, 0, 0, 0, 0, 1])), ..Interface::default() }
}

fn kernel(events: &[InventoryEvent]) -> Vec<KernelFact> {
    let of = |name| workload(events, name);
    let eth0 = inside("eth0", "veth", "172.30.0.2", Some("veth5981c7a"));
    vec![
        namespace(HOST, vec![]),
        namespace(APP, vec![eth0, inside("tun0", "tun", "10.8.0.1", None)]),
        namespace(DARK, vec![]),
        processes(&of("app"), APP, vec![]),
        processes(&of("joined"), APP, vec![Stray { pid: 99, command: "sh".to_owned(), netns: HOST }]),
        processes(&of("exporter"), HOST, vec![]),
        processes(&of("dark"), DARK, vec![]),
    ]
}

/// The line that holds a text, with the lines above it that it hangs on, outermost first.
fn path_to<'a>(tree: &'a str, part: &str) -> Vec<&'a str> {
    let depth = |line: &str| line.chars().take_while(|c| "│├└─ ".contains(*c)).count();
    let lines: Vec<&str> = tree.lines().collect();
    let mut at = lines.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part} in\n{tree}"));
    let bare = |line: &'a str| line.trim_start_matches(['│', '├', '└', '─', ' ']);
    let mut path = vec![bare(lines[at])];
    while let Some(above) = lines[..at].iter().rposition(|line| depth(line) < depth(lines[at])) {
        at = above;
        path.insert(0, bare(lines[at]));
    }
    path
}

#[test]
fn a_workload_hangs_on_its_network_interface_and_namespace() {
    let events = inspected();
    let tree = render("box", &events, &kernel(&events), &[link("docker0", "172.17.0.1"), link("ens3", "10.0.2.15")])
        .text(None);
    let app = path_to(&tree, "veth5981c7a");
    assert_eq!(app[..2], ["host box", "docker: 4 workloads"], "{tree}");
    assert!(app[2].starts_with("network front: bridge, 172.30.0.0/24, fd00:30::/64"), "{tree}");
    assert!(app[3].starts_with("veth5981c7a → eth0 172.30.0.2 fd00:30::2 02:42:ac:1e:00:02"), "{tree}");
    let service = path_to(&tree, "service shop/app");
    assert_eq!(service[4..].len(), 2, "namespace and workload: {tree}");
    assert!(tree.matches("app, 72f88f017293, bb, running, pid 3608, service shop/app").count() == 1, "once: {tree}");
    assert!(tree.contains(&format!("{APP} of app, see above")), "its second network refers to it: {tree}");
    assert!(path_to(&tree, "network bridge: bridge, 172.17.0.0/16, on docker0 (up, 172.17.0.1)").len() == 3, "{tree}");
}

#[test]
fn joined_and_host_workloads_are_where_their_namespace_is() {
    let events = inspected();
    let tree = render("box", &events, &kernel(&events), &[link("ens3", "10.0.2.15")]).text(None);
    let (app, joined) = (path_to(&tree, "app, 72f88f017293"), path_to(&tree, "joined, 96fbd9a859c3"));
    assert_eq!(app[..app.len() - 1], joined[..joined.len() - 1], "side by side: {tree}");
    assert!(joined.last().is_some_and(|line| line.ends_with("joined app")), "{tree}");
    let exporter = path_to(&tree, "exporter, d23eb929d935");
    assert_eq!(exporter[1], format!("the host's own network namespace {HOST}"), "{tree}");
    assert_eq!(path_to(&tree, "ens3 (up) 10.0.2.15")[1], exporter[1], "{tree}");
    let dark = path_to(&tree, "dark, 7e532cafac46");
    assert_eq!(dark[2..4], ["without a network", &DARK.to_string()], "{tree}");
}

#[test]
fn what_the_kernel_shows_otherwise_is_marked() {
    let events = inspected();
    let mut facts = kernel(&events);
    let tree = render("box", &events, &facts, &[]).text(None);
    assert!(path_to(&tree, "tun0 (tun, up) 10.8.0.1").len() > 4, "{tree}");
    let stray = path_to(&tree, "! process 99 (sh) is in");
    assert!(stray.last().is_some_and(|line| line.contains("the host's own")), "{tree}");
    assert!(!tree.contains("though the runtime says"), "{tree}");
    facts.push(processes(&workload(&events, "joined"), DARK, vec![]));
    facts.push(processes(&workload(&events, "dark"), HOST, vec![]));
    let tree = render("box", &events, &facts, &[]).text(None);
    assert!(tree.contains(&format!("! is in {DARK}, though the runtime says {APP}")), "{tree}");
    assert!(tree.contains(&format!("! {HOST} is the host's own, though the runtime says none")), "{tree}");
}

#[test]
fn without_a_kernel_everything_the_runtime_said_is_still_there() {
    let events = inspected();
    let tree = render("box", &events, &[], &[]).text(None);
    for name in ["app, 72f88f017293", "joined, 96fbd9a859c3", "exporter, d23eb929d935", "dark, 7e532cafac46"] {
        assert_eq!(tree.matches(name).count(), 1, "{name}: {tree}");
    }
    assert!(tree.contains("namespace not known") && tree.contains("no interface on the host → 172.30.0.2"), "{tree}");
}

fn pod_member(id: &str, name: &str, mode: NetworkMode, sandbox: bool) -> InventoryEvent {
    let pod = Pod { name: "web-1".to_owned(), namespace: "shop".to_owned(), uid: String::new(), sandbox };
    InventoryEvent::Workload(Arc::new(Workload {
        image: "image".to_owned(),
        network_mode: mode,
        attachments: vec![Attachment {
            network: "cni0".to_owned(),
            addresses: vec!["10.88.0.7".parse().expect("an address")],
            ..Attachment::default()
        }],
        pod: Some(pod),
        ..Workload::new(WorkloadId::new(id), name, crate::input::RuntimeId::CRI)
    }))
}

#[test]
fn a_pod_groups_its_containers_and_other_runtimes_stand_beside() {
    let mut events = inspected();
    let in_pod = || NetworkMode::Container(WorkloadId::new("pause"));
    events.push(pod_member("front", "front", in_pod(), false));
    events.push(pod_member("pause", "POD", NetworkMode::Own, true));
    let tree = render("box", &events, &[], &[]).text(None);
    let front = path_to(&tree, "front, front, image");
    assert_eq!(front[1..3], ["cri: 2 workloads", "network cni0: driver not known"], "{tree}");
    assert_eq!(front[front.len() - 2], "pod shop/web-1", "{tree}");
    assert!(path_to(&tree, "the pod's sandbox").contains(&"pod shop/web-1"), "{tree}");
    assert_eq!(path_to(&tree, "app, 72f88f017293")[1], "docker: 4 workloads");
}

#[test]
fn hostile_names_and_circles_do_no_harm() {
    let joins = |owner: &str| NetworkMode::Container(WorkloadId::new(owner));
    let evil = format!("a\u{1b}[2J\u{202e}{}", "x".repeat(100_000));
    let events = [
        pod_member("a", &evil, joins("b"), false),
        pod_member("b", "b", joins("a"), false),
        pod_member("c", "c", joins("c"), false),
        pod_member("d", "d", joins("gone"), false),
    ];
    let tree = render("box", &events, &[], &[]).text(None);
    assert!(tree.contains("a\\u{1b}[2J\\u{202e}x"), "{tree}");
    assert!(!tree.chars().any(|c| c.is_control() && c != '\n'), "{tree}");
    assert!(tree.lines().all(|line| line.chars().count() < 600), "{tree}");
    for line in ["b, b, image", "c, c, image", "d, d, image"] {
        assert_eq!(tree.matches(line).count(), 1, "{tree}");
    }
    assert!(path_to(&tree, "d, d, image").contains(&"joined a workload that is not known"), "{tree}");
}
