//! The running sniffer in a network namespace of its own: real packets, a real Prometheus, no Docker.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::support::fake_runtime::{Answer, FakeRuntime};
use crate::support::netns::{Namespace, Sniffer, unavailable};

/// Contract by address, because no runtime answers here.
const CONFIG: &str = "
hops:
  proxy: {addresses: [10.9.0.3], ports: [3128]}
contracts:
  - {name: egress, from: [{addresses: [10.9.0.0/24]}], to: [internet], via: [proxy]}
";

fn sniffer(name: &str) -> Option<(Namespace, Sniffer)> {
    if let Some(why) = unavailable() {
        println!("skipped: {name}: {why}");
        return None;
    }
    let namespace = Namespace::with_bridge("br-test");
    let sniffer = Sniffer::start(&namespace, CONFIG, &[]);
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    Some((namespace, sniffer))
}

#[test]
fn counts_every_packet_and_ends_with_the_summary() {
    let Some((namespace, sniffer)) = sniffer("counts_every_packet_and_ends_with_the_summary") else { return };
    namespace.run("ping -c 20 -i 0.01 -q 10.9.0.2");
    sniffer.wait_until("/metrics", "40 packets or more", |page| sum(page, "hopwatch_packets_total{") >= 40);
    let scraped = sum(&sniffer.get("/metrics"), "hopwatch_packets_total{");
    let (lines, _) = sniffer.end();
    let summary = lines.last().expect("a summary");
    assert_eq!(summary["schema"], "hopwatch.summary/1");
    let point = &summary["points"][0];
    assert_eq!(point["observation_point"], "br-test");
    let number = |name: &str| point[name].as_u64().expect("a number");
    assert!(number("packets") >= scraped && scraped >= 40);
    assert_eq!(number("packets"), number("flow_packets") + number("non_ip"));
    assert_eq!(point["dropped"]["kernel"], 0);
}

#[test]
fn without_docker_it_runs_on_and_says_so() {
    let Some((namespace, sniffer)) = sniffer("without_docker_it_runs_on_and_says_so") else { return };
    sniffer.wait_until("/readyz", "docker is missed", |page| page.contains("docker does not answer"));
    assert!(sniffer.get("/livez").contains("live"));
    assert!(sniffer.get("/metrics").contains("hopwatch_runtime_connected{runtime=\"docker\"} 0"));
    namespace.run("ip route add 198.51.100.0/24 via 10.9.0.2 dev br-test");
    namespace.run_peer("ip addr add 198.51.100.7/24 dev lo");
    namespace.run_peer_background("busybox nc -ll -p 443 -e true");
    namespace.run("sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do echo hello | busybox nc -w 1 198.51.100.7 443 && exit 0; sleep 0.1; done; exit 1'");
    sniffer.wait_until("/metrics", "a judged flow", |page| {
        sum(page, "hopwatch_path_flows_total{contract=\"egress\"") >= 1
    });
    let (lines, log) = sniffer.end();
    assert!(log.contains("docker does not answer"), "{log}");
    assert!(lines.iter().any(|line| line["rule"] == "egress-skips-proxy"), "the contract names addresses: {lines:?}");
}

