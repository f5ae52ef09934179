//! The containerd and CRI readers against a real containerd: what they tell must be what happened, and when.
//!
//! Needs root, `containerd` with its CRI plugin, `runc` and the CNI plugins; says why it skips otherwise. All in one test,
//! because a daemon takes seconds. CRI-O speaks the same interface and is not packaged for Debian 12: not tested here.

#![allow(clippy::disallowed_methods, reason = "test code: failures panic, patience needs a clock")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::background_reader::BackgroundReader;
use crate::support::containerd::{self, Containerd, IMAGE};
use crate::support::cri::Kubelet;
use crate::support::patience::wait_until;
use hopwatch::input::{InventoryEvent, NamespaceMode, NetworkMode, Workload, WorkloadState};
use hopwatch::inventory::configuration::{HashKey, Redaction};
use hopwatch::inventory::containerd::{ContainerdOptions, ContainerdReader};
use hopwatch::inventory::cri::{CriOptions, CriReader};
use hopwatch::inventory::reader::{ReaderError, RuntimeReader as _};
use hopwatch::time::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Two clocks of a hundredth of a second each lie between a process's start and its report.
const GRAIN: Duration = Duration::from_millis(50);

fn by_containerd(options: ContainerdOptions) -> BackgroundReader {
    BackgroundReader::of(ContainerdReader::new(options))
}

fn by_cri(options: CriOptions) -> BackgroundReader {
    BackgroundReader::of(CriReader::new(options))
}

fn now() -> Timestamp {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    Timestamp::from_nanos(i64::try_from(age.as_nanos()).expect("this century"))
}

fn between(at: Timestamp, from: Timestamp, to: Timestamp) -> bool {
    from.minus(GRAIN) <= at && at <= to.plus(GRAIN)
}

fn containerd_options(daemon: &Containerd) -> ContainerdOptions {
    let reconcile_interval = Duration::from_secs(2);
    let redaction = showing_app();
    ContainerdOptions { address: daemon.address(), reconcile_interval, redaction, ..ContainerdOptions::default() }
}

fn cri_options(daemon: &Containerd) -> CriOptions {
    let redaction = showing_app();
    CriOptions { endpoint: format!("unix://{}", daemon.address()), redaction, ..CriOptions::default() }
}

/// As where the configuration selects by the label `app`.
fn showing_app() -> Redaction {
    Redaction { key: Some(HashKey::new([7; 32])), shown: ["app".to_owned()].into_iter().collect() }
}

/// Nothing that was put into a label, a variable or an argument as a secret.
fn holds_no_secret(workload: &Workload) {
    let text = serde_json::to_string(workload).expect("JSON");
    assert!(!text.contains("hunter2"), "{text}");
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(work)
}

#[test]
fn what_a_real_containerd_does_is_told() {
    if let Some(why) = containerd::unavailable() {
        println!("skipped: no containerd can be started here: {why}");
        return;
    }
    let mut daemon = Containerd::start();
    daemon
        .sleeper("before", &["--label", "app=shop", "--label", "token=hunter2-label", "--env", "PASSWORD=hunter2-env"]);
    daemon.ctr("moby", &["run", "-d", IMAGE, "dockers", "sleep", "100000"]);
    snapshot_of(&daemon);

    let told = by_containerd(containerd_options(&daemon));
    told.connected();
    let before = told.workload("before");
    assert_eq!(told.reconciled(), std::slice::from_ref(&before.id), "Docker's own containers are left to Docker");
    start_and_stop(&daemon, &told);
    pause_and_label(&daemon, &told);
    gone_at_once(&daemon, &told);
    shared_namespaces(&daemon, &told, &before);

    let kubelet = Kubelet::new(&daemon.address(), &daemon.plain());
    let pods = by_cri(cri_options(&daemon));
    pods.connected();
    assert!(pods.reconciled().is_empty(), "containers without a pod are not the kubelet's");
    let pod = a_pod_with_two_containers(&daemon, &kubelet, &pods);
    a_pod_on_the_hosts_network(&kubelet, &pods);
    restart(&mut daemon, &told, &pods, &before, &pod);
    wait_until("CRI is asked, where this containerd sends no events over it", || pods.counters.polls() > 0);
    kubelet.remove_pod(pod.sandbox.id.as_str());
    pods.stopped(&pod.sandbox.id);
    frozen(&daemon);
}

