//! The configuration of a running sniffer is read again: real signals, real requests, real packets.

use std::path::Path;

use serde_json::Value;

use crate::support::netns::{Namespace, Sniffer, unavailable};
use crate::support::patience::wait_until;
use crate::support::scenario::replay_json;

const PATHS: &str = "
hops: {proxy: {addresses: [10.9.0.3], ports: [3128]}}
contracts: [{name: egress, from: [{addresses: [10.9.0.0/24]}], to: [internet], via: [proxy]}]
";
const EXCEPTION: &str = "
exceptions:
  - {name: backup, rule: egress-skips-proxy, destinations: [198.51.100.0/24], owner: platform, reason: a test, expires: 2099-01-01}
";
const HEADER: &str = "X-Hopwatch: 1";

/// Two hosts on a bridge; the other one answers on the internet at port 8080.
fn hosts(name: &str) -> Option<Namespace> {
    if let Some(why) = unavailable() {
        println!("skipped: {name}: {why}");
        return None;
    }
    let namespace = Namespace::with_bridge("br-test");
    namespace.run("ip route add 198.51.100.0/24 via 10.9.0.2 dev br-test");
    namespace.run_peer("ip addr add 198.51.100.7/24 dev lo");
    namespace.run_peer_background("busybox nc -ll -p 8080 -e echo hello");
    Some(namespace)
}

fn go_around_the_proxy(namespace: &Namespace) {
    namespace.run("for i in 1 2 3 4 5 6 7 8 9 10; do echo x | busybox nc -w 1 198.51.100.7 8080 && exit 0; sleep 0.1; done; exit 1");
}

fn is_captured(sniffer: &Sniffer) {
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
}

fn raised(lines: &[Value]) -> Vec<(String, String)> {
    let first = lines.iter().filter(|line| line["schema"] == "hopwatch.alert/1" && line["update"] == 0);
    first.map(|line| (line["rule"].to_string(), line["id"].to_string())).collect()
}

#[test]
fn another_policy_is_put_into_force_and_a_mistake_changes_nothing() {
    let Some(namespace) = hosts("another_policy_is_put_into_force_and_a_mistake_changes_nothing") else { return };
    let sniffer = Sniffer::start(&namespace, PATHS, &[]);
    is_captured(&sniffer);
    let reload = || sniffer.post("/-/reload", &[HEADER]);
    assert_eq!(sniffer.post("/-/reload", &[]).0, "403", "a page in a browser cannot ask");
    assert_eq!(sniffer.post("/-/reload", &[HEADER, "Origin: http://shop.example"]).0, "403");

    sniffer.configure(&format!("{PATHS}\ncontrats: []\n"));
    let (status, text) = reload();
    assert!(status == "400" && text.contains("contrats") && text.contains("contracts"), "{status}: {text}");
    sniffer.configure(&format!("{PATHS}\nevidence: {{ring_mib: 3}}\n"));
    let (status, text) = reload();
    assert!(status == "400" && text.contains("evidence changed, which only a restart takes over"), "{text}");
    let page = sniffer.get("/metrics");
    for line in ["hopwatch_config_last_reload_successful 0", "hopwatch_config_reloads_total{result=\"failure\"} 2"] {
        assert!(page.contains(line), "{line}: {page}");
    }
    assert!(sniffer.get("/readyz").contains("the last reload failed"));

    sniffer.configure(&format!("{PATHS}{EXCEPTION}"));
    let (status, text) = reload();
    assert!(status == "200" && text.contains("1 contract, 1 exception"), "{status}: {text}");
    assert!(sniffer.get("/metrics").contains("hopwatch_config_last_reload_successful 1"));
    go_around_the_proxy(&namespace);
    sniffer.wait_until("/metrics", "the exception holds it back", |page| {
        page.contains("hopwatch_exception_hits_total{exception=\"backup\"} 1")
    });
    sniffer.configure(PATHS);
    sniffer.signal("-HUP");
    sniffer.wait_until_logged("0 exceptions");
    go_around_the_proxy(&namespace);
    sniffer.wait_until("/metrics", "the alert", |page| {
        page.contains("hopwatch_alerts_total{rule=\"egress-skips-proxy\",severity=\"high\"} 1")
    });
    let (lines, log) = sniffer.end();
    assert_eq!(raised(&lines).len(), 1, "{lines:?}");
    assert!(log.contains("the old one stays in force"), "{log}");
    assert!(!log.contains("does not end"), "who reads the configuration again holds up no end: {log}");
}

