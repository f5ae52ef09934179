//! One flow against the contracts: covered or not, and the verdict.
//!
//! Contract: pure. `verified` needs evidence for every stage; `bypassed` and `partial` need proof that a stage was skipped; everything else that a
//! contract covers, or may cover, is `unobservable` with the reason. Design: contracts are tried in order, DNS first; the first that covers
//! the flow judges it. [`scope`] says whose contract it is, [`proof`] what each hop's evidence says, [`explain`] which rule speaks.

mod candidates;
mod explain;
mod members;
mod proof;
mod scope;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use self::candidates::{ByAddress, Candidates};
use self::members::Members;
use self::proof::Proof;
use self::scope::{Destination, InScope};
use super::trail::Trail;
use super::{
    Contract, Evidence, EvidenceKind, Hop, JudgeContext, Judgement, Outcome, Service, Skip, Stage, Unobservable,
    Verdict, dns_detection,
};
use crate::input::Workload;
use crate::inventory::{Owner, Timeline};

/// The contracts in the order in which they are tried.
#[derive(Debug)]
pub struct Judge {
    contracts: Vec<(Arc<str>, Contract)>,
    members: Members,
    by_address: ByAddress,
    /// Contracts with a hop that is proven by what several points, or several frames, show.
    comparing: BTreeSet<Arc<str>>,
}

impl Judge {
    /// Orders the contracts: DNS before others, else as configured.
    pub fn new(contracts: Vec<Contract>) -> Self {
        let mut contracts: Vec<_> = contracts.into_iter().map(|c| (Arc::from(c.name.as_str()), c)).collect();
        contracts.sort_by_key(|(_, contract)| contract.service);
        let all = || contracts.iter().map(|(_, contract)| contract);
        let (members, by_address) = (Members::new(all()), ByAddress::new(all()));
        let compares = |hop: &Arc<Hop>| hop.accepts(EvidenceKind::Transit) || hop.accepts(EvidenceKind::NextHop);
        let comparing = contracts.iter().filter(|(_, contract)| contract.hops().any(compares));
        let comparing = comparing.map(|(name, _)| Arc::clone(name)).collect();
        Self { contracts, members, by_address, comparing }
    }

    /// Takes over what changed in the inventory; the tracker calls it before it judges. True when a hop may have changed.
    pub fn catch_up(&mut self, timeline: &Timeline) -> bool {
        let Self { contracts, members, .. } = self;
        members.catch_up(timeline, &contracts.iter().map(|(_, contract)| contract))
    }

