//! Property tests of sockets and namespaces against naive models.

use proptest::prelude::*;

use super::*;
use crate::input::{
    Endpoint, InsideInterface, KernelFact, NamespaceView, NetnsId, Protocol, SocketEvidence, SocketView,
};
use crate::inventory::SocketQuery;
use crate::inventory::timeline::sockets::Sockets;

const ADDRESS: [&str; 3] = ["172.18.0.2", "172.18.0.3", "0.0.0.0"];
const REMOTE: [&str; 2] = ["198.51.100.7", "203.0.113.9"];

/// A socket that is there from one second to another.
#[derive(Clone, Debug)]
struct Lifecycle {
    local: usize,
    port: u16,
    remote: Option<usize>,
    from: i64,
    seconds: i64,
}

fn lifecycles() -> impl Strategy<Value = Vec<Lifecycle>> {
    let lifecycle = (0..3_usize, 1..3_u16, proptest::option::of(0..2_usize), 0..30_i64, 1..12_i64)
        .prop_map(|(local, port, remote, from, seconds)| Lifecycle { local, port, remote, from, seconds });
    proptest::collection::vec(lifecycle, 0..12)
}

fn remote(number: usize) -> Endpoint {
    Endpoint { ip: ip(REMOTE[number]), port: 443 }
}

fn view(inode: usize, lifecycle: &Lifecycle) -> SocketView {
    SocketView {
        netns: NetnsId(1),
        inode: inode as u64,
        protocol: Protocol::UDP,
        local: Endpoint { ip: ip(ADDRESS[lifecycle.local]), port: lifecycle.port },
        remote: lifecycle.remote.map(remote),
        owners: vec![WorkloadId::new(&inode.to_string())],
        how: SocketEvidence::Process,
        command: None,
        pid: None,
        since: Some(secs(lifecycle.from)),
    }
}

/// The naive answer: looks at every socket, level by level.
fn naive(lifecycles: &[Lifecycle], address: usize, port: u16, to: usize, at: i64) -> Vec<usize> {
    let end = |lifecycle: &Lifecycle| lifecycle.from + lifecycle.seconds;
    let takes = |lifecycle: &&(usize, &Lifecycle)| {
        lifecycle.1.port == port && (lifecycle.1.local == 2 || lifecycle.1.local == address)
    };
    let all: Vec<_> = lifecycles.iter().enumerate().collect();
    let levels = [
        (true, all.iter().filter(takes).filter(|(_, lifecycle)| lifecycle.remote == Some(to)).collect::<Vec<_>>()),
        (
            false,
            all.iter()
                .filter(takes)
                .filter(|(_, lifecycle)| lifecycle.remote.is_none() && lifecycle.local != 2)
                .collect(),
        ),
        (
            false,
            all.iter()
                .filter(takes)
                .filter(|(_, lifecycle)| lifecycle.remote.is_none() && lifecycle.local == 2)
                .collect(),
        ),
    ];
    for (connected, level) in levels {
        let with = |keep: &dyn Fn(&Lifecycle) -> bool| -> Vec<usize> {
            level.iter().filter(|(_, lifecycle)| keep(lifecycle)).map(|(inode, _)| *inode).collect()
        };
        let now = with(&|lifecycle| lifecycle.from <= at && at < end(lifecycle));
        let ended =
            (at - 5..=at).rev().map(|past| with(&|lifecycle| end(lifecycle) == past)).find(|found| !found.is_empty());
        let soon = if connected { with(&|lifecycle| lifecycle.from == at + 1) } else { Vec::new() };
        for found in [now, ended.unwrap_or_default(), soon] {
            if !found.is_empty() {
                return found;
            }
        }
    }
    Vec::new()
}

/// A workload with its own namespace, and when each is reported, in quarters of a second after it happened.
#[derive(Clone, Debug)]
struct Guest {
    address: usize,
    gap: i64,
    quarters: i64,
    reported: i64,
    shown: i64,
    stopped: i64,
    gone: i64,
}

fn guests() -> impl Strategy<Value = Vec<Guest>> {
    let guest = (0..2_usize, 1..8_i64, 1..20_i64, 0..6_i64, 0..6_i64, 0..6_i64, 0..10_i64).prop_map(
        |(address, gap, quarters, reported, shown, stopped, gone)| Guest {
            address,
            gap,
            quarters,
            reported,
            shown,
            stopped,
            gone,
        },
    );
    proptest::collection::vec(guest, 1..12)
}

fn quarter(at: i64) -> Timestamp {
    Timestamp::from_nanos(at * 250_000_000)
}

enum Fact {
    Runtime(InventoryEvent),
    Kernel(KernelFact),
}

