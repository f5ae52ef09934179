//! Packet sockets and raw sockets in the namespaces of workloads, and who holds them.
//!
//! Contract: in a workload's namespace all are told, in the host's those that a workload holds; this process's own are left out.
//! Limits: [`MAX_SNIFFERS`] a namespace, and what one file of `/proc` shows. Sources: proc(5), packet(7), raw(7); the columns are
//! those of `net/packet/af_packet.c` and `net/ipv4/raw.c`. Design: read from `/proc/PID/net` because packet sockets over
//! `sock_diag` need a module that may not be loaded.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::missed::Missed;
use super::namespaces::Namespaces;
use super::proc;
use super::socket_owners;
use super::workloads::Workloads;
use crate::input::{KernelFact, MissedKind, NetnsId, SnifferKind, SnifferView};

const MAX_SNIFFERS: usize = 1024;

/// All that are known.
#[derive(Debug, Default)]
pub(super) struct PacketSockets {
    known: BTreeMap<NetnsId, Place>,
    overflowed: HashSet<NetnsId>,
}

/// A namespace.
#[derive(Debug, Default)]
struct Place {
    known: BTreeMap<u64, Known>,
    arrivals: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// One search found no holder.
    Unheld,
    /// Told, with an owner.
    Told,
    /// Told as nobody's.
    Nobody,
    /// Not told: the host's in its own namespace, or searched in vain.
    Untold,
    /// The sensor's own.
    Own,
}

/// One line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    inode: u64,
    kind: SnifferKind,
    protocol: u16,
    index: u32,
}

impl Known {
    /// After a search that found no holder.
    const fn without_holder(before: Option<Self>, is_host: bool, complete: bool) -> Self {
        match before {
            None => Self::Unheld,
            Some(Self::Unheld) if is_host || !complete => Self::Untold,
            Some(Self::Unheld) => Self::Nobody,
            Some(same) => same,
        }
    }
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
            for view in place.open(netns, &lines, netns == host, again, workloads, missed) {
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
            if !stays && matches!(known, Known::Told | Known::Nobody) {
                facts.push(KernelFact::SnifferClosed { netns, inode: *inode });
            }
            stays
        });
    }
}

impl Place {
    /// The new ones whose holders are known now, without the interface; `again`: also those that had none.
    fn open(
        &mut self,
        netns: NetnsId,
        lines: &[Line],
        is_host: bool,
        again: bool,
        workloads: &Workloads,
        missed: &mut Missed,
    ) -> Vec<SnifferView> {
        let fresh = |line: &&Line| match self.known.get(&line.inode) {
            None | Some(Known::Unheld) => true,
            Some(Known::Nobody | Known::Untold) => again,
            Some(Known::Told | Known::Own) => false,
        };
        let fresh: Vec<Line> = lines.iter().filter(fresh).copied().collect();
        if fresh.is_empty() {
            return Vec::new();
        }
        let own = socket_owners::own();
        let wanted = fresh.iter().map(|line| line.inode).collect();
        let found = socket_owners::find(workloads, netns, &wanted);
        let mut views = Vec::new();
        for line in fresh {
            let holder = found.holders.get(&line.inode);
            let before = self.known.get(&line.inode).copied();
            let now = match holder {
                Some(_) => Known::Told,
                None if own.contains(&line.inode) => Known::Own,
                None => Known::without_holder(before, is_host, found.complete),
            };
            let in_vain = now == Known::Untold && before == Some(Known::Unheld) && !found.complete && !is_host;
            // A workload that hides its processes among very many does not hide its socket.
            let likely = found.likely().filter(|_| in_vain);
            missed.add(MissedKind::SocketOwner, usize::from(in_vain && likely.is_none()));
            let now = if likely.is_some() { Known::Told } else { now };
            self.known.insert(line.inode, now);
            if before != Some(now) && matches!(now, Known::Told | Known::Nobody) {
                let owners = holder.map(|holder| holder.owners.iter().cloned().collect());
                let owners = owners.unwrap_or_else(|| likely.into_iter().cloned().collect());
                let command = holder.map(|holder| proc::command(holder.pid)).filter(|name| !name.is_empty());
                let Line { inode, kind, protocol, .. } = line;
                views.push(SnifferView { netns, inode, kind, protocol, interface: None, owners, command });
            }
        }
        views
    }
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

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_line_is_read_without_a_panic(line in "[0-9a-fA-F: ]{0,120}|.{0,60}") {
            let _ = (packet_line(&line), raw_line(&line));
        }
    }
}