    /// The names of all contracts.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.contracts.iter().map(|(name, _)| name)
    }

    /// All contracts.
    pub fn contracts(&self) -> impl Iterator<Item = &Contract> + Clone {
        self.contracts.iter().map(|(_, contract)| contract)
    }

    /// Whether verdicts of the contract with this name rest on what several points, or several frames, show.
    pub fn compares_points(&self, name: &str) -> bool {
        self.comparing.contains(name)
    }

    /// Whether a workload is a hop of some contract that passes frames on: it sends from addresses that are not its own.
    pub fn is_router(&self, workload: &Workload) -> bool {
        self.members.is_router(workload)
    }

    /// Whether a workload is a mirror hop: frames on its link are copies of what others sent.
    pub fn is_mirror(&self, workload: &Workload) -> bool {
        self.members.is_mirror(workload)
    }

    /// The verdict of the first contract that covers the flow; `responder` is who answers, where somebody asked already.
    pub fn judge(
        &self,
        context: JudgeContext<'_>,
        trail: &Trail<'_>,
        source: &Owner,
        responder: &OnceCell<Owner>,
    ) -> Outcome {
        debug_assert!(self.members.is_about(context.timeline), "the tracker catches up with the inventory first");
        if self.sends_on(context.timeline, trail, source) {
            return Outcome::SentOn;
        }
        let timeline = context.timeline;
        let of = |owner: &Owner| Candidates::of(owner, (&self.members, &self.by_address), timeline, trail.flow.at);
        let outcome = |number: usize| {
            let (name, contract) = self.contracts.get(number)?;
            Case { context, judge: self, number, name, contract, trail, source, responder }.outcome()
        };
        let (sent, all) = (self.about_what_is_sent(), self.contracts.len());
        let judged = of(source).find_map(0..sent, outcome);
        // What comes in is tried last; who is reached matters to nothing else.
        let comes_in = |responder: &Owner| of(responder).find_map(sent..all, outcome);
        let reached = || responder.get_or_init(|| scope::responder(timeline, trail));
        judged.or_else(|| if sent < all { comes_in(reached()) } else { None }).unwrap_or(Outcome::Uncovered)
    }

    /// How many contracts are about what is sent; the others are about what comes in.
    fn about_what_is_sent(&self) -> usize {
        self.contracts.partition_point(|(_, contract)| contract.service != Service::Ingress)
    }

    /// Whether the source is a contract's hop and the flow is of the kind that the contract steers to it.
    fn sends_on(&self, timeline: &Timeline, trail: &Trail<'_>, source: &Owner) -> bool {
        let steers = |number: usize| {
            self.contracts
                .get(number)
                .is_some_and(|(_, contract)| scope::is_destination(contract, timeline, trail, source))
        };
        let by_address = || self.by_address.hops_at(trail.ends().orig.ip).any(steers);
        let by_workload = source.workload().is_some_and(|workload| match self.members.of(workload) {
            Some(relations) => relations.sends_for(source.owns_address()).iter().copied().any(steers),
            None => self.contracts().any(|contract| scope::sends_on(contract, timeline, trail, (source, workload))),
        });
        by_workload || (source.owns_address() && by_address())
    }

    /// The verdict on name resolution that only its content gives away; for flows that no DNS contract covered by port.
    pub fn judge_content(&self, context: JudgeContext<'_>, trail: &Trail<'_>, source: &Owner) -> Option<Judgement> {
        let found = dns_detection::by_content(trail.record)?;
        let responder = OnceCell::new();
        let case = |(number, (name, contract)): (usize, &'_ (Arc<str>, Contract))| {
            Case { context, judge: self, number, name, contract, trail, source, responder: &responder }.content(&found)
        };
        let dns = self.contracts.iter().enumerate().filter(|(_, (_, contract))| contract.service == Service::Dns);
        dns.into_iter().find_map(case)
    }
}

/// One flow before one contract.
#[derive(Clone, Copy, Debug)]
struct Case<'a> {
    context: JudgeContext<'a>,
    judge: &'a Judge,
    /// The contract's number.
    number: usize,
    name: &'a Arc<str>,
    contract: &'a Contract,
    trail: &'a Trail<'a>,
    source: &'a Owner,
    /// Who answers, once somebody asked.
    responder: &'a OnceCell<Owner>,
}