/// The whole inventory at once, in the readers' own call.
fn snapshot_of(daemon: &Containerd) {
    let events = block_on(ContainerdReader::new(containerd_options(daemon)).snapshot()).expect("snapshot");
    let [InventoryEvent::Workload(before)] = &events[..] else { panic!("one container: {events:#?}") };
    assert_eq!(before.id.as_str(), format!("{}/before", daemon.plain()));
    assert_eq!(
        (&*before.name, &*before.image, before.runtime),
        ("before", IMAGE, hopwatch::input::RuntimeId::CONTAINERD)
    );
    assert_eq!(before.labels.get("app").map(String::as_str), Some("shop"));
    assert!(before.labels.contains_key("token"), "{before:?}");
    holds_no_secret(before);
    assert_eq!((&before.network_mode, before.attachments.len()), (&NetworkMode::Own, 0));
    assert!(before.image_digest.starts_with("sha256:") && before.since.is_some(), "{before:?}");
    assert_eq!(before.pid, Some(pid_of(daemon, "before")));
    settings_of(before);
    assert!(block_on(CriReader::new(cri_options(daemon)).snapshot()).expect("snapshot").is_empty());
}

/// What ctr sets up without being asked: no filter of system calls, its own namespaces, nothing mounted.
fn settings_of(workload: &Workload) {
    let settings = workload.configuration.as_ref().expect("a specification");
    assert_eq!(settings.command.first().map(String::as_str), Some("sleep"));
    assert_eq!((settings.privileged, settings.namespaces.pid.clone()), (false, NamespaceMode::Own));
    assert!(settings.capabilities.as_ref().is_some_and(|all| all.contains("CAP_CHOWN")), "{settings:?}");
    assert!(settings.mounts.is_empty() && settings.logging.is_none() && settings.unread.is_empty(), "{settings:?}");
    assert!(settings.variable("PATH").is_some(), "{settings:?}");
}

fn pid_of(daemon: &Containerd, name: &str) -> u32 {
    let tasks = daemon.ctr(&daemon.plain(), &["tasks", "list"]);
    let line = tasks.lines().find(|line| line.starts_with(name)).expect("a task");
    line.split_whitespace().nth(1).expect("a pid").parse().expect("a number")
}

fn start_and_stop(daemon: &Containerd, told: &BackgroundReader) {
    let asked = now();
    daemon.sleeper("app", &[]);
    let running = now();
    let app = told.workload("app");
    let since = app.since.expect("dated");
    assert!(between(since, asked, running), "{since} is not between {asked} and {running}");
    assert_eq!(app.pid, Some(pid_of(daemon, "app")));
    let asked = now();
    daemon.ctr(&daemon.plain(), &["tasks", "kill", "-s", "SIGKILL", "app"]);
    let until = told.stopped(&app.id);
    assert!(between(until, asked, now()), "{until} is not after {asked}");
    daemon.ctr(&daemon.plain(), &["tasks", "rm", "app"]);
    daemon.ctr(&daemon.plain(), &["tasks", "start", "-d", "app"]);
    let again = told.workload("app");
    assert!(again.since.expect("dated") > until && again.pid != app.pid, "{again:?} after {until}");
    daemon.remove("app");
    told.stopped(&app.id);
}

fn pause_and_label(daemon: &Containerd, told: &BackgroundReader) {
    daemon.sleeper("frozen", &[]);
    let running = told.workload("frozen");
    daemon.ctr(&daemon.plain(), &["tasks", "pause", "frozen"]);
    let paused = told.in_state("frozen", WorkloadState::Paused);
    assert_eq!((paused.since, paused.pid), (running.since, running.pid), "a pause is not a new start");
    daemon.ctr(&daemon.plain(), &["tasks", "resume", "frozen"]);
    assert_eq!(told.workload("frozen").since, running.since);
    daemon.ctr(&daemon.plain(), &["containers", "label", "frozen", "nerdctl/name=thawed"]);
    assert_eq!(told.workload("thawed").since, running.since, "a new name is not a new start");
    daemon.remove("frozen");
    told.stopped(&running.id);
}

fn gone_at_once(daemon: &Containerd, told: &BackgroundReader) {
    let asked = now();
    daemon.ctr(&daemon.plain(), &["run", "--rm", IMAGE, "flash", "true"]);
    let ended = now();
    let flash = told.workload("flash");
    let (since, until) = (flash.since.expect("dated"), told.stopped(&flash.id));
    assert!(between(since, asked, ended) && between(until, since, ended), "{since} to {until}");
}

fn shared_namespaces(daemon: &Containerd, told: &BackgroundReader, before: &Workload) {
    daemon.sleeper("exporter", &["--net-host"]);
    assert_eq!(told.workload("exporter").network_mode, NetworkMode::Host);
    let path = format!("network:/proc/{}/ns/net", before.pid.expect("runs"));
    daemon.sleeper("sidecar", &["--with-ns", &path]);
    assert_eq!(told.workload("sidecar").network_mode, NetworkMode::Container(before.id.clone()));
    for name in ["exporter", "sidecar"] {
        daemon.remove(name);
    }
}

struct PodSeen {
    sandbox: Arc<Workload>,
    web: Arc<Workload>,
}

