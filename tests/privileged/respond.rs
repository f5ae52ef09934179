//! Responses through a real Docker daemon: each is done, felt from inside, undone, and done and undone twice.
//!
//! Needs root and an installed `dockerd`; says why it skips otherwise. Few tests, because a daemon takes seconds.

mod block;
mod interrupted;
mod quarantine_and_stop;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::dockerd::{self, Dockerd, IMAGE};
use crate::support::patience::{PATIENCE, end, wait_until};
use crate::support::stalling_socket::{Hold, StallingSocket};
use hopwatch::clock::now;

/// A daemon with a server on two networks and a client, and hopwatch's files.
struct Scene {
    daemon: Dockerd,
    folder: tempfile::TempDir,
    socket: StallingSocket,
}

const ALERT: &str = "2491e3e63140177f";
const SERVE: &str = "nc -ll -p 80 -e /bin/busybox echo hello";

impl Scene {
    fn new(response: &str) -> Self {
        let daemon = Dockerd::start(&["--live-restore"]);
        let folder = tempfile::tempdir().expect("a folder");
        let to = PathBuf::from(daemon.host().trim_start_matches("unix://"));
        let socket = StallingSocket::start(&folder.path().join("runtime.sock"), to);
        let [state, runtime] = ["state", "runtime.sock"].map(|name| folder.path().join(name).display().to_string());
        let config = format!(
            "state: {{dir: {state:?}}}\nruntime: {{discover: false, docker: {{socket: {runtime:?}}}}}\nresponse: {response}\n"
        );
        std::fs::write(folder.path().join("hopwatch.yaml"), config).expect("written");
        daemon.docker(&["network", "create", "--subnet", "172.30.1.0/24", "front"]);
        daemon.docker(&["network", "create", "back"]);
        let scene = Self { daemon, folder, socket };
        scene.serve(&[]);
        scene.daemon.docker(&["run", "-d", "--name", "client", "--network", "front", IMAGE, "sleep", "600"]);
        scene
    }

    /// Starts the server.
    fn serve(&self, more: &[&str]) {
        let fixed = [
            "run",
            "-d",
            "--name",
            "web",
            "--network",
            "front",
            "--ip",
            "172.30.1.9",
            "--network-alias",
            "shop",
            "-e",
            "TOKEN=hunter2",
            // Its shell ignores SIGTERM, and Docker waits 10 s before it kills.
            "--stop-timeout",
            "1",
        ];
        self.daemon.docker(&[&fixed[..], more, &[IMAGE, "sh", "-c", SERVE]].concat());
        self.daemon.docker(&["network", "connect", "--alias", "store", "back", "web"]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn inspect(&self, name: &str) -> Value {
        let text = self.daemon.docker(&["inspect", name]);
        serde_json::from_str::<Value>(&text).expect("JSON")[0].clone()
    }

    /// An alert about the server, seen now, in a file.
    fn alert(&self, id: &str) {
        self.alert_about("web", id);
    }

    fn alert_about(&self, name: &str, id: &str) {
        self.alert_to(name, id, "172.30.1.200");
    }

    fn alert_to(&self, name: &str, id: &str, other: &str) {
        let web = self.inspect(name);
        let alert = json!({
            "schema": "hopwatch.alert/1", "id": id, "rule": "egress-skips-proxy", "last_seen": now(),
            "workload": {"id": web["Id"], "name": name, "runtime": "docker"},
            "attribution": {"result": "workload", "confidence": "exact"},
            "flow": {"orig": {"ip": "172.30.1.9", "port": 4000}, "resp": {"ip": other, "port": 443}},
        });
        std::fs::write(self.path("alert.json"), alert.to_string()).expect("written");
    }

    fn hopwatch(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("hopwatch")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.daemon.netns(), env!("CARGO_BIN_EXE_hopwatch"), "respond"]);
        command.args(args).arg("--config").arg(self.path("hopwatch.yaml")).current_dir(self.folder.path());
        command
    }

