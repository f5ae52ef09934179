//! What the judge looks at of a flow, and who asked: by every point that saw a flow, and remembered while nothing that it rests on changes.
//!
//! Contract: what is remembered is what would be found again, which debug builds check. Limits: one answer a flow, of a flow that one point saw between one
//! pair of MACs and that is not translated; any other is asked about anew. Design: nearly every flow is judged when it begins and when it is answered.

use std::cell::OnceCell;
use std::sync::Arc;

use super::Tracker;
use crate::input::{FiveTuple, FlowRecord, Mac, NatBinding, ObservationPoint, Workload};
use crate::inventory::{AttributionMethod, AttributionQuery, Owner};
use crate::path::JudgeContext;
use crate::path::own_frames::OwnFrames;
use crate::path::source::{self, Roles, source_of};
use crate::path::trail::{Frames, Sighting};
use crate::path::{ObservedFlow, Oriented, own_frames};
use crate::time::Timestamp;

/// Points that a judged flow names.
const MAX_SHOWN: usize = 8;
/// Places that wait to be used again, some two kilobytes each.
const MAX_SPENT: usize = 64;

/// What the judge looks at.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) record: FlowRecord,
    pub(super) sightings: Vec<Sighting>,
    /// Who asked, as it was found first.
    pub(super) asked: OnceCell<Asked>,
}

impl Observed {
    /// What a record shows by itself.
    pub(super) fn of(record: &FlowRecord) -> Self {
        Self { record: record.clone(), sightings: vec![Sighting::of(record, false)], asked: OnceCell::new() }
    }

    /// Whether frames of the responder were seen, at any point.
    pub(super) fn replied(&self) -> bool {
        self.record.resp.counters.packets > 0 || self.sightings.iter().any(|sighting| sighting.sent(false).packets > 0)
    }

    pub(super) fn view(&self, translated: Option<FiveTuple>) -> ObservedFlow {
        let points = self.sightings.iter().take(MAX_SHOWN).map(|sighting| sighting.point.clone()).collect();
        ObservedFlow { record: self.record.clone(), points, translated }
    }
}

/// Places of what was observed of flows that are over, for those that begin: most flows come and go.
#[derive(Debug, Default)]
pub(super) struct Spent {
    #[expect(clippy::vec_box, reason = "a flow holds it in a box, and gives it back as one")]
    places: Vec<Box<Observed>>,
}

impl Spent {
    /// Nobody looks at it again.
    pub(super) fn push(&mut self, observed: Option<Box<Observed>>) {
        if let Some(mut observed) = observed
            && self.places.len() < MAX_SPENT
            && observed.sightings.capacity() <= MAX_SHOWN
        {
            observed.sightings.clear();
            observed.asked.take();
            self.places.push(observed);
        }
    }

    /// What a record shows by itself.
    pub(super) fn observe(&mut self, record: &FlowRecord) -> Box<Observed> {
        let Some(mut observed) = self.places.pop() else { return Box::new(Observed::of(record)) };
        observed.record.clone_from(record);
        observed.sightings.push(Sighting::of(record, false));
        observed
    }
}

/// An answer, and what it rests on.
#[derive(Debug)]
pub(super) struct Asked {
    basis: Basis,
    owner: Owner,
    /// Who answers, once somebody wanted to know: that rests on less.
    responder: OnceCell<Owner>,
}

/// Everything that decides who asked.
#[derive(Debug, PartialEq, Eq)]
struct Basis {
    /// Of inventory, kernel, links and losses.
    facts: u64,
    tuple: FiveTuple,
    point: ObservationPoint,
    at: Timestamp,
    /// Addresses of the originator's first frame.
    first: [Option<Mac>; 2],
    seen: (Timestamp, Frames),
    has_sent: bool,
    starts_here: bool,
}

impl Basis {
    fn of(
        context: JudgeContext<'_>,
        observed: &Observed,
        oriented: &Oriented,
        binding: Option<&NatBinding>,
    ) -> Option<Self> {
        let [sighting] = &observed.sightings[..] else { return None };
        let is_plain = oriented.forward && binding.is_none() && sighting.has_one_link();
        let record = &observed.record;
        (is_plain && sighting.point == oriented.point).then(|| Self {
            facts: context.timeline.facts() + context.path.losses.facts(),
            tuple: oriented.tuple,
            point: oriented.point.clone(),
            at: oriented.at,
            first: [record.orig.mac, record.orig.next_hop],
            seen: (sighting.at, sighting.first(true)),
            has_sent: sighting.sent(true).packets > 0,
            starts_here: source::starts_here(record),
        })
    }
}

