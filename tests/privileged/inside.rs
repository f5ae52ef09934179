//! What the kernel reports of observed interfaces, and capture inside the namespace of a workload: all for real, as root.
#![allow(clippy::disallowed_methods, reason = "a test: a failure ends it, patience needs a clock")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::dockerd::{self, Dockerd, IMAGE};
use crate::support::netns::{Namespace, Sniffer, unavailable};
use crate::support::patience::{PATIENCE, wait_until};
use hopwatch::flow::MeterLimits;
use hopwatch::host::{self, Netns};
use hopwatch::input::ObservationPoint;
use hopwatch::observe::live::{CapturePool, Snap, Tap, TapBatch, TapOptions, TapSink};
use hopwatch::time::Timestamp;
use serde_json::Value;

fn options() -> TapOptions {
    let meter = MeterLimits {
        max_flows: 1_000,
        idle_timeout: Duration::from_mins(1),
        active_timeout: Duration::from_mins(30),
        update_interval: Duration::from_secs(10),
    };
    TapOptions { snap: Snap::Flat(256), ring_bytes: 4 << 20, meter, own: Vec::new(), filter: None }
}

/// Keeps the last batch.
struct Last(mpsc::Sender<TapBatch>);

impl TapSink for Last {
    fn batch(&mut self, _: TapBatch) -> Result<(), Box<TapBatch>> {
        Ok(())
    }

    fn packet(&mut self, _: Timestamp, _: u32, _: &[u8]) {}

    fn ended(&mut self, last: TapBatch, _: Option<String>) {
        let _ = self.0.send(last);
    }
}

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_macvlan_is_captured_inside_the_namespace_of_a_process() {
    if let Some(why) = unavailable() {
        println!("skipped: a_macvlan_is_captured_inside_the_namespace_of_a_process: {why}");
        return;
    }
    let namespace = Namespace::with_bridge("br-test");
    let process = namespace.inside_peer(|| Process(Command::new("sleep").arg("600").spawn().expect("a process")));
    let pid = process.0.id();
    namespace.run("ip link add mv0 type veth peer name mv1 && ip link set mv0 up && ip link set mv1 up");
    namespace.run("ip addr add 10.8.0.1/24 dev mv1");
    namespace.run(&format!("ip link add link mv0 name mac0 netns {pid} type macvlan mode bridge"));
    namespace.run_peer("ip addr add 10.8.0.2/24 dev mac0 && ip link set mac0 up");

    let own = Netns::own().expect("own");
    let netns = Netns::of(pid).expect("its namespace");
    assert_ne!(netns.id(), own);
    let (tap, links) = netns
        .enter(|| {
            let tap = Tap::open_inside("mac0", ObservationPoint::new("web:mac0"), &options()).expect("a tap");
            let mut links = host::interfaces().expect("interfaces");
            host::examine(&mut links, |_| true).expect("examined");
            (tap, links)
        })
        .expect("entered");
    drop(netns);
    assert_eq!(Netns::own().expect("own"), own, "this thread stayed where it was");
    let link = links.iter().find(|link| link.name == "mac0").expect("it is in there");
    assert_eq!((link.up, link.promiscuous), (true, Some(true)), "the tap takes in every frame");
    assert!(link.addresses.contains(&"10.8.0.2".parse().expect("an address")), "{link:?}");

    let stop = Arc::<AtomicBool>::default();
    let mut pool = CapturePool::new(1, Arc::clone(&stop));
    let (sender, last) = mpsc::channel();
    pool.add(tap, Last(sender)).expect("a thread");
    namespace.run_peer("ping -c 5 -i 0.1 -W 5 10.8.0.1");
    stop.store(true, Ordering::Relaxed);
    let last = last.recv_timeout(PATIENCE).expect("the tap ends");
    assert_eq!(last.point.as_str(), "web:mac0");
    assert!(last.stats.packets >= 10, "five questions and answers: {:?}", last.stats);
    pool.join();
}

/// The facts of a recording about one point, in order.
fn facts(folder: &Path, point: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("facts.jsonl")).expect("facts");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON Lines"));
    lines.map(|line| line["fact"]["link"].clone()).filter(|link| link["point"] == point).collect()
}

