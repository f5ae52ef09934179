//! What covered workloads send that no verdict but `unobservable` is about: how much, and why.
//!
//! Contract: flows that are unobservable count with what the workload sent in them while that holds (a revised verdict takes them back), frames
//! that belong to no flow by sender ([`frames`]), and flows that no contract covers by themselves. Each is counted once, however many points saw it.
//! Limits: [`MAX_SENDERS`] senders, the one that was quiet longest is forgotten and stays in the totals; [`MAX_FOLLOWED`] flows, the oldest keeps
//! what it had. Design: totals by contract for metrics, amounts by sender for the rule and for reports.

mod amount;
mod frames;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use amount::{Amount, UnjudgedReason};
pub use frames::UnjudgedSender;

use crate::input::{FlowId, FlowRecord, Side, Undecoded, Workload};
use crate::inventory::{Owner, Timeline};
use crate::path::{Contract, Hop, HopKind, JudgedFlow, PerWorkload, Selector, Service, Verdict};
use crate::time::Timestamp;
use frames::Sightings;

/// Senders that are counted by themselves.
const MAX_SENDERS: usize = 16_384;
/// Flows whose growth is followed.
const MAX_FOLLOWED: usize = 65_536;

type Seeded = foldhash::fast::RandomState;
type Amounts = BTreeMap<(Arc<str>, UnjudgedReason), Amount>;

/// A contract about what workloads send.
#[derive(Debug)]
struct Sent {
    name: Arc<str>,
    service: Service,
    workloads: Vec<Selector>,
    hops: Vec<Arc<Hop>>,
}

/// The contract that stands for what a workload sends.
#[derive(Clone, Debug)]
struct Cover {
    contract: Arc<str>,
    /// Whether it is about more than name resolution, and the workload is no hop, which sends on what others sent.
    of_all: bool,
}

/// What one sender sent.
#[derive(Debug)]
pub struct SenderTraffic {
    /// The workload as it was last known; absent for a network.
    pub workload: Option<Arc<Workload>>,
    /// How much, by contract and reason.
    pub amounts: Amounts,
    frames: BTreeMap<&'static str, Sightings>,
    /// Event time of the last packet that counts.
    pub last: Timestamp,
}

/// A flow that counts.
#[derive(Debug)]
struct Followed {
    sender: UnjudgedSender,
    contract: Arc<str>,
    reason: UnjudgedReason,
    /// Whether the workload is the record's originator, as it was metered.
    by_orig: bool,
    counted: Amount,
}

/// Everything that was counted.
#[derive(Debug, Default)]
pub struct UnjudgedTraffic {
    contracts: Vec<Sent>,
    covered: PerWorkload<Option<Cover>>,
    totals: Amounts,
    senders: BTreeMap<UnjudgedSender, SenderTraffic>,
    by_age: BTreeSet<(Timestamp, UnjudgedSender)>,
    flows: hashbrown::HashMap<FlowId, Followed, Seeded>,
    oldest_first: VecDeque<FlowId>,
    touched: BTreeSet<UnjudgedSender>,
    forgotten: u64,
}

/// Who sent it, under which contract, and why it counts.
type Counted = (Option<Arc<Workload>>, (Arc<str>, Service), UnjudgedReason);

/// The contracts about what workloads send, those about all of it first.
fn sent_by<'a>(contracts: impl Iterator<Item = &'a Contract>) -> Vec<Sent> {
    let mut sent: Vec<_> = contracts.filter(|contract| contract.service != Service::Ingress).collect();
    sent.sort_by_key(|contract| contract.service != Service::Egress);
    let contracts = sent.into_iter().map(|contract| Sent {
        name: contract.name.as_str().into(),
        service: contract.service,
        workloads: contract.workloads.clone(),
        hops: contract.hops().cloned().collect(),
    });
    contracts.collect()
}

