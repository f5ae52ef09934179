//! Secrets in every part of a container that can hold one: none is in anything that hopwatch writes.
//!
//! Runtimes that serve what a test wants, in a network namespace of the test's own; needs root, and says why it skips otherwise. What
//! real daemons serve is in `docker.rs` and `containerd.rs`.

#![allow(clippy::disallowed_methods, reason = "test code: events happen now")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use crate::support::fake_runtime::{Answer, FakeRuntime};
use crate::support::netns::{Namespace, unavailable};
use crate::support::patience::PATIENCE;

/// What no output may hold; each place has one of its own.
const MARK: &str = "hunter2";

/// What alerts are written as, beside standard output.
const ENCODINGS: [&str; 6] = ["hopwatch", "ocsf", "ecs", "eve", "falco", "cef"];

/// Two documents of one shape, as Docker 28 and Podman 5 serve them, with the place's name behind each secret.
fn inspect(id: &str, name: &str, podman: bool) -> String {
    let own = if podman {
        r#""ImageName":"shop.example/web:1","Path":"/entry","Args":["--token","hunter2-arg","--key=hunter2-option","-phunter2-short","hunter2"],
           "OCIRuntime":"crun","BoundingCaps":["CAP_CHOWN"],"EffectiveCaps":["CAP_CHOWN"],"#
    } else {
        r#""Path":"/entry","Args":["--token","hunter2-arg","--key=hunter2-option","-phunter2-short","hunter2"],"#
    };
    format!(
        r#"{{"Id":"{id}","Name":"/{name}","Image":"sha256:11",{own}
        "State":{{"Status":"running","Running":true,"Pid":1,"StartedAt":"2026-11-24T12:00:00Z",
          "Health":{{"Status":"unhealthy","Log":[{{"Output":"hunter2-health-output"}}]}},"Error":"hunter2-error"}},
        "Config":{{"Image":"shop.example/web:1","User":"app","Entrypoint":["/entry","hunter2-entrypoint"],"Cmd":["--token","hunter2-cmd"],
          "CreateCommand":["podman","run","-e","SECRET=hunter2-create","web"],"OnBuild":["RUN echo hunter2-onbuild"],
          "Env":["DB_PASSWORD=hunter2-env","HTTP_PROXY=http://user:hunter2-proxy@proxy:3128","https_proxy=user:hunter2-bare@proxy:3128",
            "NO_PROXY=hunter2-user@internal","OTEL_EXPORTER_OTLP_ENDPOINT=https://t:hunter2-otel@otel:4318/x?key=hunter2-otelq",
            "OTEL_EXPORTER_OTLP_HEADERS=authorization=hunter2-header","SENTRY_DSN=https://hunter2-dsn@sentry/1","LD_PRELOAD=/hunter2-preload",
            "NODE_OPTIONS=--require=hunter2-node","SSL_CERT_FILE=https://a:hunter2-cert@x","GIT_SSL_NO_VERIFY=1"],
          "Labels":{{"com.docker.compose.project":"shop","com.docker.compose.service":"{name}",
            "traefik.http.middlewares.a.basicauth.users":"hunter2-label","com.datadoghq.ad.instances":"hunter2-datadog",
            "org.opencontainers.image.source":"https://deploy:hunter2-git@git.example/shop?t=hunter2-gitq",
            "io.kubernetes.container.preStopHandler":"hunter2-hook","logging":"hunter2-logging","build-arg.NPM_TOKEN":"hunter2-build"}},
          "Annotations":{{"kubectl.kubernetes.io/last-applied-configuration":"hunter2-applied","prometheus.io/scrape":"hunter2-scrape"}},
          "Healthcheck":{{"Test":["CMD-SHELL","curl -u a:hunter2-test http://localhost"]}},"Secrets":[{{"Name":"hunter2-secret"}}]}},
        "HostConfig":{{"NetworkMode":"host","Privileged":true,"PidMode":"host",
          "LogConfig":{{"Type":"splunk","Config":{{"splunk-token":"hunter2-splunk","splunk-url":"https://a:hunter2-url@splunk:8088?x=hunter2-urlq",
            "tag":"hunter2-tag","env":"hunter2-logenv","loki-url":"http://a:hunter2-loki@loki:3100","syslog-tls-key":"hunter2-tls"}}}},
          "Annotations":{{"example/token":"hunter2-annotation","co.elastic.logs/password":"hunter2-elastic"}},
          "SecurityOpt":["seccomp={{\"hunter2-profile\":1}}"],"StorageOpt":{{"size":"hunter2-storage"}},"CapAdd":["NET_ADMIN"],
          "Mounts":[{{"Type":"volume","Source":"data","Target":"/data","VolumeOptions":{{"DriverConfig":{{"Name":"cifs",
            "Options":{{"o":"username=a,password=hunter2-volume"}}}},"Labels":{{"a":"hunter2-volume-label"}}}}}}],
          "Tmpfs":{{"/run/x":"mode=700,hunter2-tmpfs"}},"RestartPolicy":{{"Name":"always"}}}},
        "Mounts":[{{"Type":"bind","Source":"/var/run/docker.sock","Destination":"/var/run/docker.sock","RW":true,"Options":["hunter2-mount-option"]}}],
        "ExecIDs":["hunter2"],"NetworkSettings":{{"Networks":{{}}}}}}"#
    )
}

