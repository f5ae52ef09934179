//! Packet sockets and raw sockets in the namespaces of workloads, and who holds them.
//!
//! Contract: in a workload's namespace all are reported, in the host's those that a workload holds; this process's own are left out.
//! Limits: [`MAX_SNIFFERS`] a namespace, and what one file of `/proc` shows. Sources: proc(5), packet(7), raw(7); the columns are
//! those of `net/packet/af_packet.c` and `net/ipv4/raw.c`. Design: read from `/proc/PID/net` because packet sockets over
//! `sock_diag` need a module that may not be loaded.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::missed::Missed;
use super::namespaces::Namespaces;
use super::proc;
use super::socket_owners::{self, Found};
use super::workloads::Workloads;
use crate::input::{KernelFact, MissedKind, NetnsId, SnifferKind, SnifferView};

const MAX_SNIFFERS: usize = 1024;

/// All that are known.
#[derive(Debug, Default)]
pub(super) struct PacketSockets {
    known: BTreeMap<NetnsId, NamespaceSockets>,
    overflowed: HashSet<NetnsId>,
}

/// The namespace that is scanned.
struct Scanned<'a> {
    netns: NetnsId,
    is_host: bool,
    /// A workload came in since the last scan.
    again: bool,
    workloads: &'a Workloads,
}

/// The sockets of a namespace.
#[derive(Debug, Default)]
struct NamespaceSockets {
    known: BTreeMap<u64, State>,
    arrivals: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// One search found no holder.
    Unheld,
    /// Reported, with an owner.
    Reported,
    /// Reported as nobody's.
    Nobody,
    /// Not reported: the host's in its own namespace, or searched without a result.
    Unreported,
    /// The sensor's own.
    Own,
}

/// What a search for the holder found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Search {
    /// A workload.
    Held,
    /// This process.
    Own,
    /// No process; `complete`: every one of the namespace was looked at.
    Unheld { complete: bool },
    /// No process, but only one workload has some that were not looked at.
    Likely,
}

/// The table: what a socket is after a search. A holder is missed at the second search only, since a socket is older than its descriptor.
const fn next(before: Option<State>, search: Search, is_host: bool) -> State {
    match (before, search) {
        (_, Search::Held) => State::Reported,
        (_, Search::Own) => State::Own,
        (None, Search::Unheld { .. } | Search::Likely) => State::Unheld,
        (Some(State::Unheld), _) if is_host => State::Unreported,
        // A workload that hides its processes among very many does not hide its socket.
        (Some(State::Unheld), Search::Likely) => State::Reported,
        (Some(State::Unheld), Search::Unheld { complete: true }) => State::Nobody,
        (Some(State::Unheld), Search::Unheld { complete: false }) => State::Unreported,
        (Some(same), _) => same,
    }
}

/// One line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    inode: u64,
    kind: SnifferKind,
    protocol: u16,
    index: u32,
}

impl PacketSockets {
    /// Looks at all namespaces.
    pub(super) fn scan(
        &mut self,
        workloads: &Workloads,
        namespaces: &mut Namespaces,
        buffer: &mut [u8],
        missed: &mut Missed,
        facts: &mut Vec<KernelFact>,
    ) {
        let host = namespaces.host();
        let looked: Vec<(NetnsId, u64, Vec<Line>)> = namespaces
            .iter()
            .filter(|(netns, inside)| *netns != host || inside.with_process > 0)
            .filter_map(|(netns, inside)| Some((netns, inside.arrivals, lines(&door(netns, host, &inside.pids)?))))
            .collect();
        let there: HashSet<NetnsId> = namespaces.iter().map(|(netns, _)| netns).collect();
        self.known.retain(|netns, _| there.contains(netns));
        self.overflowed.retain(|netns| there.contains(netns));
        for (netns, arrivals, mut lines) in looked {
            if lines.len() > MAX_SNIFFERS && self.overflowed.insert(netns) {
                missed.add(MissedKind::Overflow, lines.len() - MAX_SNIFFERS);
            }
            lines.truncate(MAX_SNIFFERS);
            self.close(netns, &lines, facts);
            let place = self.known.entry(netns).or_default();
            let again = std::mem::replace(&mut place.arrivals, arrivals) != arrivals;
            let here = Scanned { netns, is_host: netns == host, again, workloads };
            for view in place.open(&lines, &here, missed) {
                let line = lines.iter().find(|line| line.inode == view.inode);
                let index = line.map(|line| line.index).filter(|index| *index != 0);
                let interface = index.and_then(|index| namespaces.interface(netns, index, buffer));
                facts.push(KernelFact::SnifferOpened(Arc::new(SnifferView { interface, ..view })));
            }
        }
    }

    fn close(&mut self, netns: NetnsId, lines: &[Line], facts: &mut Vec<KernelFact>) {
        let Some(place) = self.known.get_mut(&netns) else { return };
        place.known.retain(|inode, known| {
            let stays = lines.iter().any(|line| line.inode == *inode);
            if !stays && matches!(known, State::Reported | State::Nobody) {
                facts.push(KernelFact::SnifferClosed { netns, inode: *inode });
            }
            stays
        });
    }
}

impl NamespaceSockets {
    /// The new ones whose holders are known now, without the interface.
    fn open(&mut self, lines: &[Line], here: &Scanned<'_>, missed: &mut Missed) -> Vec<SnifferView> {
        let fresh = self.fresh(lines, here.again);
        if fresh.is_empty() {
            return Vec::new();
        }
        let own = socket_owners::own();
        let wanted = fresh.iter().map(|line| line.inode).collect();
        let found = socket_owners::find(here.workloads, here.netns, &wanted);
        let mut views = Vec::new();
        for line in fresh {
            let search = search(&found, &own, line.inode);
            let before = self.known.get(&line.inode).copied();
            let now = next(before, search, here.is_host);
            let in_vain = before == Some(State::Unheld) && search == Search::Unheld { complete: false };
            missed.add(MissedKind::SocketOwner, usize::from(in_vain && !here.is_host));
            self.known.insert(line.inode, now);
            if before != Some(now) && matches!(now, State::Reported | State::Nobody) {
                views.push(view(line, here.netns, &found));
            }
        }
        views
    }