#[test]
fn sinks_are_replaced_too() {
    let Some(namespace) = hosts("sinks_are_replaced_too") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let to = |name: &str| format!("{PATHS}\nsinks: {{{name}: {{file: {{path: {:?}}}}}}}\n", file(name));
    let sniffer = Sniffer::start(&namespace, &to("one"), &[]);
    is_captured(&sniffer);
    sniffer.configure(&to("two"));
    let (status, text) = sniffer.post("/-/reload", &[HEADER]);
    assert_eq!(status, "200", "{text}");
    go_around_the_proxy(&namespace);
    sniffer.wait_until("/metrics", "it is delivered", |page| {
        page.lines().any(|line| line.starts_with("hopwatch_sink_last_success_timestamp_seconds{sink=\"two\"} 1"))
    });
    let (lines, _) = sniffer.end();
    let delivered = std::fs::read_to_string(file("two")).expect("it was written");
    assert!(delivered.contains(lines[0]["id"].as_str().expect("an id")), "{delivered}");
    assert!(!file("one").exists() || std::fs::read_to_string(file("one")).expect("text").is_empty());
}

#[test]
fn another_address_is_served_before_the_old_one_is_closed_and_one_that_is_taken_changes_nothing() {
    let Some(namespace) = hosts("another_address_is_served_before_the_old_one_is_closed") else { return };
    let at = |port: u16| format!("{PATHS}\nsandbox: off\nserve: {{listen: \"127.0.0.1:{port}\"}}\n");
    let mut sniffer = Sniffer::start(&namespace, &at(9931), &[]);
    is_captured(&sniffer);
    namespace.run_background("busybox nc -ll -p 9932 -e true");
    namespace.run("for i in 1 2 3 4 5 6 7 8 9 10; do busybox nc -w 1 127.0.0.1 9932 </dev/null && exit 0; sleep 0.1; done; exit 1");
    sniffer.configure(&at(9932));
    let (status, text) = sniffer.post("/-/reload", &[HEADER]);
    assert!(
        status == "400" && text.contains("cannot listen on 127.0.0.1:9932") && text.contains("9931 stays"),
        "{text}"
    );
    assert_eq!(sniffer.status("/livez"), "200", "the old one serves");
    sniffer.configure(&at(9933));
    let (status, text) = sniffer.post("/-/reload", &[HEADER]);
    assert_eq!(status, "200", "the old one answers the request that closes it: {text}");
    wait_until("it takes no other", || sniffer.status("/livez") == "000");
    sniffer.serves_at(([127, 0, 0, 1], 9933).into());
    assert!(sniffer.get("/metrics").contains("hopwatch_config_last_reload_successful 1"));
    sniffer.configure(&at(9931));
    sniffer.signal("-HUP");
    sniffer.serves_at(([127, 0, 0, 1], 9931).into());
    is_captured(&sniffer);
    let (_, log) = sniffer.end();
    assert!(!log.contains("does not end"), "{log}");
}

#[test]
fn what_cannot_be_read_again_is_refused_and_a_recording_holds_no_address_of_a_sink() {
    let Some(namespace) = hosts("what_cannot_be_read_again_is_refused") else { return };
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("recording");
    let config = format!("{PATHS}\nsinks: {{hook: {{webhook: {{url: \"http://127.0.0.1:1/hunter2\"}}}}}}\n");
    let recorder = Sniffer::start(&namespace, &config, &["-o", &folder.display().to_string()]);
    is_captured(&recorder);
    assert_eq!(recorder.post("/-/reload", &[HEADER]).0, "200");
    recorder.configuration_becomes_a_pipe();
    let (status, text) = recorder.post("/-/reload", &[HEADER]);
    assert!(status == "400" && text.contains("cannot be read again"), "{status}: {text}");
    let (_, log) = recorder.end();
    assert!(!log.contains("does not end"), "{log}");
    for file in ["hopwatch.yaml", "facts.jsonl"] {
        let text = std::fs::read_to_string(folder.join(file)).expect(file);
        assert!(text.contains("egress") && !text.contains("hunter2"), "{file}: {text}");
    }
}

