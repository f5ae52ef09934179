//! The network of those under quarantine, and a container that is kept before it is stopped.

use super::*;

#[test]
fn a_container_is_kept_before_it_is_stopped_and_comes_back_from_quarantine_as_it_was() {
    if let Some(why) = dockerd::unavailable() {
        println!("skipped: no Docker daemon can be started here: {why}");
        return;
    }
    let scene = Scene::new("{enabled: true, limit: 100}");
    wait_until("the server answers", || scene.answers("172.30.1.9"));
    scene.alert(ALERT);
    quarantine(&scene);
    stop(&scene);
    stop_of_one_that_is_deleted(&scene);
}

fn quarantine(scene: &Scene) {
    let before = scene.inspect("web");
    for time in ["first", "again, with the network there"] {
        scene.respond(&about(&["--action", "quarantine", "--apply"]));
        let inside = scene.inspect("web");
        let networks = inside["NetworkSettings"]["Networks"].as_object().expect("networks");
        assert_eq!(networks.keys().collect::<Vec<_>>(), ["hopwatch-quarantine"], "{time}");
        assert!(!scene.answers("172.30.1.9") && !scene.answers("shop"), "{time}");
        assert!(scene.respond(&about(&["--action", "quarantine", "--apply"])).contains("does that"), "{time}");
        scene.respond(&[ALERT, "--undo"]);
        let after = scene.inspect("web");
        assert_eq!(endpoint(&before, "front"), endpoint(&after, "front"), "{time}");
        assert_eq!(after["NetworkSettings"]["Networks"].as_object().expect("networks").len(), 2, "{time}");
        wait_until("the server answers again", || scene.answers("shop"));
        assert!(scene.respond(&[ALERT, "--undo"]).contains("nothing that was done"), "{time}");
    }
    one_of_its_networks_is_gone(scene);
    // Killed when it was off its networks, but not on the other yet.
    scene.kill_at(Hold::Request, "/hopwatch-quarantine/connect", &about(&["--action", "quarantine", "--apply"]));
    assert_eq!(scene.inspect("web")["NetworkSettings"]["Networks"], json!({}));
    scene.respond(&["run", "--once"]);
    assert_eq!(scene.state_of_last(), "undone");
    assert_eq!(endpoint(&before, "front"), endpoint(&scene.inspect("web"), "front"));
}

/// The others get it back, and what cannot be is said.
fn one_of_its_networks_is_gone(scene: &Scene) {
    scene.daemon.docker(&["network", "create", "gone"]);
    scene.daemon.docker(&["network", "connect", "gone", "web"]);
    scene.respond(&about(&["--action", "quarantine", "--apply"]));
    scene.daemon.docker(&["network", "rm", "gone"]);
    let undone = scene.respond(&[ALERT, "--undo"]);
    assert!(undone.contains("the network gone is gone, so it cannot be on it again"), "{undone}");
    let after = scene.inspect("web");
    let networks = after["NetworkSettings"]["Networks"].as_object().expect("networks");
    assert_eq!(networks.keys().collect::<Vec<_>>(), ["back", "front"]);
    assert_eq!(scene.state_of_last(), "undone");
    wait_until("the server answers again", || scene.answers("shop"));
}

fn stop(scene: &Scene) {
    scene.daemon.docker(&["exec", "web", "sh", "-c", "busybox touch /left-behind; busybox echo said > /proc/1/fd/1"]);
    scene.respond(&about(&["--action", "stop", "--apply"]));
    assert_eq!(scene.inspect("web")["State"]["Running"], false);
    let snapshots = scene.path("state/respond/snapshots");
    let folder = snapshots.read_dir().expect("snapshots").next().expect("one").expect("a folder");
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).expect(file);
    assert!(read("changes.json").contains("/left-behind") && read("logs.txt").contains("said"), "{}", read("logs.txt"));
    let tag = format!("hopwatch-snapshot:{}", folder.file_name().to_string_lossy());
    let kept = scene.daemon.docker(&["run", "--rm", "--network", "none", &tag, "busybox", "ls", "/"]);
    assert!(kept.contains("left-behind"), "{kept}");
    assert!(scene.respond(&about(&["--action", "stop", "--apply"])).contains("does that"));
    scene.respond(&[ALERT, "--undo"]);
    wait_until("the server answers again", || scene.answers("shop"));
    assert!(scene.respond(&[ALERT, "--undo"]).contains("nothing that was done"));
}

fn stop_of_one_that_is_deleted(scene: &Scene) {
    scene.daemon.docker(&["rm", "-f", "web"]);
    scene.serve(&["--rm"]);
    scene.alert(ALERT);
    let plan = scene.respond(&about(&["--action", "stop"]));
    assert!(plan.contains("/commit?container=") && !plan.contains("/start"), "{plan}");
    // Without its snapshot it is not stopped.
    scene.kill_at(Hold::Request, "/commit", &about(&["--action", "stop", "--apply"]));
    assert_eq!(scene.inspect("web")["State"]["Running"], true);
    scene.respond(&["run", "--once"]);
    assert_eq!(scene.state_of_last(), "failed");
    let done = scene.respond(&about(&["--action", "stop", "--apply"]));
    assert!(done.contains("stopped and deleted"), "{done}");
    assert!(scene.daemon.docker(&["images", "hopwatch-snapshot"]).lines().count() > 2, "its image stays");
    assert!(scene.respond(&about(&["--action", "stop", "--apply"])).contains("does that"));
    let undone = scene.respond(&[ALERT, "--undo"]);
    assert!(undone.contains("cannot be undone"), "{undone}");
}
