//! A host on which containers come and go: what runtime and kernel report, late, and the flows that each has.
//!
//! Contract: the same every time (a counter with a mixer, no clock). An address or MAC belongs to one container at a time, and is reused as soon
//! as its last packet has gone and the end of its owner is told: a runtime gives nothing on before that. Design: inputs are made when a container is, and wait in a heap until their time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use hopwatch::input::{
    Attachment, Counters, EndReason, Endpoint, Fact, FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord, Input,
    InsideInterface, InventoryEvent, KernelFact, LinkEvent, Mac, NamespaceView, NetnsId, NetworkMode, ObservationPoint,
    Pod, Protocol, RecordedFact, Side, SocketEvidence, SocketView, TcpFacts, Workload, WorkloadId, tcp_flags,
};
use hopwatch::time::Timestamp;

use super::facts::bridged;

const BEGIN: i64 = 1_764_000_000;
const HOST: NetnsId = NetnsId(1);
const HOST_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// Few, so that they are reused all the time.
const ADDRESSES: u8 = 240;
/// Namespaces' inodes are reused too.
const INODES: u64 = 4096;

/// How a container reaches the network, and who tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// On a bridge; the runtime tells its address.
    Bridge,
    /// On a bridge; only the kernel shows its address.
    Shown,
    /// In a pod: the sandbox has the address, the socket names the container.
    Pod,
    /// In the host's namespace.
    Host,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Bridge, Self::Shown, Self::Pod, Self::Host];
}

/// Whose a flow is.
#[derive(Clone, Debug)]
pub struct Expected {
    pub id: WorkloadId,
    pub kind: Kind,
    /// Before the runtime reported the container.
    pub early: bool,
    /// After the container's end.
    pub late: bool,
}

type Waiting = BTreeMap<Reverse<(Timestamp, u64)>, (Input, Option<Expected>)>;

pub struct World {
    begin: Timestamp,
    end: Timestamp,
    containers: u64,
    made: u64,
    pace: Duration,
    waiting: Waiting,
    sequence: u64,
    random: u64,
    flows: u64,
    free: VecDeque<(Timestamp, u8)>,
    ports: u16,
    /// The uses of each inode, so that none is used twice at once.
    inodes: u64,
    sockets: u64,
}

/// One container's life, in event time.
struct Life {
    id: WorkloadId,
    kind: Kind,
    since: Timestamp,
    until: Timestamp,
    told: Timestamp,
    gone: Timestamp,
    netns: NetnsId,
    address: IpAddr,
    mac: Mac,
    veth: String,
}

impl World {
    pub fn new(containers: u64, span: Duration) -> Self {
        let begin = Timestamp::from_secs(BEGIN);
        let mut world = Self {
            begin,
            end: begin.plus(span),
            containers,
            made: 0,
            pace: span / u32::try_from(containers).expect("small"),
            waiting: Waiting::new(),
            sequence: 0,
            random: 7,
            flows: 0,
            free: (2..ADDRESSES).map(|last| (begin, last)).collect(),
            ports: 0,
            inodes: 0,
            sockets: 0,
        };
        world.set_up();
        world
    }

    pub const fn begin(&self) -> Timestamp {
        self.begin
    }

    /// When the last container is made.
    pub const fn end(&self) -> Timestamp {
        self.end
    }

    /// About what the world itself holds, in bytes.
    pub fn held(&self) -> usize {
        self.waiting.len() * 1200
    }

    /// The next input, and whose flow it starts if it does.
    pub fn next(&mut self) -> Option<(Input, Option<Expected>)> {
        loop {
            let next = self.begin.plus(self.pace * u32::try_from(self.made).expect("small"));
            let due = self.waiting.last_key_value().map(|(Reverse((at, _)), _)| *at);
            if self.made < self.containers && due.is_none_or(|due| due >= next) {
                self.made += 1;
                self.make(next);
                continue;
            }
            return self.waiting.pop_last().map(|(_, what)| what);
        }
    }

    fn set_up(&mut self) {
        let network = bridged("net", "172.18.0.0/24", "172.18.0.1", "br-net");
        let runtime = || hopwatch::input::RuntimeId::DOCKER;
        for event in [
            InventoryEvent::Connected { runtime: runtime() },
            InventoryEvent::Network(Arc::new(network)),
            InventoryEvent::Reconciled { runtime: runtime(), running: vec![] },
        ] {
            self.tell(self.begin, RecordedFact::Inventory(event));
        }
        let uplink = LinkEvent {
            point: ObservationPoint::new("eth0"),
            up: true,
            addresses: vec![HOST_IP],
            ..LinkEvent::default()
        };
        self.tell(self.begin, RecordedFact::Link(uplink));
        let view = NamespaceView { netns: HOST, host: true, workloads: vec![], interfaces: vec![], settings: None };
        self.kernel(self.begin, KernelFact::Namespace(Arc::new(view)));
        // Always there: without it a host's flow that is not reported yet would be the host's at once.
        let exporter = self.workload("exporter", NetworkMode::Host, self.begin, vec![], None);
        self.tell(self.begin, RecordedFact::Inventory(InventoryEvent::Workload(Arc::new(exporter))));
    }

