//! Blocks of addresses, which the kernel ends by itself.

use super::*;

#[test]
fn a_block_drops_one_pair_of_addresses_and_ends_in_the_kernel() {
    if let Some(why) = dockerd::unavailable() {
        println!("skipped: no Docker daemon can be started here: {why}");
        return;
    }
    if !["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"].iter().any(|path| std::path::Path::new(path).is_file()) {
        println!("skipped: nft is not installed");
        return;
    }
    let scene = Scene::new("{enabled: true, limit: 100}");
    scene.daemon.docker(&["run", "-d", "--name", "other", "--network", "front", IMAGE, "sleep", "600"]);
    wait_until("the server answers", || scene.answers("172.30.1.9"));
    scene.alert_to("web", ALERT, &scene.ip_of("client"));
    let rules = scene.on_host("nft list ruleset | grep -v counter | grep -v expires");

    let done = scene.respond(&about(&["--action", "block", "--apply", "--for", "1h"]));
    assert!(done.contains("blocked from 172.30.1."), "{done}");
    assert!(!scene.answers("172.30.1.9") && scene.answers_to("other", "172.30.1.9"), "one pair, and no other");
    assert!(scene.respond(&about(&["--action", "block", "--apply"])).contains("does that"));
    scene.on_host("nft delete table bridge hopwatch");
    let said = scene.respond(&["run", "--once"]);
    assert!(said.contains("put back"), "{said}");
    assert!(!scene.answers("172.30.1.9"));
    let undone = scene.respond(&[ALERT, "--undo"]);
    assert!(undone.contains("no longer blocked"), "{undone}");
    assert!(scene.answers("172.30.1.9"));
    assert!(scene.respond(&[ALERT, "--undo"]).contains("nothing that was done"));

    scene.respond(&about(&["--action", "block", "--apply", "--for", "2s"]));
    wait_until("the kernel ends it, with no process of ours", || scene.answers("172.30.1.9"));
    wait_until("its time is over", || !scene.respond(&["run", "--once"]).is_empty());
    assert_eq!(scene.state_of_last(), "undone");
    the_gateway_is_refused(&scene);
    routed(&scene);
    a_block_never_outlives_its_container(&scene);
    scene.on_host("nft delete table bridge hopwatch; nft delete table inet hopwatch");
    assert_eq!(
        scene.on_host("nft list ruleset | grep -v counter | grep -v expires"),
        rules,
        "nothing else was touched"
    );
}

fn the_gateway_is_refused(scene: &Scene) {
    scene.alert_to("web", ALERT, "172.30.1.1");
    let why = scene.refused(&about(&["--action", "block", "--apply", "--force"]));
    assert!(why.contains("172.30.1.1 is not blocked: it is the gateway"), "{why}");
}

/// Behind the host's routes: the table `inet` alone is enough there.
fn routed(scene: &Scene) {
    let outside = Outside::beyond(scene);
    scene.alert_to("web", ALERT, "198.51.100.7");
    let reaches = || {
        let asked = "busybox timeout 2 nc 198.51.100.7 443 </dev/null";
        let output =
            Command::new("docker").args(["-H", &scene.daemon.host(), "exec", "web", "sh", "-c", asked]).output();
        String::from_utf8_lossy(&output.expect("docker").stdout).contains("hello")
    };
    wait_until("the outside is reached", reaches);
    scene.respond(&about(&["--action", "block", "--apply", "--for", "1h"]));
    assert!(!reaches());
    scene.on_host("nft delete table bridge hopwatch");
    assert!(!reaches(), "what is routed is dropped by inet, too");
    scene.respond(&[ALERT, "--undo"]);
    assert!(reaches());
    drop(outside);
}

/// A namespace behind the one of the daemon, with a server in it.
struct Outside {
    name: String,
    server: std::process::Child,
}

impl Outside {
    fn beyond(scene: &Scene) -> Self {
        let name = format!("{}-out", scene.daemon.netns());
        let run = |command: String| {
            let mut parts = command.split(' ');
            let status = Command::new(parts.next().expect("a program")).args(parts).status();
            assert!(status.expect("ip").success(), "{command}");
        };
        run(format!("ip netns add {name}"));
        run(format!("ip -n {} link add out0 type veth peer name in0 netns {name}", scene.daemon.netns()));
        run(format!("ip -n {} addr add 198.51.100.1/24 dev out0", scene.daemon.netns()));
        run(format!("ip -n {} link set out0 up", scene.daemon.netns()));
        run(format!("ip -n {name} addr add 198.51.100.7/24 dev in0"));
        run(format!("ip -n {name} link set in0 up"));
        let mut server = Command::new("ip");
        server.args([
            "netns",
            "exec",
            &name,
            "/bin/busybox",
            "nc",
            "-ll",
            "-p",
            "443",
            "-e",
            "/bin/busybox",
            "echo",
            "hello",
        ]);
        let server = server.stdin(Stdio::null()).spawn().expect("a server");
        Self { name, server }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        end(&mut self.server, Signal::SIGKILL, PATIENCE);
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// The next container may get its address.
fn a_block_never_outlives_its_container(scene: &Scene) {
    scene.alert_to("web", ALERT, &scene.ip_of("client"));
    scene.respond(&about(&["--action", "block", "--apply", "--for", "1h"]));
    assert_eq!(scene.respond(&["run", "--once"]), "", "it stands");
    scene.daemon.docker(&["rm", "-f", "web"]);
    scene.serve(&[]);
    let said = scene.respond(&["run", "--once"]);
    assert!(said.contains("no longer blocked"), "{said}");
    wait_until("the next one with this address answers", || scene.answers("172.30.1.9"));
}