impl Tracker {
    /// Who asked, and where it is remembered who answers.
    pub(super) fn asked_by<'o>(
        &self,
        context: JudgeContext<'_>,
        observed: &'o Observed,
        (oriented, now): (&Oriented, Timestamp),
        binding: Option<&NatBinding>,
    ) -> (Owner, Option<&'o OnceCell<Owner>>) {
        let find = || self.find_who_asked(context, observed, (oriented, now), binding);
        let Some(basis) = Basis::of(context, observed, oriented, binding) else { return (find(), None) };
        let Some(known) = observed.asked.get() else {
            let new = || Asked { basis, owner: find(), responder: OnceCell::new() };
            let known = observed.asked.get_or_init(new);
            return (known.owner.clone(), Some(&known.responder));
        };
        // One that is remembered may rest on something else.
        if known.basis != basis {
            return (find(), None);
        }
        debug_assert_eq!(known.owner, find(), "nothing that it rests on has changed");
        (known.owner.clone(), Some(&known.responder))
    }

    /// Who asked; behind a translation, who asked before it. Every point that saw the frames may name the sender.
    fn find_who_asked(
        &self,
        context: JudgeContext<'_>,
        observed: &Observed,
        (oriented, now): (&Oriented, Timestamp),
        binding: Option<&NatBinding>,
    ) -> Owner {
        let hidden = binding
            .filter(|binding| binding.after.orig == oriented.tuple.orig && binding.before.orig != binding.after.orig);
        if let Some(binding) = hidden {
            let ip = binding.before.orig.ip;
            let query = AttributionQuery { point: &oriented.point, ip, socket: None, mac: None, at: oriented.at };
            return context.timeline.attribute(&query);
        }
        let is_router = |workload: &Workload| self.judge.is_router(workload);
        let is_mirror = |workload: &Workload| self.judge.is_mirror(workload);
        let roles = Roles { is_router: &is_router, is_mirror: &is_mirror };
        let by_record = source_of(context.timeline, &observed.record, oriented, roles);
        let (end, times) = ((oriented.forward, oriented.tuple.orig.ip), (oriented.at, now));
        let less_sure = |owner| own_frames::less_sure(context, &observed.sightings, end, times, owner);
        if !by_record.owns_address() {
            return match owner_who_sent(context, observed, oriented, &by_record) {
                Some(owner) => less_sure(owner),
                None => one_of_both(context, observed, (oriented, now), by_record),
            };
        }
        let elsewhere = observed.sightings.iter().filter(|sighting| sighting.point != oriented.point);
        let by_others = elsewhere.filter_map(|sighting| source::sender_at(context.timeline, sighting, oriented, roles));
        let by_other = by_others.min_by(|a, b| a.0.cmp(b.0)).map(|(_, owner)| owner);
        let Some(by_other) = by_other else { return less_sure(by_record) };
        owner_who_sent(context, observed, oriented, &by_other).map_or(by_other, less_sure)
    }
}

/// The owner of the address, where it sent frames of the flow itself: the first frame may have been forged. Where a veth accuses another workload,
/// which may forge the MAC too, only the owner's own veth shows that.
fn owner_who_sent(
    context: JudgeContext<'_>,
    observed: &Observed,
    oriented: &Oriented,
    accused: &Owner,
) -> Option<Owner> {
    let (timeline, at) = (context.timeline, oriented.at);
    let query = AttributionQuery { point: &oriented.point, ip: oriented.tuple.orig.ip, socket: None, mac: None, at };
    let owner = timeline.attribute(&query);
    let workload = owner.workload()?;
    let is_its = |other: Option<&Arc<Workload>>| other.is_some_and(|other| timeline.are_together(workload, other, at));
    let by_veth = matches!(accused, Owner::Workload { how: AttributionMethod::Veth, .. });
    let shows = |sighting: &&Sighting| !by_veth || is_its(timeline.owner_of_veth(&sighting.point, at));
    let sightings = observed.sightings.iter().filter(shows);
    let mut senders = sightings.flat_map(|sighting| sighting.frames(oriented.forward)).filter_map(|frames| frames.from);
    senders.any(|mac| is_its(timeline.owner_of_mac(mac, at))).then_some(owner)
}

/// The owner of the address or the one whose frames were seen, where more senders sent than the meter keeps apart: the owner may be among them.
fn one_of_both(
    context: JudgeContext<'_>,
    observed: &Observed,
    (oriented, now): (&Oriented, Timestamp),
    seen: Owner,
) -> Owner {
    let (point, ip, at) = (&oriented.point, oriented.tuple.orig.ip, oriented.at);
    let by_address = context.timeline.attribute(&AttributionQuery { point, ip, socket: None, mac: None, at });
    let (Some(owner), Some(sender)) = (by_address.workload(), seen.workload()) else { return seen };
    let own = OwnFrames { context, workload: owner, at, now };
    if !own.may_hide(&observed.sightings, oriented.forward) {
        return seen;
    }
    let mut candidates = vec![Arc::clone(owner), Arc::clone(sender)];
    candidates.sort_by(|a, b| a.id.cmp(&b.id));
    Owner::Ambiguous { candidates, host: false }
}