    fn make(&mut self, since: Timestamp) {
        let kind = match self.below(100) {
            0..=64 => Kind::Bridge,
            65..=79 => Kind::Shown,
            80..=89 => Kind::Pod,
            _ => Kind::Host,
        };
        let long = self.below(100) >= 40;
        let millis = if long { 1_000 + self.below(12_000) } else { 30 + self.below(900) };
        let until = since.plus(Duration::from_millis(millis));
        let position = self.free.iter().position(|(free_at, _)| *free_at <= since).expect("a free address");
        let (_, last) = self.free.remove(position).expect("there");
        self.inodes += 1;
        let life = Life {
            id: WorkloadId::new(&format!("{:064x}", self.made)),
            kind,
            since,
            until,
            told: self.after(since, 1, 500),
            gone: self.after(until, 2, 2_000),
            netns: NetnsId(2 + self.inodes % INODES),
            address: IpAddr::V4(Ipv4Addr::new(172, 18, 0, last)),
            mac: Mac([2, 0x42, 172, 18, 0, last]),
            veth: format!("veth{last}"),
        };
        let stopped = self.tell_of(&life);
        let last_packet = self.flows_of(&life).max(stopped);
        // Half the time the one that was freed last is the next to be taken.
        if self.below(2) == 0 {
            self.free.push_front((last_packet, last));
        } else {
            self.free.push_back((last_packet, last));
        }
    }

    /// What runtime and kernel report of it; returns when its end is reported.
    fn tell_of(&mut self, life: &Life) -> Timestamp {
        let Life { id, kind, since, until, told, netns, .. } = life;
        let address = Attachment {
            network: "net".into(),
            addresses: vec![life.address],
            mac: Some(life.mac),
            host_interface: Some(life.veth.clone()),
            ..Attachment::default()
        };
        let (mode, attachments) = match kind {
            Kind::Bridge => (NetworkMode::Own, vec![address.clone()]),
            Kind::Shown => (NetworkMode::Own, vec![]),
            Kind::Pod => (NetworkMode::Container(sandbox(life)), vec![]),
            Kind::Host => (NetworkMode::Host, vec![]),
        };
        let pod = (*kind == Kind::Pod).then(|| Pod { name: id.short().to_owned(), ..Pod::default() });
        let mut told_of = vec![self.workload(id.as_str(), mode, *since, attachments, pod.clone())];
        if let Some(pod) = pod {
            // One that is silent, so that the address alone cannot tell; the sandbox is told last.
            let joined = NetworkMode::Container(sandbox(life));
            told_of.push(self.workload(&format!("51{}", &id.as_str()[2..]), joined, *since, vec![], Some(pod.clone())));
            let pod = Some(Pod { sandbox: true, ..pod });
            told_of.push(self.workload(sandbox(life).as_str(), NetworkMode::Own, *since, vec![address], pod));
        }
        let workloads: Vec<WorkloadId> = told_of.iter().map(|workload| workload.id.clone()).collect();
        let stopped = self.after(*until, 0, 400).max(*told);
        for workload in told_of {
            let id = workload.id.clone();
            self.tell(*told, RecordedFact::Inventory(InventoryEvent::Workload(Arc::new(workload))));
            let end = InventoryEvent::Stopped { id, until: *until };
            self.tell(stopped, RecordedFact::Inventory(end));
        }
        if *kind != Kind::Host {
            let eth0 = InsideInterface {
                name: "eth0".into(),
                kind: "veth".into(),
                mac: Some(life.mac),
                addresses: vec![life.address],
                up: true,
                host_interface: Some(life.veth.clone()),
                ..InsideInterface::default()
            };
            let view = NamespaceView { netns: *netns, host: false, workloads, interfaces: vec![eth0], settings: None };
            // A look sees what is there: the runtime's start and end wake it, or else it comes by itself.
            let seen = self.after(*since, 5, 450).min(*until);
            self.kernel(seen, KernelFact::Namespace(Arc::new(view)));
            self.kernel(life.gone, KernelFact::NamespaceGone { netns: *netns });
        }
        stopped
    }

    /// Its flows; when the last packet has gone.
    fn flows_of(&mut self, life: &Life) -> Timestamp {
        let mut last = life.until;
        let millis = u64::try_from(life.until.since(life.since).as_millis()).expect("small");
        let mut starts = vec![life.since.plus(Duration::from_millis(1 + self.below(20)))];
        for _ in 0..self.below(3) {
            starts.push(life.since.plus(Duration::from_millis(21 + self.below(millis - 21))));
        }
        for start in starts {
            self.flow(life, start, false);
        }
        // A FIN that was queued: no socket shows it any more, so only addresses can tell.
        if matches!(life.kind, Kind::Bridge | Kind::Shown) && self.below(10) == 0 {
            last = self.after(life.until, 1, 3_000);
            self.flow(life, last, true);
            last = last.plus(Duration::from_millis(1));
        }
        last
    }