impl Case<'_> {
    /// Whether a workload is this hop.
    fn is_hop(&self, hop: &Hop, workload: &Workload) -> bool {
        self.judge.members.is_hop(hop, workload)
    }

    /// `None` when the contract does not cover the flow.
    fn outcome(&self) -> Option<Outcome> {
        let covered = self.in_scope();
        if covered == InScope::No {
            return None;
        }
        match self.destination() {
            Destination::Tunnel if covered == InScope::Yes => Some(self.unobservable(Unobservable::UndecodedTunnel)),
            Destination::Tunnel | Destination::Outside => None,
            Destination::Inside => Some(match covered {
                InScope::Maybe => self.unobservable(Unobservable::UnattributedAddress),
                _ if !self.trail.flow.certain || self.trail.remnant => self.unobservable(Unobservable::OneSided),
                _ => self.combine(),
            }),
        }
    }

    /// What the proofs of all stages say together.
    fn combine(&self) -> Outcome {
        if self.contract.via.is_empty() {
            let text = format!("the contract allows no path to {}", self.trail.meant());
            let evidence = vec![Evidence::new("deny", text)];
            return self.judged(Verdict::Bypassed, evidence, Vec::new(), None);
        }
        let may_wait = self.trail.may_wait;
        let proof = |stage| Some(self.stage(stage)).filter(|proof| !may_wait || !matches!(proof, Proof::Wait));
        // Nearly every contract has one stage, which needs no list.
        let proofs = if let [stage] = &self.contract.via[..] {
            proof(stage).map(|proof| self.put_together(&[(proof, stage)]))
        } else {
            let proofs = self.contract.via.iter().map(|stage| Some((proof(stage)?, stage)));
            proofs.collect::<Option<Vec<(Proof, &Stage)>>>().map(|proofs| self.put_together(&proofs))
        };
        proofs.unwrap_or(Outcome::Wait)
    }

    fn put_together(&self, proofs: &[(Proof, &Stage)]) -> Outcome {
        let skipped = proofs.iter().find(|(proof, _)| matches!(proof, Proof::Fails { .. })).map(|(_, stage)| *stage);
        let unknown = proofs.iter().find_map(|(proof, stage)| Some((proof.unknown()?, *stage)));
        let verdict = match (skipped, unknown) {
            (None, None) => Verdict::Verified,
            (Some(_), _) if !proofs.iter().any(|(proof, _)| proof.is_passed()) => Verdict::Bypassed,
            (Some(_), _) => Verdict::Partial,
            (None, Some((reason, _))) => Verdict::Unobservable(reason),
        };
        let open = skipped.or(unknown.map(|(_, stage)| stage));
        // Why a contract was kept, nobody asks of each flow.
        let is_told = verdict != Verdict::Verified;
        let evidence = proofs.iter().filter(|_| is_told).filter_map(|(proof, _)| proof.evidence()).collect();
        let passed = proofs.iter().filter_map(|(proof, _)| proof.passed()).cloned().collect();
        self.judged(verdict, evidence, passed, open)
    }

    fn judged(
        &self,
        verdict: Verdict,
        evidence: Vec<Evidence>,
        passed: Vec<Arc<Hop>>,
        open: Option<&Stage>,
    ) -> Outcome {
        let skipped = matches!(verdict, Verdict::Bypassed | Verdict::Partial);
        let skip = match verdict {
            Verdict::Bypassed | Verdict::Partial => Some(self.skip(open)),
            Verdict::Unobservable(Unobservable::HopNotReady) => self.is_startup(open).then_some(Skip::Startup),
            _ => None,
        };
        Outcome::Judged(Judgement {
            contract: Arc::clone(self.name),
            service: self.contract.service,
            verdict,
            missing_hop: skipped.then(|| self.missing(open)),
            skip,
            evidence,
            passed,
        })
    }

    fn unobservable(&self, reason: Unobservable) -> Outcome {
        let hops: Vec<_> = self.contract.hops().map(|hop| hop.name.as_str()).collect();
        let hops = if hops.is_empty() { "no path".to_owned() } else { hops.join(", ") };
        let text = format!("{hops} could not be judged: {}", reason.as_str());
        let evidence = vec![Evidence::new("contract", text)];
        self.judged(Verdict::Unobservable(reason), evidence, Vec::new(), None)
    }

    /// Name resolution by content: the responder, or who it asks through a proxy, is not the contract's resolver.
    fn content(&self, found: &dns_detection::Resolution) -> Option<Judgement> {
        if self.in_scope() != InScope::Yes || self.contract.hops().any(|hop| self.answers(hop)) {
            return None;
        }
        let text = format!("{}: {}", found.protocol, found.text);
        let evidence = vec![Evidence::new("content", text)];
        match self.judged(Verdict::Bypassed, evidence, Vec::new(), self.contract.via.first()) {
            Outcome::Judged(judgement) => Some(judgement),
            Outcome::Uncovered | Outcome::SentOn | Outcome::Wait => None,
        }
    }
}