    /// What it prints when it succeeds.
    fn respond(&self, args: &[&str]) -> String {
        let output = self.hopwatch(args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(!text.contains("hunter2"), "{text}");
        text
    }

    /// Why it does not succeed.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.hopwatch(args);
        assert_eq!(output.status.code(), Some(4), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Whether the client gets an answer from the server.
    fn answers(&self, at: &str) -> bool {
        self.answers_to("client", at)
    }

    fn answers_to(&self, name: &str, at: &str) -> bool {
        let asked = format!("busybox timeout 2 nc {at} 80 </dev/null");
        let output =
            Command::new("docker").args(["-H", &self.daemon.host(), "exec", name, "sh", "-c", &asked]).output();
        String::from_utf8_lossy(&output.expect("docker").stdout).contains("hello")
    }

    fn ip_of(&self, name: &str) -> String {
        let ip = &self.inspect(name)["NetworkSettings"]["Networks"]["front"]["IPAddress"];
        ip.as_str().expect("an address").to_owned()
    }

    /// Runs a command in the network namespace that the daemon takes for the host's.
    fn on_host(&self, command: &str) -> String {
        let output = Command::new("ip").args(["netns", "exec", self.daemon.netns(), "sh", "-c", command]).output();
        let output = output.expect("ip");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn audit(&self) -> String {
        std::fs::read_to_string(self.path("state/respond/audit.jsonl")).expect("an audit log")
    }

    fn listed(&self) -> Vec<Value> {
        serde_json::from_str(&self.respond(&["list", "--all", "--format", "json"])).expect("JSON")
    }

    /// Kills `hopwatch respond` while a request, or its answer, is held back.
    fn kill_at(&self, hold: Hold, words: &'static str, args: &[&str]) {
        self.socket.hold(hold, words);
        let mut child = self.command(args).stdout(Stdio::null()).spawn().expect("hopwatch");
        self.socket.wait();
        end(&mut child, Signal::SIGKILL, PATIENCE);
        self.socket.hold(Hold::Nothing, "");
    }

    fn state_of_last(&self) -> String {
        let listed = self.listed();
        listed.first().expect("a response")["state"].as_str().expect("a state").to_owned()
    }
}

/// Arguments about the alert in the file.
fn about(more: &[&'static str]) -> Vec<&'static str> {
    [&["--alert", "alert.json"], more].concat()
}

/// What must be the same after an undo.
fn endpoint(inspect: &Value, network: &str) -> Value {
    let endpoint = &inspect["NetworkSettings"]["Networks"][network];
    let mut aliases: Vec<_> = endpoint["Aliases"].as_array().into_iter().flatten().cloned().collect();
    aliases.sort_by_key(Value::to_string);
    aliases.dedup();
    json!({"ip": endpoint["IPAddress"], "aliases": aliases, "ipam": endpoint["IPAMConfig"]["IPv4Address"]})
}

#[test]
fn a_container_is_paused_and_taken_off_its_network_and_all_is_as_before_after_the_undo() {
    if let Some(why) = dockerd::unavailable() {
        println!("skipped: no Docker daemon can be started here: {why}");
        return;
    }
    let scene = Scene::new("{enabled: true, limit: 6, protected: [{name: guarded}]}");
    wait_until("the server answers", || scene.answers("172.30.1.9"));
    scene.alert(ALERT);

    let fits = scene.respond(&about(&[]));
    assert!(fits.contains("begin here") && fits.contains("disconnect"), "{fits}");
    let plan = scene.respond(&about(&["--action", "pause", "--plan"]));
    assert!(plan.contains("POST /v1.41/containers/") && plan.contains("/unpause"), "{plan}");
    assert_eq!(plan, scene.respond(&about(&["--action", "pause"])), "the same text for the same plan");
    assert!(!scene.path("state/respond").exists(), "a plan writes nothing");
    pause(&scene);
    disconnect(&scene);
    another_takes_the_address(&scene);
    restarted_recreated_protected(&scene);
    assert!(!scene.audit().contains("hunter2"));
}

fn pause(scene: &Scene) {
    let done = scene.respond(&about(&["--action", "pause", "--apply"]));
    assert!(done.contains("is paused") && done.contains("--undo"), "{done}");
    assert_eq!(scene.inspect("web")["State"]["Paused"], true);
    assert!(!scene.answers("172.30.1.9"), "a frozen server does not answer");
    let twice = scene.respond(&about(&["--action", "pause", "--apply"]));
    assert!(twice.contains("response 1 does that"), "{twice}");
    assert!(scene.respond(&["list"]).contains("active"));
    let undone = scene.respond(&[ALERT, "--undo"]);
    assert!(undone.contains("no longer paused"), "{undone}");
    wait_until("the server answers again", || scene.answers("172.30.1.9"));
    let twice = scene.respond(&[ALERT, "--undo"]);
    assert!(twice.contains("nothing that was done"), "{twice}");
    scene.daemon.docker(&["pause", "web"]);
    let theirs = scene.respond(&about(&["--action", "pause", "--apply"]));
    assert!(theirs.contains("by somebody else"), "{theirs}");
    scene.daemon.docker(&["unpause", "web"]);
    assert_eq!(scene.listed().len(), 1, "what was so already is no response");
}

fn disconnect(scene: &Scene) {
    let before = scene.inspect("web");
    scene.respond(&about(&["--action", "disconnect", "--apply"]));
    let off = scene.inspect("web");
    let networks = off["NetworkSettings"]["Networks"].as_object().expect("networks");
    assert_eq!(networks.keys().collect::<Vec<_>>(), ["back"], "the network of the flow, and only that");
    assert!(!scene.answers("172.30.1.9") && !scene.answers("shop"));
    let twice = scene.respond(&about(&["--action", "disconnect", "--apply"]));
    assert!(twice.contains("response 2 does that"), "{twice}");
    scene.daemon.docker(&["restart", "-t", "0", "web"]);
    assert!(!scene.answers("172.30.1.9"), "it lasts over a restart");
    let undone = scene.respond(&[ALERT, "--undo"]);
    assert!(undone.contains("again, as before"), "{undone}");
    let after = scene.inspect("web");
    for network in ["front", "back"] {
        assert_eq!(endpoint(&before, network), endpoint(&after, network), "{network}");
    }
    wait_until("the server answers again, by its name", || scene.answers("shop"));
    scene.respond(&[ALERT, "--undo"]);
}

/// An address that is free goes to the next that asks for it; the undo then gives another and says so.
fn another_takes_the_address(scene: &Scene) {
    scene.alert(ALERT);
    scene.respond(&about(&["--action", "disconnect", "--apply"]));
    scene.daemon.docker(&[
        "run",
        "-d",
        "--name",
        "thief",
        "--network",
        "front",
        "--ip",
        "172.30.1.9",
        IMAGE,
        "sleep",
        "600",
    ]);
    let undone = scene.respond(&[ALERT, "--undo"]);
    assert!(undone.contains("IPAMConfig was") && undone.contains("172.30.1.9"), "{undone}");
    wait_until("the server answers under its alias", || scene.answers("shop"));
    scene.daemon.docker(&["rm", "-f", "thief"]);
    // A network whose addresses the runtime chose takes no address that is asked for.
    let undone = {
        scene.respond(&about(&["--action", "disconnect", "--network", "back", "--apply"]));
        scene.respond(&[ALERT, "--undo"])
    };
    assert!(undone.contains("it is on the network back again"), "{undone}");
    let aliases = endpoint(&scene.inspect("web"), "back")["aliases"].to_string();
    assert!(aliases.contains("store"), "{aliases}");
}

fn restarted_recreated_protected(scene: &Scene) {
    scene.respond(&about(&["--action", "pause", "--apply"]));
    scene.daemon.docker(&["unpause", "web"]);
    scene.daemon.docker(&["restart", "-t", "0", "web"]);
    let undone = scene.respond(&[ALERT, "--undo"]);
    assert!(undone.contains("started anew since"), "{undone}");
    let seen = now();
    wait_until("a second has passed", || now().since(seen) > std::time::Duration::from_millis(1_100));
    scene.daemon.docker(&["restart", "-t", "0", "web"]);
    let why = scene.refused(&about(&["--action", "pause", "--apply"]));
    assert!(why.contains("started anew at"), "{why}");
    scene.daemon.docker(&["rm", "-f", "web"]);
    scene.serve(&[]);
    let why = scene.refused(&about(&["--action", "pause", "--apply"]));
    assert!(why.contains("is another one now"), "{why}");
    scene.daemon.docker(&["rename", "web", "guarded"]);
    scene.alert_about("guarded", ALERT);
    let why = scene.refused(&about(&["--action", "pause", "--apply", "--force"]));
    assert!(why.contains("response.protected selects it"), "{why}");
    scene.daemon.docker(&["rename", "guarded", "web"]);
    scene.alert(ALERT);
    scene.respond(&about(&["--action", "pause", "--apply"]));
    scene.respond(&[ALERT, "--undo"]);
    let why = scene.refused(&about(&["--action", "pause", "--apply"]));
    assert!(why.contains("6 responses were made within 10m"), "{why}");
    assert!(scene.audit().contains("\"kind\":\"refused\""), "a refusal is written down");
}
