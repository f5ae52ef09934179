//! `hopwatch baseline` and `hopwatch audit` with a real Docker daemon: learned live, in force, and an approval that a running hopwatch takes in.
//!
//! Needs root and an installed `dockerd`; says why it skips otherwise. One test, because a daemon takes seconds.

use std::process::Command;

use crate::support::dockerd::{self, Dockerd, IMAGE};
use crate::support::patience::wait_until;
use crate::support::sniffing::Sniffing;
use serde_json::Value;

struct Place {
    daemon: Dockerd,
    folder: tempfile::TempDir,
}

impl Place {
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare_command(arguments);
        command.args(["-c", &self.path("hopwatch.yaml")]);
        command
    }

    /// Without the configuration.
    fn bare_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/var/run/netns/{}", self.daemon.netns())).arg(env!("CARGO_BIN_EXE_hopwatch"));
        command.args(arguments);
        command.env("DOCKER_HOST", self.daemon.host()).env("NO_COLOR", "1").env("STATE_DIRECTORY", self.path("state"));
        command
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.command(arguments).output().expect("hopwatch runs");
        let (text, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("{arguments:?}: {:?}\n{log}{text}", output.status.code());
        (output.status.code(), text.into_owned())
    }

    fn container(&self, name: &str, driver: &str) {
        self.daemon.docker(&["run", "-d", "--name", name, "--log-driver", driver, IMAGE, "sleep", "600"]);
    }
}

#[test]
fn a_real_host_is_learned_and_an_approval_is_taken_in_by_a_hopwatch_that_runs() {
    if let Some(why) = dockerd::unavailable() {
        println!("skipped: no Docker daemon can be started here: {why}");
        return;
    }
    let place = Place { daemon: Dockerd::start(&[]), folder: tempfile::tempdir().expect("a folder") };
    std::fs::write(place.path("hopwatch.yaml"), "{}\n").expect("a configuration");
    place.container("web-1", "json-file");
    first_configuration(&place);
    let file = place.path("baseline.yaml");
    assert_eq!(place.run(&["baseline", "learn", "--for", "2s", "-b", &file]).0, Some(0));
    let text = std::fs::read_to_string(&file).expect("a baseline");
    assert!(text.contains("logging.driver: json-file") && text.contains("web-*"), "{text}");
    std::fs::write(place.path("hopwatch.yaml"), "baseline: baseline.yaml\n").expect("a configuration");
    assert_eq!(place.run(&["baseline", "approve", "--file", &file, "--why", "first"]).0, Some(0));
    assert_eq!(place.run(&["baseline", "diff"]).0, Some(0), "what was learned differs from nothing that runs");
    audit(&place);

    let running = Sniffing::start(place.command(&["sniff", "-i", "docker0", "--format", "json", "--listen", "none"]));
    place.container("web-2", "none");
    wait_until("the log driver is reported", || running.count("log-driver-changed", "none") > 0);
    let (code, diff) = place.run(&["baseline", "diff", "--json"]);
    assert_eq!(code, Some(1), "{diff}");
    let (_, listed) = place.run(&["baseline", "diff"]);
    let ids: Vec<&str> = listed.split_whitespace().filter(|word| word.len() == 9 && word.starts_with('q')).collect();
    assert_eq!(place.run(&[&["baseline", "approve"], &ids[..], &["--why", "a job without a log"]].concat()).0, Some(0));
    wait_until("the approval is in force", || running.count("baseline-changed", "a job without a log") > 0);
    assert_eq!(place.run(&["baseline", "diff"]).0, Some(0), "after an approval nothing differs");
}

/// `init` looks at the host, and what it writes is a configuration.
fn first_configuration(place: &Place) {
    place.daemon.docker(&["run", "-d", "--name", "node-exporter", "--network", "host", IMAGE, "sleep", "600"]);
    let file = place.path("first.yaml");
    let mut command = place.bare_command(&["init", "--for", "2s", "-o", &file]);
    let output = command.output().expect("hopwatch runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&file).expect("a configuration");
    println!("{text}");
    assert!(text.contains("#   docker at unix://") && text.contains("now: docker0"), "{text}");
    assert!(text.contains("- {digest: \"sha256:") && text.contains("# node-exporter"), "{text}");
    assert!(place.bare_command(&["config", "check", &file]).status().expect("hopwatch runs").success());
    place.daemon.docker(&["rm", "-f", "node-exporter"]);
}

/// The posture of the real container, in all forms; the page has no request in it.
fn audit(place: &Place) {
    let (code, json) = place.run(&["audit", "--format", "json"]);
    assert_eq!(code, Some(0));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let web = &json["workloads"][0];
    assert_eq!((web["name"].as_str(), web["in_baseline"].as_str()), (Some("web-1"), Some("expected")), "{web:#}");
    assert_eq!(web["logging"], "json-file", "{web:#}");
    let (_, page) = place.run(&["audit", "--format", "html"]);
    assert!(page.contains("web-1") && !page.contains("<script") && !page.contains("http://"), "{page}");
}