/// An engine of this name with one container of this id, and an event stream that stays open.
fn engine(name: &'static str, id: &'static str) -> impl Fn(&str, Answer) + Send + Sync + 'static {
    move |path, answer| match path {
        "/version" => {
            answer.json(&format!(r#"{{"ApiVersion":"1.41","Components":[{{"Name":"{name}","Version":"20.10.1"}}]}}"#));
        }
        "/networks" | "/v4.0.0/libpod/networks/json" => answer.json("[]"),
        "/containers/json" => answer.json(&format!(r#"[{{"Id":"{id}","Names":["/{id}"],"State":"running"}}]"#)),
        "/events" => {
            let open = answer.open();
            std::thread::sleep(Duration::from_secs(30));
            drop(open);
        }
        _ if path.contains(id) => {
            answer.json(&format!(r#"{{"Id":"{id}","Name":"{id}","State":{{"Status":"running"}}}}"#));
        }
        _ => answer.gone(),
    }
}

#[test]
fn several_runtimes_are_read_at_once_and_each_is_missed_by_name() {
    if let Some(why) = unavailable() {
        println!("skipped: several_runtimes_are_read_at_once_and_each_is_missed_by_name: {why}");
        return;
    }
    let namespace = Namespace::with_bridge("br-test");
    let docker = FakeRuntime::new(engine("Engine", "aaa"));
    let folder = tempfile::tempdir().expect("folder");
    let (docker, podman) = (docker.host(), folder.path().join("fake.sock").display().to_string());
    let config = format!(
        "runtime: {{discover: false, docker: {{socket: {docker}}}, podman: {{sockets: [{podman}, {docker}]}}}}\n{CONFIG}"
    );
    let sniffer = Sniffer::start(&namespace, &config, &[]);
    sniffer.wait_until("/readyz", "podman is missed", |page| page.contains("podman does not answer"));
    let _podman = FakeRuntime::inside(folder, engine("Podman Engine", "bbb"));
    sniffer.wait_until("/readyz", "nothing is missed", |page| !page.contains("podman") && !page.contains("snapshot"));
    sniffer.wait_until("/metrics", "both are heard, the second path to docker not", |page| {
        let has = |line: &str| page.lines().any(|other| other == line);
        has("hopwatch_runtime_connected{runtime=\"docker\"} 1")
            && has("hopwatch_runtime_connected{runtime=\"podman\"} 1")
            && has("hopwatch_inventory_workloads{state=\"running\"} 2")
            && page.contains("hopwatch_runtime_reconcile_age_seconds{runtime=\"podman\"} ")
            && page.contains("hopwatch_runtime_reader_total{runtime=\"podman\",event=\"reconciles\"} ")
            && !page.contains("podman.2")
    });
}

#[test]
fn interfaces_come_and_go() {
    let Some((namespace, sniffer)) = sniffer("interfaces_come_and_go") else { return };
    namespace.run("ip link add br-later type bridge");
    namespace.run("ip link set br-later up");
    sniffer.wait_until("/metrics", "the new bridge", |page| page.contains("observation_point=\"br-later\""));
    namespace.run("ip link del br-later");
    namespace.run("ping -c 3 -i 0.01 -q 10.9.0.2");
    sniffer.wait_until("/metrics", "the old bridge goes on", |page| sum(page, "hopwatch_packets_total{") >= 6);
    let (lines, _) = sniffer.end();
    let points = lines.last().expect("a summary")["points"].as_array().expect("points").len();
    assert_eq!(points, 2, "{lines:?}");
}

#[test]
fn a_real_prometheus_scrapes_it() {
    if which("prometheus").is_none() {
        println!("skipped: a_real_prometheus_scrapes_it: prometheus is not installed (Debian package prometheus)");
        return;
    }
    let Some((namespace, sniffer)) = sniffer("a_real_prometheus_scrapes_it") else { return };
    let prometheus = namespace.prometheus(sniffer.address());
    prometheus.wait_until("/api/v1/query?query=up", "the target is up", |page| page.contains(",\"1\"]"));
    let found = prometheus.get("/api/v1/query?query=hopwatch_build_info");
    assert!(found.contains(env!("CARGO_PKG_VERSION")), "{found}");
    let kinds = prometheus.get("/api/v1/metadata?metric=hopwatch_packets");
    assert!(kinds.contains("\"counter\""), "scraped as OpenMetrics, whose counters are named without _total: {kinds}");
}

#[test]
fn without_the_capability_it_says_which_and_how_to_grant_it() {
    if let Some(why) = unavailable() {
        println!("skipped: without_the_capability_it_says_which_and_how_to_grant_it: {why}");
        return;
    }
    let namespace = Namespace::with_bridge("br-test");
    let (code, log) = Sniffer::start_as_nobody(&namespace, CONFIG).ended();
    assert_eq!(code, Some(4), "{log}");
    assert!(log.contains("CAP_NET_RAW") && log.contains("setcap cap_net_raw"), "{log}");
}

#[test]
fn with_the_right_to_capture_alone_it_captures_and_is_alive_but_not_ready() {
    if let Some(why) = unavailable() {
        println!("skipped: with_the_right_to_capture_alone_it_captures_and_is_alive_but_not_ready: {why}");
        return;
    }
    let namespace = Namespace::with_bridge("br-test");
    let sniffer = Sniffer::start_by(&namespace, CONFIG, &["setpriv", "--bounding-set=-all,+net_raw", "--"]);
    sniffer.wait_until("/metrics", "it captures", |page| page.contains("observation_point=\"br-test\""));
    namespace.run("ping -c 3 -i 0.01 -q 10.9.0.2");
    sniffer.wait_until("/metrics", "packets", |page| sum(page, "hopwatch_packets_total{") >= 6);
    sniffer.wait_until("/readyz", "both gaps are named", |page| {
        page.contains("connection tracking is not received")
            && page.contains("without CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYS_ADMIN, ")
    });
    assert_eq!([sniffer.status("/readyz"), sniffer.status("/livez")], ["503", "200"]);
}

#[test]
fn a_renamed_interface_is_one_point_under_its_new_name_and_none_where_no_glob_names_it() {
    let Some((namespace, sniffer)) = sniffer("a_renamed_interface_is_one_point") else { return };
    let packets =
        |point: &str| sum(&sniffer.get("/metrics"), &format!("hopwatch_packets_total{{observation_point=\"{point}\""));
    namespace.run("ip link set br-test name br-new");
    sniffer.wait_until("/metrics", "the new name is captured", |page| page.contains("observation_point=\"br-new\""));
    let before = packets("br-test");
    namespace.run("ping -c 20 -i 0.01 -q 10.9.0.2");
    sniffer.wait_until("/metrics", "40 packets under the new name", |page| {
        sum(page, "hopwatch_packets_total{observation_point=\"br-new\"") >= 40
    });
    assert_eq!(packets("br-test"), before, "the old name counts no more");
    namespace.run("ip link set br-new name zz0");
    sniffer.wait_until("/readyz", "nothing matches", |page| page.contains("no interface matches the configured names"));
    let before = packets("br-new");
    namespace.run("ping -c 20 -i 0.01 -q 10.9.0.2");
    let (lines, log) = sniffer.end();
    let points = lines.last().expect("a summary")["points"].as_array().expect("points").clone();
    let names: Vec<_> = points.iter().filter_map(|point| point["observation_point"].as_str()).collect();
    assert_eq!(names, ["br-new", "br-test"]);
    assert_eq!(points[0]["packets"].as_u64(), Some(before), "no glob names zz0");
    assert!(log.contains("br-new was renamed to zz0, which no configured name matches"), "{log}");
}

#[test]
fn a_bridge_that_is_down_and_rules_that_cannot_fire_are_reported() {
    let Some((namespace, sniffer)) = sniffer("a_bridge_that_is_down_and_rules_that_cannot_fire_are_reported") else {
        return;
    };
    let blind = "the rule host-network-flow cannot fire: what leaves the host is not captured: capture lo too";
    sniffer.wait_until("/readyz", "the rule is blind", |page| page.contains(blind));
    assert!(sniffer.get("/metrics").contains("hopwatch_rule_blind{rule=\"host-network-flow\"} 1"));
    assert!(sniffer.get("/metrics").contains("hopwatch_rule_blind{rule=\"unknown-source\"} 0"));
    namespace.run("ip link set br-test down");
    sniffer.wait_until("/readyz", "the bridge is missed", |page| page.contains("br-test is down"));
    namespace.run("ip link set br-test up");
    sniffer.wait_until("/readyz", "the bridge is back", |page| !page.contains("br-test is down"));
    // The log names what has held for a second.
    sniffer.wait_until_logged(blind);
    let (lines, log) = sniffer.end();
    let warnings = lines.last().expect("a summary")["warnings"].to_string();
    assert!(warnings.contains(blind) && log.contains(blind), "{warnings}\n{log}");
}

fn which(program: &str) -> Option<std::path::PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The sum of all series whose line starts so.
fn sum(page: &str, start: &str) -> u64 {
    let values = page
        .lines()
        .filter(|line| line.starts_with(start))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    values.sum()
}

/// Somebody talks past the proxy, once; nobody answers.
fn bypass(namespace: &Namespace) {
    namespace.run("ip route replace 198.51.100.0/24 via 10.9.0.2 dev br-test");
    namespace.run("sh -c 'echo hello | busybox nc -w 1 198.51.100.9 443; true'");
}

fn onto(name: &str, stdout: impl FnOnce() -> std::process::Stdio) -> Option<(Namespace, Sniffer)> {
    if let Some(why) = unavailable() {
        println!("skipped: {name}: {why}");
        return None;
    }
    let namespace = Namespace::with_bridge("br-test");
    let sniffer = Sniffer::start_onto(&namespace, CONFIG, &[], stdout());
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    Some((namespace, sniffer))
}

/// A pipe without room (64 KiB, see pipe(7)), and the end that could read it.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(&vec![b' '; 1 << 16]).expect("room");
    (reader, writer)
}

#[test]
fn a_reader_that_stops_reading_stops_neither_the_engine_nor_the_end() {
    let (_reader, writer) = full_pipe();
    let Some((namespace, sniffer)) =
        onto("a_reader_that_stops_reading_stops_neither_the_engine_nor_the_end", || writer.into())
    else {
        return;
    };
    bypass(&namespace);
    sniffer.wait_until("/readyz", "the output is missed", |page| page.contains("stdout has not taken an alert for"));
    let before = sum(&sniffer.get("/metrics"), "hopwatch_packets_total{");
    namespace.run("ping -c 20 -i 0.01 -q 10.9.0.2");
    sniffer.wait_until("/metrics", "packets are counted further", |page| {
        sum(page, "hopwatch_packets_total{") >= before + 40
            && sum(page, "hopwatch_alerts_waiting{sink=\"stdout\"}") >= 1
    });
    assert!(sniffer.get("/livez").contains("live"), "the engine moves");
    sniffer.signal("-TERM");
    let (code, log) = sniffer.wait(Duration::from_secs(5));
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("not delivered to stdout (run_ended "), "{log}");
}

#[test]
fn a_full_disk_is_retried_and_counted_and_the_watch_goes_on() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full").into();
    let Some((namespace, sniffer)) = onto("a_full_disk_is_retried_and_counted_and_the_watch_goes_on", full) else {
        return;
    };
    bypass(&namespace);
    sniffer.wait_until("/readyz", "the error is named", |page| page.contains("writing alerts to stdout fails"));
    let before = sum(&sniffer.get("/metrics"), "hopwatch_packets_total{");
    namespace.run("ping -c 3 -i 0.01 -q 10.9.0.2");
    sniffer.wait_until("/metrics", "it goes on", |page| sum(page, "hopwatch_packets_total{") >= before + 6);
    sniffer.signal("-TERM");
    let (code, log) = sniffer.wait(Duration::from_secs(5));
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("not delivered to stdout (write_failed "), "{log}");
}

#[test]
fn it_ends_with_0_when_the_reader_has_closed_the_pipe() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let Some((namespace, sniffer)) = onto("it_ends_with_0_when_the_reader_has_closed_the_pipe", || writer.into())
    else {
        return;
    };
    drop(reader);
    bypass(&namespace);
    let (code, log) = sniffer.wait(Duration::from_secs(20));
    assert_eq!(code, Some(0), "{log}");
}