fn a_pod_with_two_containers(daemon: &Containerd, kubelet: &Kubelet, told: &BackgroundReader) -> PodSeen {
    let asked = now();
    let config = kubelet.pod("shop-1", &[("app", "shop"), ("token", "hunter2-pod")], false);
    let id = kubelet.run_pod(&config);
    let sandbox = told.workload("shop-1");
    assert_eq!((sandbox.id.as_str(), &sandbox.network_mode), (&*id, &NetworkMode::Own));
    let [attachment] = &sandbox.attachments[..] else { panic!("{sandbox:?}") };
    let [address] = attachment.addresses[..] else { panic!("{attachment:?}") };
    assert!(address.to_string().starts_with("10.77.0."), "{attachment:?}");
    assert_eq!(attachment.gateways, ["10.77.0.1".parse::<std::net::IpAddr>().expect("address")]);
    assert!(attachment.mac.is_some() && sandbox.pid.is_some(), "{sandbox:?}");
    holds_no_secret(&sandbox);
    let pod = sandbox.pod.clone().expect("a pod");
    assert_eq!((&*pod.name, &*pod.namespace, &*pod.uid, pod.sandbox), ("shop-1", "lab", "uid-shop-1", true));
    assert_eq!(sandbox.labels.get("app").map(String::as_str), Some("shop"));
    assert!(between(sandbox.since.expect("dated"), asked, now()), "{sandbox:?}");

    kubelet.run(&id, &config, "web", IMAGE, &["sh", "-c", "sleep 100000; : hunter2-word"]);
    let web = told.workload("web");
    let asked = now();
    let helper_id = kubelet.run(&id, &config, "helper", IMAGE, &["sleep", "100000"]);
    let helper = told.workload("helper");
    assert!(between(helper.since.expect("dated"), asked, now()), "{helper:?}");
    for container in [&web, &helper] {
        assert_eq!(container.network_mode, NetworkMode::Container(sandbox.id.clone()));
        assert!(container.attachments.is_empty() && container.pid.is_some_and(|pid| Some(pid) != sandbox.pid));
        assert_eq!(container.labels.get("io.kubernetes.pod.name").map(String::as_str), Some("shop-1"));
        let pod = container.pod.as_ref().expect("a pod");
        assert_eq!((&*pod.name, pod.sandbox), ("shop-1", false));
        assert!(container.image_digest.starts_with("sha256:"), "{container:?}");
        holds_no_secret(container);
    }
    let running = block_on(CriReader::new(cri_options(daemon)).snapshot()).expect("snapshot");
    assert_eq!(running.len(), 3, "the sandbox and what runs in it: {running:#?}");
    let asked = now();
    kubelet.stop(&helper_id);
    let until = told.stopped(&helper.id);
    assert!(between(until, asked, now()), "{until} is not after {asked}");
    kubelet.run(&id, &config, "flash", IMAGE, &["true"]);
    let flash = told.workload("flash");
    let until = told.stopped(&flash.id);
    assert!(flash.since.is_some_and(|since| since <= until), "{flash:?} until {until}");
    PodSeen { sandbox, web }
}

fn a_pod_on_the_hosts_network(kubelet: &Kubelet, told: &BackgroundReader) {
    let config = kubelet.pod("exporter-1", &[], true);
    let id = kubelet.run_pod(&config);
    let sandbox = told.workload("exporter-1");
    assert_eq!((&sandbox.network_mode, sandbox.attachments.len()), (&NetworkMode::Host, 0));
    kubelet.run(&id, &config, "exporter", IMAGE, &["sleep", "100000"]);
    let exporter = told.workload("exporter");
    assert_eq!(exporter.network_mode, NetworkMode::Host, "its sockets are the host's");
    let asked = now();
    kubelet.remove_pod(&id);
    let ended = now();
    let mut ends = std::collections::BTreeMap::new();
    while ends.len() < 2 {
        told.next("the ends", |event| match event {
            InventoryEvent::Stopped { id, until } => {
                ends.insert(id.clone(), *until);
                Some(())
            }
            _ => None,
        });
    }
    for id in [&sandbox.id, &exporter.id] {
        let until = ends[id];
        assert!(between(until, asked, ended), "{id}: {until} is not between {asked} and {ended}");
    }
}