impl UnjudgedTraffic {
    /// Nothing yet; what counts as covered is what these contracts are about. Of several the first about all that a workload sends names it.
    pub fn new<'a>(contracts: impl Iterator<Item = &'a Contract>) -> Self {
        Self { contracts: sent_by(contracts), ..Self::default() }
    }

    /// Takes over other contracts; what was counted stays.
    pub(in crate::path) fn reconfigure<'a>(&mut self, contracts: impl Iterator<Item = &'a Contract>) {
        self.contracts = sent_by(contracts);
        self.covered = PerWorkload::default();
    }

    /// By contract and reason; the contract is empty for frames of which no sender is known.
    pub const fn totals(&self) -> &Amounts {
        &self.totals
    }

    /// Each sender, in order.
    pub const fn senders(&self) -> &BTreeMap<UnjudgedSender, SenderTraffic> {
        &self.senders
    }

    /// Senders that were forgotten because there were too many.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Whether somebody sent something since that was last asked.
    pub fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// The senders that sent something since this was last asked.
    pub fn take_touched(&mut self) -> BTreeSet<UnjudgedSender> {
        std::mem::take(&mut self.touched)
    }

    /// A flow was judged, or judged again.
    pub(super) fn judged(&mut self, timeline: &Timeline, flow: &JudgedFlow) {
        let id = flow.view.record.id;
        // What its content says is a second verdict on a flow that keeps its first, unless no contract covered it.
        let is_uncovered = |followed: &Followed| followed.reason == UnjudgedReason::NotCovered;
        if flow.again && (flow.revised_from.is_some() || self.flows.get(&id).is_some_and(is_uncovered)) {
            self.take_back(id);
        }
        let Some((workload, contract, reason)) = self.counts_as(flow) else { return };
        let by_network = || frames::by_network(timeline, &flow.view.record.point).map(UnjudgedSender::Network);
        let by_workload = workload.as_ref().map(|workload| UnjudgedSender::Workload(workload.id.clone()));
        let Some(sender) = by_workload.or_else(by_network) else { return };
        let by_orig = flow.oriented.forward != (contract.1 == Service::Ingress);
        let followed = Followed { sender, contract: contract.0, reason, by_orig, counted: Amount::default() };
        // The record of a judged flow is read from the end that asked.
        let record = &flow.view.record;
        let side = if contract.1 == Service::Ingress { &record.resp } else { &record.orig };
        self.follow((id, followed), workload.as_ref(), side, record.end, flow.over);
    }

    /// A flow that was judged went on, or ended.
    pub(super) fn went_on(&mut self, flow: &JudgedFlow, record: &FlowRecord, ended: bool) {
        if flow.judgement.as_ref().is_some_and(|judgement| !matches!(judgement.verdict, Verdict::Unobservable(_))) {
            return;
        }
        let Some(mut followed) = self.flows.remove(&record.id) else { return };
        let side = if followed.by_orig { &record.orig } else { &record.resp };
        let (now, key) = (Amount::of(side, 1), (Arc::clone(&followed.contract), followed.reason));
        let more = now.minus(followed.counted);
        self.add(&followed.sender, None, key, more, record.end);
        followed.counted = now.max(followed.counted);
        if !ended {
            self.flows.insert(record.id, followed);
        }
    }

    /// Counts frames that belong to no flow.
    pub fn undecoded(&mut self, timeline: &Timeline, frames: &Undecoded) {
        if self.contracts.is_empty() {
            return;
        }
        let Some(sender) = frames::sender(timeline, frames) else { return };
        let workload = match &sender {
            UnjudgedSender::Workload(id) => timeline.workload(id).cloned(),
            UnjudgedSender::Network(_) => None,
        };
        let contract = match &workload {
            Some(workload) => self.cover_of(workload).map(|cover| cover.contract),
            None => Some(Arc::from("")),
        };
        let Some(contract) = contract else { return };
        let traffic = self.sender(&sender, workload, frames.last);
        let new = traffic.frames.entry(frames.reason).or_default().count(frames);
        let key = (contract, UnjudgedReason::Frame(frames.reason));
        self.add(&sender, None, key, new, frames.last);
    }

    /// The contract about what a workload sends, unless the workload is its hop.
    fn cover_of(&mut self, workload: &Arc<Workload>) -> Option<Cover> {
        let Self { covered, contracts, .. } = self;
        covered.get(workload, || {
            let is_hop = |hop: &Arc<Hop>| hop.kind != HopKind::Sidecar && hop.is_workload(workload);
            let covers = |sent: &&Sent| Selector::any(&sent.workloads, workload) && !sent.hops.iter().any(is_hop);
            let is_any_hop = || contracts.iter().flat_map(|sent| &sent.hops).any(is_hop);
            contracts.iter().find(covers).map(|sent| Cover {
                contract: Arc::clone(&sent.name),
                of_all: sent.service == Service::Egress && !is_any_hop(),
            })
        })
    }

    /// Who sent a flow that counts, under which contract and why; `None` where its verdict is known. Somebody on a network, where more is not known.
    fn counts_as(&mut self, flow: &JudgedFlow) -> Option<Counted> {
        let Some(judgement) = &flow.judgement else {
            let workload = flow.source.workload()?;
            let cover = self.cover_of(workload).filter(|cover| cover.of_all)?;
            return Some((Some(Arc::clone(workload)), (cover.contract, Service::Egress), UnjudgedReason::NotCovered));
        };
        let Verdict::Unobservable(reason) = judgement.verdict else { return None };
        let sender = match judgement.service {
            Service::Ingress => Some(flow.responder.workload()?),
            Service::Egress | Service::Dns if flow.source == Owner::Unknown => None,
            Service::Egress | Service::Dns => Some(flow.source.workload()?),
        };
        let contract = (Arc::clone(&judgement.contract), judgement.service);
        Some((sender.cloned(), contract, UnjudgedReason::Flow(reason)))
    }

    fn follow(
        &mut self,
        (id, mut followed): (FlowId, Followed),
        workload: Option<&Arc<Workload>>,
        side: &Side,
        at: Timestamp,
        over: bool,
    ) {
        followed.counted = Amount::of(side, 1);
        let key = (Arc::clone(&followed.contract), followed.reason);
        self.add(&followed.sender, workload, key, followed.counted, at);
        if over {
            return;
        }
        while self.flows.len() >= MAX_FOLLOWED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.flows.remove(&oldest);
        }
        if self.oldest_first.len() >= 2 * MAX_FOLLOWED {
            self.oldest_first.retain(|id| self.flows.contains_key(id));
        }
        self.flows.insert(id, followed);
        self.oldest_first.push_back(id);
    }

    /// Takes back what a flow counted.
    fn take_back(&mut self, id: FlowId) {
        let Some(followed) = self.flows.remove(&id) else { return };
        let key = (followed.contract, followed.reason);
        let of_sender = self.senders.get_mut(&followed.sender);
        let of_sender = of_sender.and_then(|traffic| traffic.amounts.get_mut(&key));
        for amount in of_sender.into_iter().chain(self.totals.get_mut(&key)) {
            *amount = amount.minus(followed.counted);
        }
    }

    fn add(
        &mut self,
        sender: &UnjudgedSender,
        workload: Option<&Arc<Workload>>,
        key: (Arc<str>, UnjudgedReason),
        more: Amount,
        at: Timestamp,
    ) {
        if more == Amount::default() {
            return;
        }
        if key.1.is_unobservable() {
            self.touched.insert(sender.clone());
        }
        *self.totals.entry(key.clone()).or_default() += more;
        *self.sender(sender, workload.cloned(), at).amounts.entry(key).or_default() += more;
    }

    fn sender(
        &mut self,
        sender: &UnjudgedSender,
        workload: Option<Arc<Workload>>,
        at: Timestamp,
    ) -> &mut SenderTraffic {
        let known = self.senders.get(sender).map(|traffic| traffic.last);
        if known.is_none()
            && self.senders.len() >= MAX_SENDERS
            && let Some((_, quietest)) = self.by_age.pop_first()
        {
            self.senders.remove(&quietest);
            self.forgotten += 1;
        }
        let last = known.map_or(at, |last| last.max(at));
        if known != Some(last) {
            if let Some(known) = known {
                self.by_age.remove(&(known, sender.clone()));
            }
            self.by_age.insert((last, sender.clone()));
        }
        let traffic = self.senders.entry(sender.clone()).or_insert_with(|| SenderTraffic {
            workload: None,
            amounts: BTreeMap::new(),
            frames: BTreeMap::new(),
            last,
        });
        traffic.last = last;
        if workload.is_some() {
            traffic.workload = workload;
        }
        traffic
    }
}

impl SenderTraffic {
    /// All that is unobservable: flows and frames, but not what no contract covers.
    pub fn unobservable(&self) -> Amount {
        let counts = self.amounts.iter().filter(|((_, reason), _)| reason.is_unobservable());
        counts.fold(Amount::default(), |sum, (_, amount)| sum + *amount)
    }
}