/// As SIGKILL leaves it, six tenths of a second after the alert.
#[test]
fn a_recording_that_was_killed_replays_to_the_same_alerts_and_says_that_its_end_is_missing() {
    let name = "a_recording_that_was_killed_replays_to_the_same_alerts_and_says_that_its_end_is_missing";
    let Some((namespace, other)) = sniffer(name) else { return };
    drop(other);
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("recording");
    let sniffer = Sniffer::start(&namespace, CONFIG, &["-o", &folder.display().to_string()]);
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    bypass(&namespace);
    sniffer
        .wait_until("/metrics", "an alert", |page| sum(page, "hopwatch_alerts_total{rule=\"egress-skips-proxy\"") >= 1);
    sniffer.signal("-KILL");
    let (code, _) = sniffer.wait(Duration::from_secs(5));
    assert_eq!(code, None);
    let replayed = crate::support::scenario::replay_json(&folder);
    let lines: Vec<serde_json::Value> =
        replayed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().any(|line| line["rule"] == "egress-skips-proxy"), "{replayed}");
    let warnings = lines.last().expect("a summary")["warnings"].to_string();
    assert!(warnings.contains("the end of this recording is missing"), "{warnings}");
}

#[test]
fn headers_only_keeps_what_an_application_wrote_out_of_the_recording() {
    let Some((namespace, other)) = sniffer("headers_only_keeps_what_an_application_wrote_out_of_the_recording") else {
        return;
    };
    drop(other);
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("recording");
    let sniffer = Sniffer::start(&namespace, CONFIG, &["-o", &folder.display().to_string(), "--headers-only"]);
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    namespace.run_peer_background("busybox nc -ll -p 8080 -e true");
    namespace.run("sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do echo t0psecret | busybox nc -w 1 10.9.0.2 8080 && exit 0; sleep 0.1; done; exit 1'");
    let (live, _) = sniffer.end();
    let packets = std::fs::read(folder.join("traffic.pcapng")).expect("packets");
    assert!(!packets.windows(9).any(|bytes| bytes == b"t0psecret"));
    let replayed = crate::support::scenario::replay_json(&folder);
    let summary: serde_json::Value = serde_json::from_str(replayed.lines().last().expect("a summary")).expect("JSON");
    let live = live.last().expect("a summary");
    assert_eq!((&summary["packets"], &summary["flows"]), (&live["packets"], &live["flows"]), "all packets are there");
    assert_eq!(summary["warnings"].to_string(), "[]");
}

