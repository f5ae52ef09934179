//! Answers as runtimes give them, and broken ones.

use super::super::proto::{
    ContainerMetadata, ContainerStatus, ImageSpec, Linux, NamespaceOption, Namespaces, Network, PodIp, SandboxMetadata,
};
use super::*;

fn entry(key: &str, value: &str) -> Entry {
    Entry { key: key.into(), value: value.into() }
}

fn pod(network: i32, info: &str) -> SandboxAnswer {
    let metadata = SandboxMetadata { name: b"shop-1".to_vec(), uid: b"u-1".to_vec(), namespace: b"shop".to_vec() };
    let options = Some(NamespaceOption { network });
    let status = SandboxStatus {
        id: "box".to_owned(),
        metadata: Some(metadata),
        created_at: 5_000_000_000,
        network: Some(Network { ip: "10.1.0.2".to_owned(), additional: vec![PodIp { ip: "fd00::2".to_owned() }] }),
        linux: Some(Linux { namespaces: Some(Namespaces { options }) }),
        labels: vec![entry("app", "shop")],
        ..SandboxStatus::default()
    };
    SandboxAnswer { status: Some(status), info: vec![entry("info", info)] }
}

fn read(answer: SandboxAnswer) -> (Workload, u64) {
    let counters = ReaderCounters::default();
    let observed = sandbox(&RuntimeId::CRI, answer, &counters).unwrap();
    (observed.workload, counters.unreadable())
}

const INFO: &str = r#"{"pid":42,"image":"localhost/pause:lab","cniResult":{"Interfaces":{"cni0":{"IPConfigs":null,"Mac":"aa:bb:cc:00:00:01"},
  "eth0":{"IPConfigs":[{"IP":"10.1.0.2","Gateway":"10.1.0.1"}],"Mac":"aa:bb:cc:00:00:02","Sandbox":"/run/netns/cni-1"}}}}"#;

#[test]
fn a_sandbox_owns_the_pods_addresses() {
    let (workload, unreadable) = read(pod(0, INFO));
    let [attachment] = &workload.attachments[..] else { panic!("{workload:?}") };
    assert_eq!(attachment.addresses, ["10.1.0.2".parse::<IpAddr>().unwrap(), "fd00::2".parse().unwrap()]);
    assert_eq!(attachment.mac, "aa:bb:cc:00:00:02".parse().ok());
    assert_eq!(attachment.gateways, ["10.1.0.1".parse::<IpAddr>().unwrap()]);
    assert_eq!((workload.pid, unreadable, &*workload.name), (Some(42), 0, "shop-1"));
    assert_eq!(workload.since, Some(Timestamp::from_secs(5)));
    let pod = workload.pod.unwrap();
    assert_eq!((&*pod.name, &*pod.namespace, &*pod.uid, pod.sandbox), ("shop-1", "shop", "u-1", true));
}

#[test]
fn a_pod_on_the_hosts_network_owns_no_address() {
    let (workload, _) = read(pod(NODE, INFO));
    assert_eq!((workload.network_mode, workload.attachments.len()), (NetworkMode::Host, 0));
}

#[test]
fn a_verbose_part_that_cannot_be_read_is_counted_and_the_rest_kept() {
    for garbage in ["", "nonsense", r#"{"pid":"x"}"#, r#"{"cniResult":[1,2]}"#] {
        let (workload, unreadable) = read(pod(0, garbage));
        assert_eq!((unreadable, workload.addresses().count(), workload.pid), (1, 2, None), "{garbage}");
    }
    let (workload, unreadable) = read(pod(0, r#"{"pid":-1,"image":null,"cniResult":null}"#));
    assert_eq!((unreadable, workload.pid), (0, None));
}

fn app(state: i32) -> ContainerAnswer {
    let status = ContainerStatus {
        id: "app".to_owned(),
        metadata: Some(ContainerMetadata { name: b"web".to_vec() }),
        state,
        created_at: 6_000_000_000,
        started_at: 7_000_000_000,
        finished_at: 9_000_000_000,
        image: Some(ImageSpec { image: b"shop:1".to_vec() }),
        image_ref: b"docker.io/library/shop@sha256:abc".to_vec(),
        labels: vec![entry("io.kubernetes.pod.name", "shop-1")],
    };
    ContainerAnswer { status: Some(status), info: vec![entry("info", r#"{"pid":43}"#)] }
}

#[test]
fn a_container_joins_its_sandbox_and_knows_its_pod() {
    let counters = ReaderCounters::default();
    let (owner, _) = read(pod(0, INFO));
    let of = |state| container(&RuntimeId::CRI, app(state), "box", Some(&owner), &counters).unwrap();
    let observed = of(state::RUNNING);
    assert_eq!(observed.workload.network_mode, NetworkMode::Container(WorkloadId::new("box")));
    assert_eq!(
        (observed.workload.pid, &*observed.workload.image_digest, observed.ended),
        (Some(43), "sha256:abc", None)
    );
    assert_eq!(observed.workload.pod, owner.pod.clone().map(|pod| Pod { sandbox: false, ..pod }));
    assert_eq!(observed.workload.since, Some(Timestamp::from_secs(7)));
    let ended = of(state::EXITED);
    assert_eq!((ended.workload.state, ended.workload.pid), (WorkloadState::Exited, None));
    assert_eq!(ended.ended, Some(Timestamp::from_secs(9)));
    assert_eq!(of(77).workload.state, WorkloadState::Running, "unknown, but its pod runs");
    let (node, _) = read(pod(NODE, INFO));
    let observed = container(&RuntimeId::CRI, app(state::RUNNING), "box", Some(&node), &counters).unwrap();
    assert_eq!(observed.workload.network_mode, NetworkMode::Host);
}