#[test]
fn fifty_reloads_under_load_lose_nothing_and_replay_to_the_same_alerts() {
    let Some(namespace) = hosts("fifty_reloads_under_load_lose_nothing_and_replay_to_the_same_alerts") else { return };
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("recording");
    let recorder = Sniffer::start(&namespace, PATHS, &["-o", &folder.display().to_string()]);
    is_captured(&recorder);
    namespace.run_background("sh -c 'while :; do echo x | busybox nc -w 1 10.9.0.2 8080; done'");
    let with = format!("{PATHS}{EXCEPTION}");
    for round in 0..50 {
        // Odd rounds hold back what goes around the proxy.
        recorder.configure(if round % 2 == 0 { PATHS } else { &with });
        let (status, text) = recorder.post("/-/reload", &[HEADER]);
        assert_eq!(status, "200", "{text}");
        if round % 10 == 9 {
            go_around_the_proxy(&namespace);
        }
    }
    recorder.configure(PATHS);
    assert_eq!(recorder.post("/-/reload", &[HEADER]).0, "200");
    go_around_the_proxy(&namespace);
    recorder.wait_until("/metrics", "the alert", |page| {
        page.contains("hopwatch_alerts_total{rule=\"egress-skips-proxy\",severity=\"high\"} 1")
    });
    let page = recorder.get("/metrics");
    for reason in ["kernel", "queue", "shed"] {
        let dropped = format!("hopwatch_dropped_packets_total{{observation_point=\"br-test\",reason=\"{reason}\"}} 0");
        assert!(page.contains(&dropped), "{page}");
    }
    assert!(page.contains("hopwatch_config_reloads_total{result=\"success\"} 51"), "{page}");
    let (live, _) = recorder.end();
    let replayed: Vec<Value> =
        replay_json(Path::new(&folder)).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(raised(&live).len(), 1, "{live:?}");
    assert_eq!(raised(&live), raised(&replayed));
    let (live, replayed) = (live.last().expect("a summary"), replayed.last().expect("a summary"));
    for figure in ["packets", "flows", "verdicts", "exceptions", "alerts"] {
        assert_eq!(live[figure], replayed[figure], "{figure}");
    }
}

#[test]
fn interfaces_that_are_asked_for_are_captured_and_others_no_longer() {
    let Some(namespace) = hosts("interfaces_that_are_asked_for_are_captured_and_others_no_longer") else { return };
    namespace.run("ip link add br-more type bridge && ip link set br-more up");
    let capture = |names: &str| format!("{PATHS}\ncapture: {{interfaces: [{names}]}}\n");
    let sniffer = Sniffer::start(&namespace, &capture("br-test"), &[]);
    is_captured(&sniffer);
    let reload = |names: &str| {
        sniffer.configure(&capture(names));
        assert_eq!(sniffer.post("/-/reload", &[HEADER]).0, "200");
    };
    let point =
        |page: &str, name: &str| page.contains(&format!("hopwatch_packets_total{{observation_point=\"{name}\"}}"));
    reload("br-more, br-test");
    sniffer.wait_until("/metrics", "both are captured", |page| point(page, "br-more") && point(page, "br-test"));
    reload("br-more");
    sniffer.wait_until("/metrics", "one is", |page| point(page, "br-more") && !point(page, "br-test"));
    reload("br-test");
    sniffer.wait_until("/metrics", "the other is", |page| !point(page, "br-more") && point(page, "br-test"));
    go_around_the_proxy(&namespace);
    sniffer.wait_until("/metrics", "the alert", |page| {
        page.contains("hopwatch_alerts_total{rule=\"egress-skips-proxy\",severity=\"high\"} 1")
    });
    let (_, log) = sniffer.end();
    assert!(log.contains("br-test is no longer configured; its capture ends"), "{log}");
}