/// Lifecycles one after the other at each address, never two at once; their facts in the order in which they are reported.
fn play(guests: &[Guest]) -> (Timeline, Vec<(usize, i64, i64)>) {
    let mut free_at = [0_i64; 2];
    let (mut truth, mut facts) = (Vec::new(), Vec::new());
    for (number, guest) in guests.iter().enumerate() {
        let from = free_at[guest.address] + guest.gap;
        let until = from + guest.quarters;
        free_at[guest.address] = until;
        truth.push((guest.address, from, until));
        let id = WorkloadId::new(&format!("w{number}"));
        let own = Workload { since: Some(quarter(from)), attachments: vec![], ..workload(id.as_str(), None, &[]) };
        let netns = NetnsId(number as u64);
        let eth0 = InsideInterface {
            name: "eth0".into(),
            addresses: vec![ip(ADDRESS[guest.address])],
            ..InsideInterface::default()
        };
        let view =
            NamespaceView { netns, host: false, workloads: vec![id.clone()], interfaces: vec![eth0], settings: None };
        // A look shows what is there: not before the start, not after the end.
        let shown = (from + guest.shown).min(until);
        facts.push((from + guest.reported, Fact::Runtime(InventoryEvent::Workload(Arc::new(own)))));
        facts.push((shown, Fact::Kernel(KernelFact::Namespace(Arc::new(view)))));
        let stopped = (until + guest.stopped).max(from + guest.reported);
        facts.push((stopped, Fact::Runtime(InventoryEvent::Stopped { id, until: quarter(until) })));
        facts.push((until.max(shown) + guest.gone, Fact::Kernel(KernelFact::NamespaceGone { netns })));
    }
    facts.sort_by_key(|(at, _)| *at);
    let mut timeline = timeline();
    for (at, fact) in &facts {
        match fact {
            Fact::Runtime(event) => timeline.apply(quarter(*at), event),
            Fact::Kernel(fact) => timeline.apply_kernel(quarter(*at), fact),
        }
    }
    (timeline, truth)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sockets_are_found_as_a_naive_list_does(lifecycles in lifecycles()) {
        let mut sockets = Sockets::default();
        let mut events: Vec<(i64, usize, bool)> = Vec::new();
        for (inode, lifecycle) in lifecycles.iter().enumerate() {
            events.extend([(lifecycle.from, inode, true), (lifecycle.from + lifecycle.seconds, inode, false)]);
        }
        events.sort_unstable();
        for (at, inode, opened) in events {
            if opened {
                sockets.open(secs(at), 1, &Arc::new(view(inode, &lifecycles[inode])));
            } else {
                sockets.close(secs(at), 1, inode as u64);
            }
        }
        for ((address, port), (to, at)) in combinations(2, 3, 2, 50) {
            let wanted = SocketQuery { protocol: Protocol::UDP, port, remote: remote(to) };
            let found = sockets.find(1, ip(ADDRESS[address]), &wanted, secs(at));
            let mut found: Vec<usize> = found.iter().map(|view| usize::try_from(view.inode).expect("small")).collect();
            found.sort_unstable();
            prop_assert_eq!(found, naive(&lifecycles, address, port, to, at), "{} {} {} at {}: {:?}", address, port, to, at, lifecycles);
        }
        sockets.forget(secs(1000));
        prop_assert_eq!(sockets.len(), 0);
    }

    #[test]
    fn in_whatever_order_it_is_told_an_address_is_its_owners(guests in guests()) {
        let (timeline, truth) = play(&guests);
        for (number, (address, from, until)) in truth.iter().enumerate() {
            for at in *from..*until {
                let owner = owner_text(&owner(&timeline, ADDRESS[*address], quarter(at)));
                prop_assert_eq!(owner, format!("w{number}"), "at {}: {:?}", at, truth);
            }
            let next = truth.iter().filter(|(other, start, _)| other == address && start >= until).map(|t| t.1).min();
            for at in (*until..until + 20).filter(|at| next.is_none_or(|next| *at < next)) {
                let owner = owner_text(&owner(&timeline, ADDRESS[*address], quarter(at)));
                prop_assert_eq!(owner, format!("w{number}?"), "late at {}: {:?}", at, truth);
            }
        }
    }
}

/// All combinations of address, port, remote and second.
fn combinations(addresses: usize, ports: u16, remotes: usize, seconds: i64) -> Vec<((usize, u16), (usize, i64))> {
    let ends = (0..addresses).flat_map(|address| (1..ports).map(move |port| (address, port)));
    ends.flat_map(|end| (0..remotes).flat_map(move |to| (0..seconds).map(move |at| (end, (to, at))))).collect()
}
