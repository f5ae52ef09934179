//! Records as containerd keeps them, and broken ones.

use super::*;
use crate::inventory::reader::proto::{Any, Entry};

fn container(id: &str, labels: &[(&str, &str)], spec: &str) -> Container {
    let entry = |(key, value): &(&str, &str)| Entry { key: (*key).into(), value: (*value).into() };
    Container {
        id: id.to_owned(),
        labels: labels.iter().map(entry).collect(),
        image: b"localhost/busybox:lab".to_vec(),
        spec: Some(Any { type_url: String::new(), value: spec.into() }),
        created_at: Some(Time { seconds: 5, nanos: 0 }),
    }
}

fn read(container: &Container, task: Option<&Process>) -> (ObservedContainer, u64) {
    let counters = ReaderCounters::default();
    let owner_of = |pid| (pid == 77).then(|| WorkloadId::new("default/other"));
    let observed = observed(&RuntimeId::CONTAINERD, "default", container, task, owner_of, &counters);
    (observed, counters.unreadable())
}

fn mode(namespaces: &str) -> NetworkMode {
    let spec = format!(r#"{{"linux":{{"namespaces":{namespaces}}},"annotations":null}}"#);
    read(&container("web", &[], &spec), None).0.workload.network_mode
}

#[test]
fn the_network_mode_is_what_the_specification_says() {
    let other = NetworkMode::Container(WorkloadId::new("default/other"));
    assert_eq!(mode(r#"[{"type":"pid"},{"type":"network"}]"#), NetworkMode::Own);
    assert_eq!(mode(r#"[{"type":"pid"}]"#), NetworkMode::Host);
    assert_eq!(mode("null"), NetworkMode::Host);
    assert_eq!(mode(r#"[{"type":"network","path":"/proc/77/ns/net"}]"#), other);
    assert_eq!(mode(r#"[{"type":"network","path":"/proc/1/ns/net"}]"#), NetworkMode::Host);
    assert_eq!(mode(r#"[{"type":"network","path":"/proc/78/ns/net"}]"#), NetworkMode::Own, "nobody's that is known");
    assert_eq!(mode(r#"[{"type":"network","path":"/var/run/netns/blue"}]"#), NetworkMode::Own);
}

#[test]
fn a_container_of_a_pod_joins_its_sandbox() {
    let spec = r#"{"linux":{"namespaces":[{"type":"network","path":"/run/netns/cni-1"}]},"annotations":{"io.kubernetes.cri.sandbox-id":"box"}}"#;
    let labels = [("io.kubernetes.pod.name", "shop-1"), ("io.kubernetes.pod.namespace", "shop")];
    let (app, _) = read(&container("app", &labels, spec), None);
    assert_eq!(app.workload.network_mode, NetworkMode::Container(WorkloadId::new("default/box")));
    let pod = app.workload.pod.unwrap();
    assert_eq!((&*pod.name, &*pod.namespace, pod.sandbox), ("shop-1", "shop", false));
    let (sandbox, _) = read(&container("box", &labels, spec), None);
    assert_eq!(sandbox.workload.network_mode, NetworkMode::Own);
    assert!(sandbox.workload.pod.unwrap().sandbox);
}

#[test]
fn ids_that_are_unique_in_their_namespace_only_are_told_with_it() {
    let long = "0123456789abcdef".repeat(4);
    assert_eq!(workload_id("default", "web").as_str(), "default/web");
    assert_eq!(workload_id("default", &long).as_str(), long);
    let (named, _) = read(&container(&long, &[("nerdctl/name", "web")], "{}"), None);
    assert_eq!(named.workload.name, "web");
}

#[test]
fn a_task_gives_pid_state_and_end() {
    let task =
        |status| Process { pid: 9, status, exited_at: Some(Time { seconds: 8, nanos: 0 }), ..Process::default() };
    let container = container("web", &[], "{}");
    let of = |status| {
        let (observed, _) = read(&container, Some(&task(status)));
        (observed.workload.state, observed.workload.pid, observed.ended.map(|at| at.as_nanos() / 1_000_000_000))
    };
    assert_eq!(of(2), (WorkloadState::Running, Some(9), None));
    assert_eq!(of(4), (WorkloadState::Paused, Some(9), None));
    assert_eq!(of(3), (WorkloadState::Exited, None, Some(8)));
    assert_eq!(of(0), (WorkloadState::Running, Some(9), None));
    assert_eq!(read(&container, None).0.workload.state, WorkloadState::Created);
}

#[test]
fn a_specification_that_cannot_be_read_is_counted_and_the_rest_kept() {
    for garbage in ["", "{", "[]", r#"{"linux":7}"#, r#"{"linux":{"namespaces":[{"path":"/x"}]}}"#] {
        let (observed, unreadable) = read(&container("web", &[("a", "b")], garbage), None);
        assert_eq!((unreadable, observed.workload.labels.len()), (1, 1), "{garbage}");
        assert_eq!(observed.workload.network_mode, NetworkMode::Own, "nothing is claimed that was not read");
    }
}