#[test]
fn what_the_kernel_says_of_an_observed_interface_is_told() {
    if let Some(why) = unavailable() {
        println!("skipped: what_the_kernel_says_of_an_observed_interface_is_told: {why}");
        return;
    }
    let namespace = Namespace::with_bridge("br-test");
    namespace.run("ip link add hv0 type veth peer name hp0 && ip link set hp0 up && ip link set hv0 up");
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("recording");
    let sniffer = Sniffer::start(&namespace, "", &["-i", "hv*", "-o", recording.to_str().expect("UTF-8")]);
    sniffer.wait_until("/metrics", "both are captured", |page| {
        ["br-test", "hv0"].iter().all(|point| page.contains(&format!("observation_point=\"{point}\"")))
    });
    // What was before an interface is looked at before that interface is captured.
    let looked_at = |marker: &str| {
        namespace.run(&format!(
            "ip link add {marker} type veth peer name p{marker} && ip link set p{marker} up && ip link set {marker} up"
        ));
        sniffer.wait_until("/metrics", marker, |page| page.contains(&format!("observation_point=\"{marker}\"")));
    };
    looked_at("hv1");
    namespace.run("tc qdisc add dev hv0 clsact");
    namespace.run("tc filter add dev hv0 egress protocol all prio 1 bpf bytecode '1,6 0 0 0'");
    looked_at("hv2");
    namespace.run("ip link set br-test down");
    namespace.run("ip link del hv0");
    looked_at("hv3");
    let (lines, _) = sniffer.end();

    let told = facts(&recording, "hv0");
    let brief: Vec<_> = told
        .iter()
        .map(|link| (link["up"].as_bool(), link["promiscuous"].as_bool(), link["programs"][0].as_str()))
        .collect();
    let first = brief.first().expect("it was told");
    assert_eq!(*first, (Some(true), Some(true), None), "promiscuous, since it is captured: {told:?}");
    assert!(brief.contains(&(Some(true), Some(true), Some("tc egress"))), "{told:?}");
    assert_eq!(brief.last().map(|last| last.0), Some(Some(false)), "{told:?}");
    assert_eq!(brief.iter().filter(|told| told.0 == Some(false)).count(), 1, "gone is told once: {told:?}");
    let bridge = facts(&recording, "br-test");
    assert_eq!(bridge.last().expect("told")["up"], false, "{bridge:?}");
    assert!(bridge.iter().all(|link| link["programs"].is_null()), "no filter hangs there: {bridge:?}");

    let alert = lines.iter().find(|line| line["rule"] == "sensor-blinded").expect("the program is told");
    assert_eq!(alert["severity"], "high");
    assert!(alert["evidence"][0]["text"].as_str().is_some_and(|text| text.contains("tc egress on hv0")), "{alert}");
}