fn event(action: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    format!(
        r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"abc","Attributes":{{"image":"shop.example/web:1","name":"web","secret":"hunter2-event","execID":"e1"}}}},
           "time":{},"timeNano":{}}}"#,
        now.as_secs(),
        now.as_nanos()
    )
    .replace('\n', "")
}

/// A daemon with one container that has secrets everywhere, and a second one whose document is not what it must be.
fn daemon(podman: bool) -> FakeRuntime {
    let name = if podman { "pod-web" } else { "web" };
    let engine = if podman { ("Podman Engine", "5.2.0") } else { ("Engine", "28.0.0") };
    let version =
        format!(r#"{{"ApiVersion":"1.41","Components":[{{"Name":"{}","Version":"{}"}}]}}"#, engine.0, engine.1);
    let id = if podman { "def" } else { "abc" };
    FakeRuntime::new(move |path, answer: Answer| {
        match path {
        "/version" => answer.json(&version),
        "/networks" | "/v4.0.0/libpod/networks/json" => answer.json(r#"[{"Id":"n1","Name":"apps","Driver":"bridge","Labels":{"a":"hunter2-network"},"Options":{"b":"hunter2-network-option"}}]"#),
        "/containers/json" => answer.json(&format!(
            r#"[{{"Id":"{id}","Names":["/{name}"],"State":"running","Command":"hunter2-list","Labels":{{"a":"hunter2-list-label"}}}},{{"Id":"bad","Names":["/bad"],"State":"running"}}]"#
        )),
        "/containers/bad/json" => answer.json(
            r#"{"Id":"bad","Name":"/bad","Config":{"Env":"TOKEN=hunter2-wrong-kind","Labels":"hunter2-labels-text","Cmd":{"a":"hunter2-cmd-map"}},
                "HostConfig":{"LogConfig":"hunter2-logconfig","SecurityOpt":"hunter2-opt","Fancy":"hunter2-unknown"},"State":{"Status":"running","Pid":"hunter2"}}"#,
        ),
        "/exec/e1/json" => answer.json(
            r#"{"ID":"e1","ContainerID":"abc","ProcessConfig":{"entrypoint":"mysqldump","arguments":["--password=hunter2-exec","hunter2-exec-word"]}}"#,
        ),
        "/events" => {
            use std::io::Write as _;
            let mut open = answer.open();
            std::thread::sleep(Duration::from_millis(500));
            for action in ["exec_start: mysqldump --password=hunter2-exec hunter2-exec-word", "exec_start: kill -9 1 hunter2-kill", "update", "die", "destroy"] {
                let _ = open.write_all(event(action).as_bytes()).and_then(|()| open.write_all(b"\n"));
                // An exec is asked about while its container is there.
                std::thread::sleep(Duration::from_millis(200));
            }
            let _ = open.write_all(b"{\"Type\":\"container\",\"Action\":\"hunter2-broken-event\n");
            std::thread::sleep(PATIENCE);
            drop(open);
        }
        whole if whole.ends_with(&format!("/{id}/json")) => answer.json(&inspect(id, name, podman)),
        _ => answer.gone(),
    }
    })
}

/// Everything that was written, by what wrote it.
#[derive(Default)]
struct Written(Mutex<Vec<(String, String)>>);

impl Written {
    fn add(&self, by: &str, text: String) {
        self.0.lock().expect("lock").push((by.to_owned(), text));
    }

    fn folder(&self, by: &str, folder: &Path) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.folder(by, &path);
            } else {
                let bytes = std::fs::read(&path).expect("a file");
                self.add(&format!("{by}: {}", path.display()), String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
}

struct World {
    namespace: Namespace,
    folder: tempfile::TempDir,
    written: Written,
    _runtimes: [FakeRuntime; 2],
}

impl World {
    fn new() -> Self {
        let runtimes = [daemon(false), daemon(true)];
        let folder = tempfile::tempdir().expect("a folder");
        let config = format!(
            "runtime: {{discover: false, docker: {{sockets: [\"{}\"]}}, podman: {{sockets: [\"{}\"]}}}}\n\
             contracts: [{{name: through, from: [{{name: '*web'}}], to: [any], via: [gate]}}]\nhops: {{gate: {{ports: [3128], workloads: [{{name: gate}}]}}}}\n",
            runtimes[0].host(),
            runtimes[1].host()
        );
        let sink = |encoding: &&str| {
            let path = folder.path().join(format!("alerts.{encoding}"));
            format!("  {encoding}: {{encoding: {encoding}, file: {{path: {}}}}}\n", path.display())
        };
        let config = config + "sinks:\n" + &ENCODINGS.iter().map(sink).collect::<String>();
        std::fs::write(folder.path().join("hopwatch.yaml"), config).expect("a configuration");
        Self { namespace: Namespace::with_bridge("br-test"), folder, written: Written::default(), _runtimes: runtimes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Runs to its end; what it prints is kept, whatever its exit code is.
    fn run(&self, arguments: &[&str]) -> String {
        let state = self.text("state");
        let config = self.text("hopwatch.yaml");
        let output = self.namespace.inside(|| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
            command.args(arguments).env("HOPWATCH_LOG", "trace").env("NO_COLOR", "1").env("STATE_DIRECTORY", &state);
            command.args(["-c", &config]).output().expect("hopwatch runs")
        });
        let (out, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!log.contains("panicked"), "{arguments:?}: {log}");
        assert!(!log.contains("Usage:"), "{arguments:?}: {log}");
        self.written.add(&format!("log of {arguments:?}"), log.into_owned());
        self.written.add(&format!("{arguments:?}"), out.clone().into_owned());
        out.into_owned()
    }
}

#[test]
fn no_secret_of_a_container_is_in_anything_that_is_written() {
    if let Some(why) = unavailable() {
        println!("skipped: {why}");
        return;
    }
    let world = World::new();
    for form in [&["--wide"][..], &["--tree"], &["--format", "json"]] {
        let text = world.run(&[&["inventory"], form].concat());
        assert!(text.contains("web"), "the containers were read: {text}");
    }
    let recording = world.text("recording");
    let live = world.run(&[
        "record",
        "-i",
        "lo",
        "--duration",
        "3s",
        "-o",
        &recording,
        "--format",
        "json",
        "--listen",
        "none",
    ]);
    assert!(live.contains("capability-raised") && live.contains("hopwatch.incident/1"), "the rules fired: {live}");
    let facts = std::fs::read_to_string(world.path("recording/facts.jsonl")).expect("facts");
    for kept in ["mysqldump", "splunk", "pod-web", "\"bad\"", "traefik.http.middlewares.a.basicauth.users"] {
        assert!(facts.contains(kept), "{kept} is not in the facts");
    }
    for form in ["json", "text"] {
        world.run(&["sniff", "-i", "lo", "--duration", "2s", "--format", form, "--listen", "none"]);
        world.run(&["replay", &recording, "--format", form]);
    }
    for form in ["table", "json", "html"] {
        world.run(&["audit", "--format", form]);
        world.run(&["audit", "--read", &recording, "--format", form]);
    }
    world.run(&["paths"]);
    world.run(&["verify", "--read", &recording, "--workload", "web", "--through", "container:gate:3128", "--json"]);
    world.run(&["verify", "--read", &recording, "--workload", "web", "--through", "container:gate:3128"]);
    baseline(&world, &recording);
    inspect_files(&world);
    metrics(&world);
    for encoding in ENCODINGS {
        let delivered = std::fs::read_to_string(world.path(&format!("alerts.{encoding}"))).expect("a sink's file");
        assert!(delivered.contains("splunk") || delivered.contains("web"), "{encoding}: {delivered}");
    }
    world.written.folder("folder", world.folder.path());
    check(&world.written);
}

fn baseline(world: &World, recording: &str) {
    let file = world.text("baseline.yaml");
    world.run(&["baseline", "learn", "--read", recording, "-b", &file]);
    assert!(std::fs::read_to_string(&file).expect("a baseline").contains("pod-web"), "it was learned");
    world.run(&["baseline", "learn", "--for", "2s", "-b", &world.text("live.yaml")]);
    world.run(&["baseline", "show", "-b", &file]);
    world.run(&["baseline", "diff", "-b", &file, "--read", recording]);
    world.run(&["baseline", "shadow", "-b", &file, "--read", recording]);
    world.run(&["baseline", "approve", "--file", &file, "--why", "test"]);
    let config = std::fs::read_to_string(world.path("hopwatch.yaml")).expect("a configuration");
    std::fs::write(world.path("hopwatch.yaml"), config + "baseline: baseline.yaml\n").expect("written");
    world.run(&["baseline", "export", "-b", &file, "-o", &world.text("exported.yaml")]);
    world.run(&["replay", recording, "--format", "json"]);
}

/// The output of `docker inspect`, right and wrong, as a person hands it to a replay.
fn inspect_files(world: &World) {
    let right = format!("[{}]", inspect("abc", "web", false));
    let wrong = [
        r#"[{"Id":"a","State":{},"Config":{"Labels":"hunter2-text"}}]"#,
        r#"[{"Id":"a","State":{},"Config":{"Labels":{"a":["hunter2-list"]},"Image":5}}]"#,
        r#"[{"Id":"a","State":"hunter2-state"}]"#,
        r#"[{"Id":"a","Env":"hunter2-cut"#,
        r#"{"schema":"hopwatch.fact/1","at":"2026-11-24T10:00:00Z","fact":{"inventory":{"workload":"hunter2-workload"}}}"#,
        r#"{"schema":"hopwatch.fact/1","at":"2026-11-24T10:00:00Z","fact":{"inventory":{"workload":{"id":"a","name":"web","image":"","runtime":"docker","labels":"hunter2-fact-labels"}}}}"#,
    ];
    for text in std::iter::once(right.as_str()).chain(wrong) {
        let given = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(given.path(), text).expect("written");
        let capture = world.text("recording/traffic.pcapng");
        world.run(&["replay", &capture, "--facts", &given.path().display().to_string(), "--format", "json"]);
        world.run(&["audit", "--facts", &given.path().display().to_string(), "--format", "json"]);
    }
}

/// Metrics of a run that reads both daemons.
fn metrics(world: &World) {
    let (config, state) = (world.text("hopwatch.yaml"), world.path("state"));
    let mut child = world.namespace.inside(|| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
        command.args(["sniff", "-i", "lo", "--duration", "4s", "--listen", "127.0.0.1:9921", "-c", &config]);
        command.env("STATE_DIRECTORY", &state).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command.spawn().expect("hopwatch runs")
    });
    let mut answered = String::new();
    crate::support::patience::wait_until("metrics with both containers", || {
        let curl = || Command::new("curl").args(["-s", "http://127.0.0.1:9921/metrics"]).output().expect("curl");
        answered = String::from_utf8_lossy(&world.namespace.inside(curl).stdout).into_owned();
        answered.contains("hopwatch_")
    });
    world.written.add("metrics", answered);
    assert!(child.wait().expect("it ends").success());
}

fn check(written: &Written) {
    let written = written.0.lock().expect("lock");
    let mut found = Vec::new();
    for (by, text) in written.iter() {
        for (at, _) in text.match_indices(MARK) {
            let (from, to) = (text.floor_char_boundary(at.saturating_sub(80)), text.floor_char_boundary(at + 60));
            found.push(format!("{by}: …{}…", &text[from..to]));
        }
    }
    found.dedup();
    assert!(found.is_empty(), "{} secrets were written:\n{}", found.len(), found.join("\n"));
    println!(
        "{} texts with {} bytes hold no secret",
        written.len(),
        written.iter().map(|(_, text)| text.len()).sum::<usize>()
    );
}
