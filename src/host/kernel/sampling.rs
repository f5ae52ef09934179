//! Which of very many processes are looked at and reported.
//!
//! Contract: decoys, started before or after, hide no process for good. Limits: what is left out at one look is the caller's to count.
//! Design: pure, so that every order of decoys can be tested.

use std::collections::{BTreeMap, BTreeSet};

use crate::input::NetnsId;

/// The strays to report, in order of pid, and how many are left out: those in the host's namespace go first, then those with another
/// workload, then one of each namespace, so that decoys crowd nobody out.
pub(super) fn prioritize(
    strays: Vec<(u32, NetnsId)>,
    most: usize,
    host: Option<NetnsId>,
    homes: &BTreeSet<NetnsId>,
) -> (Vec<(u32, NetnsId)>, usize) {
    let mut seen: BTreeMap<NetnsId, usize> = BTreeMap::new();
    let mut ranked: Vec<_> = strays
        .into_iter()
        .map(|(pid, netns)| {
            let before = seen.entry(netns).or_default();
            *before += 1;
            let place = if Some(netns) == host { 0 } else { 1 + usize::from(!homes.contains(&netns)) };
            (*before > 1, place, *before, pid, netns)
        })
        .collect();
    ranked.sort_unstable();
    let left_out = ranked.len().saturating_sub(most);
    ranked.truncate(most);
    let mut reported: Vec<_> = ranked.into_iter().map(|(.., pid, netns)| (pid, netns)).collect();
    reported.sort_unstable();
    (reported, left_out)
}

/// At most so many of very many: always the oldest and the newest, and of those between another part at each turn.
pub(super) fn rotate(pids: Vec<u32>, most: usize, turn: usize) -> Vec<u32> {
    if pids.len() <= most {
        return pids;
    }
    let (end, part) = (most / 4, most - 2 * (most / 4));
    let between = pids.len() - 2 * end;
    let first = turn.wrapping_mul(part) % between;
    let chosen =
        |place: usize| place < end || place >= end + between || (place - end + between - first) % between < part;
    pids.into_iter().enumerate().filter(|(place, _)| chosen(*place)).map(|(_, pid)| pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_has_its_turn_and_the_oldest_and_newest_always() {
        let pids: Vec<u32> = (1..=1000).collect();
        assert_eq!(rotate(pids.clone(), 1000, 7), pids, "few are all looked at");
        let mut seen = BTreeSet::new();
        for turn in 0..20 {
            let chosen = rotate(pids.clone(), 100, turn);
            assert_eq!(chosen.len(), 100);
            assert!(chosen.is_sorted() && chosen.contains(&1) && chosen.contains(&1000));
            seen.extend(chosen);
        }
        assert_eq!(seen.len(), 1000);
    }

    #[test]
    fn decoys_do_not_crowd_out_who_is_with_the_host_or_with_another_workload() {
        let (host, home) = (NetnsId(1), NetnsId(2));
        let decoys = (10..200).map(|pid| (pid, NetnsId(u64::from(pid)))).chain((300..400).map(|pid| (pid, host)));
        let strays: Vec<_> = decoys.chain([(500, home), (501, host)]).collect();
        let (reported, left_out) = prioritize(strays, 64, Some(host), &BTreeSet::from([home]));
        assert_eq!((reported.len(), left_out), (64, 228));
        assert!(reported.contains(&(500, home)) && reported.iter().any(|(_, netns)| *netns == host), "{reported:?}");
        assert_eq!(
            prioritize(vec![(9, home), (3, host)], 64, Some(host), &BTreeSet::new()),
            (vec![(3, host), (9, home)], 0)
        );
    }
}