/// The daemon is away; a container without a pod and one in a pod end meanwhile, the others run on.
fn restart(
    daemon: &mut Containerd,
    told: &BackgroundReader,
    pods: &BackgroundReader,
    before: &Workload,
    pod: &PodSeen,
) {
    daemon.sleeper("doomed", &[]);
    let doomed = told.workload("doomed");
    daemon.stop();
    for reader in [told, pods] {
        let error = reader.cut();
        assert!(!error.is_empty(), "{error}");
    }
    let asked = now();
    for workload in [&doomed, &pod.web] {
        let pid = i32::try_from(workload.pid.expect("runs")).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs while its daemon is away");
    }
    for workload in [&doomed, &pod.web] {
        let process = format!("/proc/{}", workload.pid.expect("ran"));
        wait_until("its shim has seen the end", || !Path::new(&process).exists());
    }
    let killed = now();
    daemon.launch();
    for reader in [told, pods] {
        let mut cuts = 0;
        reader.next("the connection", |event| {
            cuts += u32::from(matches!(event, InventoryEvent::Disconnected { .. }));
            matches!(event, InventoryEvent::Connected { .. }).then_some(())
        });
        assert!(cuts <= 1, "one absence is told once: the runtime answers before its CRI plugin does");
    }
    let again = told.workload("before");
    assert_eq!((again.since, again.pid), (before.since, before.pid), "it ran on all the time");
    let until = told.stopped(&doomed.id);
    assert!(between(until, asked, killed), "{until} is not between {asked} and {killed}");
    assert_eq!(told.reconciled(), std::slice::from_ref(&before.id));
    let again = pods.workload("shop-1");
    assert_eq!((again.since, &again.attachments), (pod.sandbox.since, &pod.sandbox.attachments));
    let until = pods.stopped(&pod.web.id);
    assert!(between(until, asked, now()), "{until} is not after {asked}");
    assert!(told.counters.reconnects() > 0 && pods.counters.reconnects() > 0);
}

/// A daemon that does not answer is told as such, and is heard again afterwards.
fn frozen(daemon: &Containerd) {
    let timeout = Duration::from_secs(1);
    let told = by_containerd(ContainerdOptions { timeout, ..containerd_options(daemon) });
    let pods = by_cri(CriOptions { timeout, ..cri_options(daemon) });
    for reader in [&told, &pods] {
        reader.reconciled();
    }
    daemon.freeze();
    for reader in [&told, &pods] {
        let error = reader.cut();
        assert!(error.contains("no answer in time"), "{error}");
    }
    daemon.thaw();
    for reader in [&told, &pods] {
        reader.connected();
        reader.reconciled();
    }
}

#[test]
fn what_is_wrong_with_a_socket_is_told_apart() {
    let folder = tempfile::tempdir().expect("folder");
    let timeout = Duration::from_millis(500);
    let errors = |address: &str| {
        let options = ContainerdOptions { address: address.to_owned(), timeout, ..ContainerdOptions::default() };
        let plain = block_on(ContainerdReader::new(options).snapshot()).expect_err("no daemon");
        let options = CriOptions { endpoint: address.to_owned(), timeout, ..CriOptions::default() };
        [plain, block_on(CriReader::new(options).snapshot()).expect_err("no daemon")]
    };
    let path = |name: &str| folder.path().join(name).display().to_string();
    for error in errors("tcp://127.0.0.1:2375") {
        assert!(matches!(error, ReaderError::Address { .. }), "{error}");
    }
    for error in errors(&path("absent")) {
        assert!(matches!(error, ReaderError::Absent { .. }), "{error}");
    }
    drop(std::os::unix::net::UnixListener::bind(path("dead")).expect("socket"));
    for error in errors(&path("dead")) {
        assert!(matches!(error, ReaderError::Refused { .. }), "{error}");
    }
    for (name, words) in [("garbage", &b"SSH-2.0-other\r\n"[..]), ("http", b"HTTP/1.1 400 Bad Request\r\n\r\n")] {
        let _other = answering(&path(name), words);
        for error in errors(&path(name)) {
            assert!(matches!(error, ReaderError::NotSpoken { .. }), "{name}: {error}");
        }
    }
    let _silent = answering(&path("silent"), b"");
    for error in errors(&path("silent")) {
        assert!(matches!(error, ReaderError::Request { .. }), "{error}");
        assert!(error.to_string().contains("no answer in time"), "{error}");
    }
}

/// A client that connects reads these words and nothing more; the connection stays open.
fn answering(path: &str, words: &'static [u8]) -> std::thread::JoinHandle<()> {
    let listener = std::os::unix::net::UnixListener::bind(path).expect("socket");
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut connection in listener.incoming().flatten() {
            use std::io::Write as _;
            let _ = connection.write_all(words);
            open.push(connection);
        }
    })
}

#[test]
fn a_missing_socket_is_told_once_and_the_reader_stops_when_asked() {
    let options = ContainerdOptions { address: "/nonexistent/containerd.sock".into(), ..ContainerdOptions::default() };
    let told = by_containerd(options);
    let error = told.cut();
    assert!(error.contains("/nonexistent/containerd.sock"), "{error}");
    wait_until("it asks again", || told.counters.reconnects() >= 3);
    assert!(told.events.try_recv().is_err(), "the same cut is not told again");
}