#[test]
fn a_recording_replays_to_the_same_alerts() {
    let Some((namespace, sniffer)) = sniffer("a_recording_replays_to_the_same_alerts") else { return };
    drop(sniffer);
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("recording");
    let recorder = Sniffer::start(&namespace, CONFIG, &["-o", &recording.display().to_string()]);
    recorder.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    namespace.run("ip route add 198.51.100.0/24 via 10.9.0.2 dev br-test");
    // Nobody answers: an attempt.
    namespace.run("sh -c 'echo hello | busybox nc -w 1 198.51.100.9 443; true'");
    recorder
        .wait_until("/metrics", "an alert", |page| sum(page, "hopwatch_alerts_total{rule=\"egress-skips-proxy\"") >= 1);
    let (live, _) = recorder.end();
    let facts = std::fs::read_to_string(recording.join("facts.jsonl")).expect("the facts");
    assert_eq!(facts.matches("{\"kernel\":{\"namespace\":").count(), 1, "the host's own namespace: {facts}");
    let replayed = crate::support::scenario::replay_json(Path::new(&recording));
    let ids = |lines: &[serde_json::Value]| {
        let alerts = lines.iter().filter(|line| line["schema"] == "hopwatch.alert/1" && line["update"] == 0);
        alerts.map(|line| line["id"].to_string()).collect::<Vec<_>>()
    };
    let replayed: Vec<_> = replayed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(ids(&live), ids(&replayed));
    assert_eq!(live.last().expect("a summary")["packets"], replayed.last().expect("a summary")["packets"]);
    assert!(!ids(&live).is_empty());
}