    /// Those whose holder is wanted; `again`: also those that had none.
    fn fresh(&self, lines: &[Line], again: bool) -> Vec<Line> {
        let is_fresh = |line: &&Line| match self.known.get(&line.inode) {
            None | Some(State::Unheld) => true,
            Some(State::Nobody | State::Unreported) => again,
            Some(State::Reported | State::Own) => false,
        };
        lines.iter().filter(is_fresh).copied().collect()
    }
}

fn search(found: &Found, own: &HashSet<u64>, inode: u64) -> Search {
    match found.holders.contains_key(&inode) {
        // First, since hopwatch may itself run in a container.
        _ if own.contains(&inode) => Search::Own,
        true => Search::Held,
        false if !found.complete && found.likely().is_some() => Search::Likely,
        false => Search::Unheld { complete: found.complete },
    }
}

fn view(line: Line, netns: NetnsId, found: &Found) -> SnifferView {
    let Line { inode, kind, protocol, .. } = line;
    let holder = found.holders.get(&inode);
    let owners = holder.map(|holder| holder.owners.iter().cloned().collect());
    let owners = owners.unwrap_or_else(|| found.likely().into_iter().cloned().collect());
    let command = holder.map(|holder| proc::command(holder.pid)).filter(|name| !name.is_empty());
    let pid = holder.map(|holder| holder.pid);
    SnifferView { netns, inode, kind, protocol, interface: None, owners, command, pid }
}

/// A folder that shows the namespace's files.
fn door(netns: NetnsId, host: NetnsId, pids: &[u32]) -> Option<PathBuf> {
    if netns == host {
        return Some(PathBuf::from("/proc/thread-self/net"));
    }
    let pid = pids.iter().find(|pid| proc::netns(**pid) == Ok(netns))?;
    Some(proc::path(*pid, "net"))
}

fn lines(folder: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    for (file, read) in [("packet", packet_line as fn(&str) -> Option<Line>), ("raw", raw_line), ("raw6", raw_line)] {
        let text = proc::read(&folder.join(file)).unwrap_or_default();
        lines.extend(text.lines().skip(1).filter_map(read).filter(|line| line.inode != 0));
    }
    lines
}

/// `00000000a1b2c3d4 3      3    0003   2     1 0      0      12345`.
fn packet_line(line: &str) -> Option<Line> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, _, _, protocol, index, _, _, _, inode, ..] = words[..] else { return None };
    Some(Line {
        inode: inode.parse().ok()?,
        kind: SnifferKind::Packet,
        protocol: u16::from_str_radix(protocol, 16).ok()?,
        index: index.parse().ok()?,
    })
}

/// `  1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12345 2 …`: the port is the protocol.
fn raw_line(line: &str) -> Option<Line> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, local, _, _, _, _, _, _, _, inode, ..] = words[..] else { return None };
    let (_, protocol) = local.rsplit_once(':')?;
    Some(Line {
        inode: inode.parse().ok()?,
        kind: SnifferKind::Raw,
        protocol: u16::from_str_radix(protocol, 16).ok()?,
        index: 0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_both_kinds_are_read() {
        let packet = packet_line("ffff8881045b9000 3      3    0003   2     1 0      0      12345");
        let expected = Line { inode: 12345, kind: SnifferKind::Packet, protocol: 3, index: 2 };
        assert_eq!(packet, Some(expected));
        let raw = "  58: 00000000000000000000000000000000:003A 00000000000000000000000000000000:0000 07 00000000:00000000 \
            00:00000000 00000000     0        0 777 2 0000000000000000 0";
        assert_eq!(raw_line(raw), Some(Line { inode: 777, kind: SnifferKind::Raw, protocol: 58, index: 0 }));
        assert_eq!(packet_line("sk               RefCnt Type Proto  Iface R Rmem   User   Inode"), None);
    }

    #[test]
    fn a_socket_is_nobodys_only_after_two_complete_searches() {
        use State::{Nobody, Own, Reported, Unheld, Unreported};
        let unheld = |complete| Search::Unheld { complete };
        let table = [
            // before, search, in the host's namespace → now
            (None, Search::Held, false, Reported),
            (None, Search::Own, true, Own),
            (None, unheld(true), false, Unheld),
            (None, Search::Likely, false, Unheld),
            (Some(Unheld), Search::Held, true, Reported),
            (Some(Unheld), unheld(true), false, Nobody),
            (Some(Unheld), unheld(false), false, Unreported),
            (Some(Unheld), Search::Likely, false, Reported),
            (Some(Unheld), unheld(true), true, Unreported),
            (Some(Unheld), Search::Likely, true, Unreported),
            (Some(Nobody), unheld(false), false, Nobody),
            (Some(Nobody), Search::Likely, false, Nobody),
            (Some(Nobody), Search::Held, false, Reported),
            (Some(Unreported), unheld(true), true, Unreported),
            (Some(Unreported), Search::Held, true, Reported),
        ];
        for (before, search, is_host, now) in table {
            assert_eq!(next(before, search, is_host), now, "{before:?} {search:?} {is_host}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_line_is_read_without_a_panic(line in "[0-9a-fA-F: ]{0,120}|.{0,60}") {
            let _ = (packet_line(&line), raw_line(&line));
        }
    }
}
