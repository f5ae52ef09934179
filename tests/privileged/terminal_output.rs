//! What people are shown of a real Docker daemon: the tree of the inventory, and a frame of `hopwatch top` with traffic.
//!
//! Needs root and an installed `dockerd`; says why it skips otherwise. One test, because a daemon takes seconds.

use std::process::Command;

use crate::support::dockerd::{self, Dockerd, IMAGE};

const CONFIG: &str = "hops: {proxy: {addresses: [172.30.9.200]}}\n\
    contracts: [{name: around, from: [{name: web}], to: [172.30.9.0/24], via: [proxy]}]\n";

/// What a command prints inside the daemon's network namespace.
fn hopwatch(daemon: &Dockerd, arguments: &[&str]) -> String {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/var/run/netns/{}", daemon.netns())).arg(env!("CARGO_BIN_EXE_hopwatch")).args(arguments);
    let output = command.env("DOCKER_HOST", daemon.host()).env("NO_COLOR", "1").output().expect("hopwatch runs");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}{errors}");
    text.into_owned()
}

fn sleeper<'a>(name: &'a str, network: &'a str) -> [&'a str; 8] {
    ["run", "-d", "--name", name, "--network", network, IMAGE, "sleep"]
}

#[test]
fn a_real_daemon_is_shown_as_it_is() {
    if let Some(why) = dockerd::unavailable() {
        println!("skipped: no Docker daemon can be started here: {why}");
        return;
    }
    let daemon = Dockerd::start(&[]);
    daemon.docker(&["network", "create", "--subnet", "172.30.9.0/24", "front"]);
    for (name, network) in [("web", "front"), ("peer", "front"), ("exporter", "host"), ("joined", "container:web")] {
        daemon.docker(&[&sleeper(name, network)[..], &["600"]].concat());
    }
    tree_of(&daemon);
    frame_of(&daemon);
}

fn tree_of(daemon: &Dockerd) {
    let tree = hopwatch(daemon, &["inventory", "--tree"]);
    println!("{tree}");
    let line = |part: &str| {
        let found = tree.lines().position(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("no {part} in\n{tree}"))
    };
    assert!(tree.contains("network front: bridge, 172.30.9.0/24, on br-"), "{tree}");
    assert!(tree.lines().any(|line| line.contains("veth") && line.contains("→ eth0 172.30.9.")), "{tree}");
    let pid = daemon.docker(&["inspect", "--format", "{{.State.Pid}}", "web"]);
    let netns = std::fs::read_link(format!("/proc/{pid}/ns/net")).expect("a process").display().to_string();
    let place = line(&netns);
    assert_eq!((line(" web, "), line(" joined, ")), (place + 1, place + 2), "both in their namespace:\n{tree}");
    let own = std::fs::read_link("/proc/self/ns/net").expect("this process").display().to_string();
    assert!(!tree.contains(&own), "the daemon's host is another namespace than this test's:\n{tree}");
    assert!(line(" exporter, ") > line("the host's own network namespace net:["), "{tree}");
    assert!(!tree.contains('!'), "nothing is otherwise than Docker says:\n{tree}");
}

fn frame_of(daemon: &Dockerd) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("hopwatch.yaml");
    std::fs::write(&config, CONFIG).expect("a file");
    let peer = daemon.docker(&["inspect", "--format", "{{.NetworkSettings.Networks.front.IPAddress}}", "peer"]);
    daemon.docker(&["exec", "-d", "web", "ping", "-c", "20", "-s", "1000", &peer]);
    let arguments = ["top", "--once", "--duration", "8s", "-i", "br-*", "-c", &config.display().to_string()];
    let frame = hopwatch(daemon, &arguments);
    println!("{frame}");
    let row = |name: &str| {
        let found = frame.lines().find(|line| line.starts_with(&format!("{name} ")));
        found.unwrap_or_else(|| panic!("no row {name} in\n{frame}")).split_whitespace().collect::<Vec<_>>()
    };
    assert!(frame.contains("docker connected") && frame.contains(" 0 lost"), "{frame}");
    let web = row("web");
    assert_eq!(web[..5], ["web", "docker", "own", "running", "1"], "one flow goes on:\n{frame}");
    assert!(web.contains(&"0/1/0/0") && web.contains(&"H1"), "it went around its hop:\n{frame}");
    for way in [web[6], web[7]] {
        let rate =
            way.strip_suffix('k').map_or_else(|| way.parse(), |thousands| thousands.parse().map(|k: f64| k * 1000.0));
        assert!((400.0..4000.0).contains(&rate.expect("a rate")), "about a kilobyte a second each way:\n{frame}");
    }
    assert!(web.contains(&"0/100/0"), "another container shares its network, and a ping has no socket:\n{frame}");
    assert_eq!(row("exporter")[..4], ["exporter", "docker", "host", "running"], "a row without a flow:\n{frame}");
    assert!(frame.contains("HIGH     egress-skips-proxy web → "), "{frame}");
}