#[test]
fn judged_flows_are_exported_and_one_that_cannot_be_is_counted() {
    let name = "judged_flows_are_exported_and_one_that_cannot_be_is_counted";
    if let Some(why) = unavailable() {
        println!("skipped: {name}: {why}");
        return;
    }
    let (namespace, folder) = (Namespace::with_bridge("br-test"), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("flows.ipfix");
    let config = format!("{CONFIG}flows: {{ipfix: {{collector: \"tcp://127.0.0.1:4739\"}}}}\n");
    let sniffer = Sniffer::start(&namespace, &config, &[]);
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    namespace.run("ping -c 2 -i 0.01 -q 10.9.0.2");
    sniffer.wait_until("/metrics", "a flow that nobody took", |page| {
        sum(page, "hopwatch_flows_unexported_total{reason=\"collector\"}") >= 1
    });
    // It is tried again after 10 s.
    namespace.run_background(&format!("sh -c 'busybox nc -l -p 4739 > {}'", file.display()));
    let deadline = hopwatch::clock::instant() + Duration::from_secs(40);
    while sum(&sniffer.get("/metrics"), "hopwatch_flows_exported_total ") == 0 {
        assert!(hopwatch::clock::instant() < deadline, "{}", sniffer.get("/metrics"));
        namespace.run("sh -c 'echo x | busybox nc -w 1 10.9.0.2 8080 || true'");
        std::thread::sleep(Duration::from_millis(300));
    }
    let (_, log) = sniffer.end();
    assert!(log.contains("flows are not exported to tcp://127.0.0.1:4739") && log.contains("again"), "{log}");
    let sent = std::fs::read(&file).expect("what the collector got");
    assert!(sent.starts_with(&[0, 10]) && sent[16..18] == [0, 2], "templates come first: {sent:?}");
    assert!(
        sent.windows(10).any(|text| text == b"10.9.0.0/24" as &[u8]) || sent.windows(7).any(|text| text == b"br-test")
    );
}
