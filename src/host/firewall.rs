//! The host's firewall: nftables over netlink, what it has and that it changed; and the tables of iptables-legacy.
//!
//! Contract: of the network namespace that the calling thread is in when it opens; reads only. A lost report counts as a change, and a list that
//! changed while it was read is read again. Limits: [`MAX_RULES`] rules; rules of iptables-legacy are not nftables':
//! [`legacy_rules`] reads them. The content of sets and maps is not compared. Source: `linux/netfilter/nf_tables.h`.

mod legacy;
mod rule;

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::SockProtocol;

pub use self::legacy::{legacy_programs, legacy_rules};
use self::rule::{Chains, Read, chain, generation, read};
use super::HostError;
use super::netlink::{BUFFER, Netlink, Query};
use crate::input::{FirewallRule, FirewallRules};

/// `NFNLGRP_NFTABLES`.
const GROUP: u32 = 1 << 6;
/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10 << 8;
const NEWCHAIN: u16 = SUBSYSTEM | 3;
const NEWRULE: u16 = SUBSYSTEM | 6;
const NEWGEN: u16 = SUBSYSTEM | 15;
const CHAINS: Query = Query { asked: "the chains of nftables", kind: SUBSYSTEM | 4, answers: 4096 };
const RULES: Query = Query { asked: "the rules of nftables", kind: SUBSYSTEM | 7, answers: 16_384 };
/// `struct nfgenmsg` of every family.
const EVERY: [u8; 4] = [0; 4];
/// Rules of each kind of firewall that are reported.
pub const MAX_RULES: usize = 4096;
/// Processes that are named.
const MAX_PROCESSES: usize = 8;
/// Reports that are taken at once.
const MAX_DRAIN: usize = 4096;
/// How often a list that changed meanwhile is read.
const TRIES: usize = 4;

/// Receives changes, and lists rules.
#[derive(Debug)]
pub struct Firewall {
    reports: Netlink,
    requests: Netlink,
    buffer: Vec<u8>,
    processes: Vec<String>,
}

impl Firewall {
    /// Subscribes; what changes from now on is reported.
    pub fn open() -> Result<Self, HostError> {
        let failed = |source| HostError::Netlink { asked: "reports of nftables", source };
        let reports = Netlink::open(SockProtocol::NetlinkNetFilter, GROUP).map_err(failed)?;
        reports.enlarge(1 << 20);
        let requests = Netlink::open(SockProtocol::NetlinkNetFilter, 0).map_err(failed)?;
        Ok(Self { reports, requests, buffer: vec![0; BUFFER], processes: Vec::new() })
    }

    /// Waits at most so long; whether something changed.
    pub fn wait(&mut self, most: Duration) -> bool {
        let timeout = PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX);
        let mut descriptors = [PollFd::new(self.reports.as_fd(), PollFlags::POLLIN)];
        if !matches!(poll(&mut descriptors, timeout), Ok(1..)) {
            return false;
        }
        let processes = &mut self.processes;
        let received = self.reports.drain(MAX_DRAIN, &mut self.buffer, |message| {
            let process = (message.kind == NEWGEN).then(|| generation(message.body)).flatten();
            if let Some(name) = process.filter(|name| processes.len() < MAX_PROCESSES && !processes.contains(name)) {
                processes.push(name);
            }
        });
        received.any
    }

    /// The rules as they are now, with the processes that changed something since the last list.
    pub fn list(&mut self) -> Result<FirewallRules, HostError> {
        for _ in 1..TRIES {
            if let (rules, false) = self.list_once()? {
                return Ok(rules);
            }
        }
        Ok(self.list_once()?.0)
    }

    fn list_once(&mut self) -> Result<(FirewallRules, bool), HostError> {
        let mut chains = Chains::new();
        let changed = self.requests.dump(&CHAINS, &EVERY, &mut self.buffer, |message| {
            if message.kind == NEWCHAIN {
                chains.extend(chain(message.body));
            }
        })?;
        let mut rules: Vec<FirewallRule> = chains.iter().filter_map(|(name, chain)| chain.policy(name)).collect();
        let (mut omitted, mut passing) = (0, BTreeMap::new());
        let changed_too = self.requests.dump(&RULES, &EVERY, &mut self.buffer, |message| {
            let Some(read) = (message.kind == NEWRULE).then(|| read(message.body)).flatten() else { return };
            match read {
                Read::Passes(chain) => *passing.entry(chain).or_insert(0_u32) += 1,
                Read::Other => {}
                Read::Rule(..) if rules.len() >= MAX_RULES => omitted += 1,
                Read::Rule(mut rule) => {
                    let place = (rule.family.clone(), rule.table.clone(), rule.chain.clone());
                    // Container runtimes put their own accepts before what drops.
                    let before = if rule.steers() { passing.get(&place).copied() } else { None };
                    rule.overruled_by = before.unwrap_or(0);
                    rules.push(rule);
                }
            }
        })?;
        let processes = if changed || changed_too { Vec::new() } else { std::mem::take(&mut self.processes) };
        Ok((FirewallRules { processes, rules, omitted }, changed || changed_too))
    }
}