fn in_netns(daemon: &Dockerd, line: &str) -> String {
    let output = Command::new("nsenter")
        .arg(format!("--net=/var/run/netns/{}", daemon.netns()))
        .args(["sh", "-c", line])
        .output()
        .expect("nsenter");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A second sniffer beside the first, which may capture but not enter.
fn without_permission_that_is_said(daemon: &Dockerd) {
    let state = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/var/run/netns/{}", daemon.netns())).env("STATE_DIRECTORY", state.path());
    command.args(["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", env!("CARGO_BIN_EXE_hopwatch")]);
    command.args(["sniff", "-i", "docker0", "--inside=all", "--listen", "127.0.0.1:9922", "--format", "json"]);
    command.env("DOCKER_HOST", daemon.host()).stdout(Stdio::null()).stderr(Stdio::null());
    let _sniffer = Process(command.spawn().expect("hopwatch"));
    let get = |path: &str| in_netns(daemon, &format!("curl -sg -m 5 http://127.0.0.1:9922{path}"));
    wait_until("the refusal is said", || get("/readyz").contains("no permission to enter network namespaces"));
    assert!(get("/metrics").contains("observation_point=\"docker0\""), "the rest goes on");
}

#[test]
fn a_containers_macvlan_is_observed_while_it_runs() {
    if let Some(why) = dockerd::unavailable().or_else(|| unavailable().map(str::to_owned)) {
        println!("skipped: a_containers_macvlan_is_observed_while_it_runs: {why}");
        return;
    }
    let daemon = Dockerd::start(&[]);
    in_netns(&daemon, "ip link add mv0 type veth peer name mv1; ip link set mv0 up; ip link set mv1 up");
    in_netns(&daemon, "ip addr add 10.8.0.1/24 dev mv1");
    let network = ["network", "create", "-d", "macvlan", "--subnet", "10.8.0.0/24", "--ip-range", "10.8.0.64/26"];
    daemon.docker(&[&network[..], &["-o", "parent=mv0", "lan"]].concat());
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("recording");
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/var/run/netns/{}", daemon.netns())).arg(env!("CARGO_BIN_EXE_hopwatch"));
    command.args(["record", "-i", "docker0", "--inside", "--listen", "127.0.0.1:9921", "--format", "json", "-o"]);
    command
        .arg(&recording)
        .env("DOCKER_HOST", daemon.host())
        .env("STATE_DIRECTORY", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut sniffer = Process(command.spawn().expect("hopwatch"));
    let metrics = || in_netns(&daemon, "curl -sg -m 5 http://127.0.0.1:9921/metrics");
    wait_until("docker0 is captured", || metrics().contains("observation_point=\"docker0\""));

    daemon.docker(&["run", "-d", "--name", "bridged", IMAGE, "sleep", "600"]);
    daemon.docker(&["run", "-d", "--name", "web", "--network", "lan", IMAGE, "sleep", "600"]);
    wait_until("the macvlan is captured", || metrics().contains("observation_point=\"web:eth0\""));
    daemon.docker(&["exec", "web", "ping", "-c", "5", "-W", "5", "10.8.0.1"]);
    // A process in there may make interfaces as it likes; what comes later is found, and the bound is said.
    let pid = daemon.docker(&["inspect", "-f", "{{.State.Pid}}", "web"]);
    let more = "for i in 1 2 3 4 5 6; do ip link add v$i type veth peer name w$i; ip link set v$i up; ip link set w$i up; done";
    in_netns(&daemon, &format!("nsenter -t {pid} -n sh -c '{more}'"));
    let points = || metrics().matches("hopwatch_packets_total{observation_point=\"web:").count();
    wait_until("eight are captured", || points() == 8);
    let ready = || in_netns(&daemon, "curl -sg -m 5 http://127.0.0.1:9921/readyz");
    wait_until("the bound is said", || ready().contains("at most 8 of one workload"));
    assert_eq!(points(), 8);

    without_permission_that_is_said(&daemon);

    let id = daemon.docker(&["inspect", "-f", "{{.Id}}", "web"]);
    daemon.docker(&["rm", "-f", "web"]);
    wait_until("nothing is missing any more", || !ready().contains("at most 8 of one workload"));
    // Events are taken in order: when this one is captured, the end of the other was seen.
    daemon.docker(&["run", "-d", "--name", "later", "--network", "lan", IMAGE, "sleep", "600"]);
    wait_until("the next one is captured", || metrics().contains("observation_point=\"later:eth0\""));
    assert!(!metrics().contains("observation_point=\"bridged"), "its bridge shows it already");
    let pid = i32::try_from(sniffer.0.id()).expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).expect("told to end");
    assert!(sniffer.0.wait().expect("ended").success());

    // The macvlan is only then gone: a socket in its namespace would keep it, and the parent busy.
    let told = facts(&recording, "web:eth0");
    assert!(told.iter().any(|link| link["up"] == false), "{told:?}");
    assert!(told.iter().all(|link| link["inside"] == id.as_str()), "{told:?}");
    assert_eq!(told[0]["promiscuous"], true, "{told:?}");
    let replayed = Command::new(env!("CARGO_BIN_EXE_hopwatch"))
        .args(["replay", "--format", "json"])
        .arg(&recording)
        .output()
        .expect("replay");
    let lines = String::from_utf8_lossy(&replayed.stdout).into_owned();
    let last = lines.lines().last().expect("a summary");
    let summary: Value = serde_json::from_str(last).expect("JSON");
    let points = summary["points"].as_array().expect("points");
    let point = points.iter().find(|point| point["observation_point"] == "web:eth0").expect("it was recorded");
    assert!(point["packets"].as_u64().is_some_and(|packets| packets >= 10), "{point}");
    assert!(!lines.contains("sensor-blinded"), "a container that stops is in order: {lines}");
}