    fn flow(&mut self, life: &Life, start: Timestamp, late: bool) {
        self.flows += 1;
        self.ports = (self.ports + 1) % 28_000;
        let port = 32_768 + self.ports;
        let on_host = life.kind == Kind::Host;
        let orig = Endpoint { ip: if on_host { HOST_IP } else { life.address }, port };
        let resp = Endpoint { ip: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), port: 443 };
        let tuple = FiveTuple { protocol: Protocol::TCP, orig, resp };
        let end = start.plus(Duration::from_millis(5 + self.below(300))).min(life.until.max(start));
        if matches!(life.kind, Kind::Pod | Kind::Host) {
            let netns = if on_host { HOST } else { life.netns };
            self.socket(life, netns, orig, resp, (start, end));
        }
        let record = |end, answered: bool| FlowRecord {
            end,
            orig: Side {
                next_hop: None,
                mac: Some(if on_host { Mac([2, 9, 9, 9, 9, 9]) } else { life.mac }),
                counters: Counters { packets: 1, ..Counters::default() },
            },
            resp: Side {
                mac: None,
                next_hop: None,
                counters: Counters { packets: u64::from(answered), ..Counters::default() },
            },
            tcp: Some(TcpFacts {
                orig_flags: if late { tcp_flags::FIN | tcp_flags::ACK } else { tcp_flags::SYN },
                resp_flags: if !answered || late { 0 } else { tcp_flags::SYN },
                ..TcpFacts::default()
            }),
            ..FlowRecord::new(
                FlowId(self.flows),
                ObservationPoint::new(if on_host { "eth0" } else { "br-net" }),
                tuple,
                start,
            )
        };
        let events = [
            (start, FlowEventKind::Started, record(start, false)),
            (end, FlowEventKind::Answered, record(end, true)),
            (end, FlowEventKind::Ended(EndReason::EndOfFlow), record(end, true)),
        ];
        let early = start < life.told;
        let expected = Expected { id: life.id.clone(), kind: life.kind, early, late };
        for (at, kind, record) in events {
            let expected = (kind == FlowEventKind::Started).then(|| expected.clone());
            self.wait(at, Fact::Flow(Box::new(FlowEvent { kind, record })), expected);
        }
    }

    fn socket(&mut self, life: &Life, netns: NetnsId, local: Endpoint, remote: Endpoint, flow: (Timestamp, Timestamp)) {
        self.sockets += 1;
        let before = Duration::from_millis(self.below(50));
        let mut seen = self.after(flow.0, 1, 450);
        if netns != HOST {
            // Nothing is shown of a namespace that is gone.
            seen = seen.min(life.gone.minus(Duration::from_millis(1)));
        }
        let view = SocketView {
            netns,
            inode: self.sockets,
            protocol: Protocol::TCP,
            local,
            remote: Some(remote),
            owners: vec![life.id.clone()],
            how: SocketEvidence::Cgroup,
            command: None,
            pid: None,
            since: Some(flow.0.minus(before)),
        };
        let closed = self.after(flow.1, 1, 1_000).max(seen);
        self.kernel(seen, KernelFact::SocketOpened(Arc::new(view)));
        self.kernel(closed, KernelFact::SocketClosed { netns, inode: self.sockets });
    }

    fn workload(
        &self,
        id: &str,
        network_mode: NetworkMode,
        since: Timestamp,
        attachments: Vec<Attachment>,
        pod: Option<Pod>,
    ) -> Workload {
        Workload {
            image: "busybox".into(),
            network_mode,
            attachments,
            pod,
            since: Some(since),
            ..Workload::new(WorkloadId::new(id), &format!("c{}", self.made), hopwatch::input::RuntimeId::DOCKER)
        }
    }

    fn kernel(&mut self, at: Timestamp, fact: KernelFact) {
        self.tell(at, RecordedFact::Kernel(fact));
    }

    fn tell(&mut self, at: Timestamp, fact: RecordedFact) {
        self.wait(at, Fact::Recorded(fact), None);
    }

    fn wait(&mut self, at: Timestamp, fact: Fact, expected: Option<Expected>) {
        self.sequence += 1;
        self.waiting.insert(Reverse((at, self.sequence)), (Input::new(at, fact), expected));
    }

    fn after(&mut self, at: Timestamp, least: u64, most: u64) -> Timestamp {
        at.plus(Duration::from_millis(least + self.below(most - least)))
    }

    /// A number below a limit: `SplitMix64` (Steele, Lea, Flood 2014).
    fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

fn sandbox(life: &Life) -> WorkloadId {
    WorkloadId::new(&format!("5a{}", &life.id.as_str()[2..]))
}
