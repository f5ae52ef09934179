//! Responses that a kill or a daemon that is away interrupts, and timers.

use super::*;

#[test]
fn what_a_killed_process_left_is_finished_or_undone_and_timers_fire() {
    if let Some(why) = dockerd::unavailable() {
        println!("skipped: no Docker daemon can be started here: {why}");
        return;
    }
    let mut scene = Scene::new("{enabled: true, limit: 100}");
    wait_until("the server answers", || scene.answers("172.30.1.9"));
    scene.alert(ALERT);
    killed_before_and_after_the_request(&scene);
    killed_while_it_is_undone(&scene);
    the_daemon_is_away_when_the_timer_fires(&mut scene);
    a_service_undoes_what_is_due(&scene);
}

fn killed_before_and_after_the_request(scene: &Scene) {
    let pause = about(&["--action", "pause", "--apply"]);
    scene.kill_at(Hold::Request, "/pause", &pause);
    assert_eq!(
        (scene.state_of_last().as_str(), &scene.inspect("web")["State"]["Paused"]),
        ("unsettled", &false.into())
    );
    scene.respond(&["run", "--once"]);
    assert_eq!(scene.state_of_last(), "failed", "nobody waits for it any more");
    scene.kill_at(Hold::Answer, "/pause", &pause);
    assert_eq!((scene.state_of_last().as_str(), &scene.inspect("web")["State"]["Paused"]), ("unsettled", &true.into()));
    let said = scene.respond(&["run", "--once"]);
    assert!(said.contains("found in effect"), "{said}");
    assert_eq!(scene.state_of_last(), "active");
    assert_eq!(scene.respond(&["run", "--once"]), "", "once is enough");
    scene.respond(&[ALERT, "--undo"]);
}

fn killed_while_it_is_undone(scene: &Scene) {
    let before = scene.inspect("web");
    for (hold, words) in [(Hold::Request, "/connect"), (Hold::Answer, "/connect")] {
        scene.respond(&about(&["--action", "disconnect", "--apply"]));
        scene.kill_at(hold, words, &[ALERT, "--undo"]);
        assert_eq!(scene.state_of_last(), "undoing", "{hold:?}");
        scene.respond(&["run", "--once"]);
        assert_eq!(scene.state_of_last(), "undone", "{hold:?}");
        assert_eq!(endpoint(&before, "front"), endpoint(&scene.inspect("web"), "front"), "{hold:?}");
    }
}

fn the_daemon_is_away_when_the_timer_fires(scene: &mut Scene) {
    scene.respond(&about(&["--action", "disconnect", "--apply", "--for", "10ms"]));
    scene.daemon.stop();
    let why = scene.refused(&["run", "--once"]);
    assert!(why.contains("cannot reach the runtime") || why.contains("not understood"), "{why}");
    assert_eq!(scene.state_of_last(), "active", "it is asked again");
    scene.daemon.launch();
    let said = scene.respond(&["run", "--once"]);
    assert!(said.contains("again, as before"), "{said}");
    wait_until("the server answers again", || scene.answers("172.30.1.9"));
}

fn a_service_undoes_what_is_due(scene: &Scene) {
    let mut service = scene.command(&["run"]).spawn().expect("hopwatch");
    scene.respond(&about(&["--action", "pause", "--apply", "--for", "200ms"]));
    wait_until("its time is over", || scene.state_of_last() == "undone");
    assert_eq!(scene.inspect("web")["State"]["Paused"], false);
    // The container was recreated: another one is never touched.
    scene.respond(&about(&["--action", "disconnect", "--apply", "--for", "1h"]));
    scene.daemon.docker(&["rm", "-f", "web"]);
    scene.serve(&[]);
    let undone = scene.respond(&[ALERT, "--undo"]);
    assert!(undone.contains("the container is gone"), "{undone}");
    end(&mut service, Signal::SIGTERM, PATIENCE);
    assert!(service.wait().is_ok_and(|status| status.success()), "it ends in order");
}
