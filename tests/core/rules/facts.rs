//! Facts of the kernel for the test's world: the host is in namespace 1.

use std::sync::Arc;

use hopwatch::input::*;

use crate::support::world::World;

pub const HOST: NetnsId = NetnsId(1);

pub fn id(name: &str) -> WorkloadId {
    WorkloadId::new(&format!("{name}{}", "0".repeat(50)))
}

pub fn pod(name: &str, sandbox: bool) -> Pod {
    Pod { name: name.into(), namespace: "default".into(), uid: String::new(), sandbox }
}

pub fn stray(pid: u32, command: &str, netns: NetnsId) -> Stray {
    Stray { pid, command: command.into(), netns }
}

/// An interface that is up, with MAC 02:00:00:00:00:`index`.
pub fn interface(index: u8, kind: &str, name: &str) -> InsideInterface {
    InsideInterface {
        name: name.into(),
        index: index.into(),
        kind: kind.into(),
        mac: Some(Mac([2, 0, 0, 0, 0, index])),
        up: true,
        ..InsideInterface::default()
    }
}

impl World {
    pub fn kernel(&mut self, millis: u64, fact: KernelFact) {
        self.push(millis, Fact::Recorded(RecordedFact::Kernel(fact)));
    }

    /// The host's namespace, with those workloads in it.
    pub fn host(&mut self, millis: u64, workloads: &[&str]) {
        self.view(millis, HOST, workloads, vec![]);
    }

    pub fn view(&mut self, millis: u64, netns: NetnsId, workloads: &[&str], interfaces: Vec<InsideInterface>) {
        let workloads = workloads.iter().map(|name| id(name)).collect();
        let view = NamespaceView { netns, host: netns == HOST, workloads, interfaces, settings: None };
        self.kernel(millis, KernelFact::Namespace(Arc::new(view)));
    }

    pub fn processes(&mut self, millis: u64, name: &str, netns: NetnsId, strays: &[Stray]) {
        let processes = ProcessNamespaces { workload: id(name), netns, strays: strays.to_vec() };
        self.kernel(millis, KernelFact::Processes(Arc::new(processes)));
    }

    /// A workload in a namespace of its own.
    pub fn settled(&mut self, millis: u64, name: &str, host: u8) -> NetnsId {
        let netns = NetnsId(100 + u64::from(host));
        self.start(millis, name, host);
        self.processes(millis, name, netns, &[]);
        self.view(millis, netns, &[name], vec![interface(host, "veth", "eth0")]);
        netns
    }

    pub fn sniffer(&mut self, millis: u64, netns: NetnsId, kind: SnifferKind, protocol: u16, owners: &[&str]) {
        let owners = owners.iter().map(|name| id(name)).collect();
        let command = Some("tcpdump".to_owned());
        let (interface, pid) = (Some("eth0".into()), Some(77));
        let sniffer = SnifferView { netns, inode: 7, kind, protocol, interface, owners, command, pid };
        self.kernel(millis, KernelFact::SnifferOpened(Arc::new(sniffer)));
    }

    pub fn link(&mut self, millis: u64, link: LinkEvent) {
        self.push(millis, Fact::Recorded(RecordedFact::Link(link)));
    }

    /// How often the alert of this rule was counted, at the end; 0 when there is none.
    pub fn times(&mut self, rule: &str) -> u64 {
        self.finish();
        self.alerts.iter().filter(|alert| alert.rule == rule).map(|alert| alert.count).max().unwrap_or(0)
    }

    /// The evidence of the first alert, as `[kind] text` lines.
    pub fn evidence(&self) -> String {
        let first = self.alerts.first().expect("an alert");
        first.evidence.iter().map(|one| format!("[{}] {}\n", one.kind, one.text)).collect()
    }
}
