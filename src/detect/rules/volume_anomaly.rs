//! `volume-anomaly`.
//!
//! Contract: once an hour, five minutes after its end, each service with a volume in its approved baseline is looked at. Hours in which a container
//! started, the clock was changed, or nothing of anybody was seen, are not; absence counts only where nothing was lost. Limits: [`MAX_SERVICES`]
//! services. Design: the baseline says what is far ([`VolumeBaseline`]); who talked, and whether that is reported already, is known here.

mod strategy;
mod wording;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::baseline::volume::{Amounts, Beyond, Figure, Limits, Stand, VolumeBaseline, start_of};
use crate::baseline::{Baseline, ServiceBaseline};
use crate::detect::anomaly::contacts::Contact;
use crate::detect::anomaly::hours::{ClosedHour, Hours, Running, is_silent};
use crate::detect::anomaly::new_traffic::in_force;
use crate::detect::params::rule_params;
use crate::detect::{Actor, Context, Finding, Findings, Rule, Severity};
use crate::input::ObservationPoint;
use crate::path::Selector;
use crate::time::Timestamp;
pub use strategy::META;

/// Services that are followed.
const MAX_SERVICES: usize = 4096;
/// Observation points of one service that are asked for losses.
const MAX_POINTS: usize = 8;
/// Hours in a row after which less is enough.
const IN_A_ROW: u8 = 3;
/// The same is reported of a service once in this time.
const QUIET: Duration = Duration::from_hours(24);

rule_params! {
    /// Services that may vary: batch workers, crawlers, build machines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// Spreads from the median in one hour.
    z: f64 = 6.0,
    /// Spreads from the median in each of three hours in a row.
    z_of_three: f64 = 4.0,
    /// Payload from the median, in bytes; a hundredth of it in packets.
    floor_bytes: u64 = 1_000_000,
    /// Contacts from the median.
    floor_flows: u64 = 100,
    /// Contacts an hour from which on silence is one.
    silence_flows: u64 = 20,
}

/// What is reported of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    More,
    Less,
    Silence,
}

/// A figure that is far outside.
#[derive(Clone, Copy, Debug)]
struct Outside {
    figure: Figure,
    /// Of one container.
    amount: u64,
    stand: Stand,
}

/// What is remembered of a service.
#[derive(Debug, Default)]
struct Followed {
    points: BTreeSet<ObservationPoint>,
    /// For each figure: on which side the latest hours were, and how many in a row.
    rows: [Option<(Beyond, u8)>; 6],
    /// Until when it stays reported.
    told: BTreeMap<What, Timestamp>,
}

/// A service in an hour.
#[derive(Clone, Copy, Debug)]
struct Case<'a> {
    actor: &'a Actor,
    service: &'a ServiceBaseline,
    volume: &'a VolumeBaseline,
    running: &'a Running,
    hour: i64,
    /// Of all its containers.
    amounts: Amounts,
    /// Whether less may be a loss, or a job that came a moment late.
    is_absence_doubtful: bool,
}

/// The rule.
#[derive(Debug)]
pub struct VolumeAnomaly {
    params: Params,
    hours: Hours,
    services: BTreeMap<Actor, Followed>,
    /// When it will be asked.
    due: Option<Timestamp>,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    let params = params.clone();
    VolumeAnomaly { params, hours: Hours::default(), services: BTreeMap::new(), due: None, forgotten: 0 }
}

impl Rule for VolumeAnomaly {
    fn on_contact(&mut self, context: Context<'_>, contact: &Contact<'_>, findings: &mut Findings) {
        let Some(baseline) = context.baseline else { return findings.want_no_more() };
        let is_wanted = |actor: &Actor| volume_of(baseline, actor).is_some();
        for actor in [contact.source, contact.target].into_iter().flatten().filter(|actor| is_wanted(actor)) {
            self.follow(actor, &contact.record.point);
        }
        self.hours.note(contact, is_wanted);
        if self.due.is_none() {
            self.schedule(findings);
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        if self.due.is_none_or(|due| context.now < due) {
            return;
        }
        while let Some(closed) = self.hours.close(context.now) {
            self.judge(context, &closed, findings);
        }
        self.schedule(findings);
    }

    fn forgotten(&self) -> u64 {
        self.forgotten + self.hours.forgotten()
    }
}

impl VolumeAnomaly {
    fn schedule(&mut self, findings: &mut Findings) {
        self.due = self.hours.due();
        self.due.into_iter().for_each(|due| findings.schedule(due));
    }

    fn follow(&mut self, actor: &Actor, point: &ObservationPoint) {
        if !self.services.contains_key(actor) {
            if self.services.len() >= MAX_SERVICES {
                self.forgotten += 1;
                return;
            }
            self.services.insert(actor.clone(), Followed::default());
        }
        if let Some(known) = self.services.get_mut(actor)
            && known.points.len() < MAX_POINTS
            && !known.points.contains(point)
        {
            known.points.insert(point.clone());
        }
    }

    fn judge(&mut self, context: Context<'_>, closed: &ClosedHour, findings: &mut Findings) {
        let Some(baseline) = context.baseline else { return };
        let running = Running::all(context.timeline);
        let (from, until) = (start_of(closed.hour), context.now);
        for (actor, followed) in &mut self.services {
            let Some((service, volume)) = volume_of(baseline, actor) else { continue };
            let Some(running) = running.get(&service.key).filter(|running| running.is_through(closed.hour)) else {
                followed.rows = [None; 6];
                continue;
            };
            if actor.workload().is_some_and(|workload| Selector::any(&self.params.allowed, workload)) {
                continue;
            }
            let amounts = closed.amounts.get(actor).copied().unwrap_or_default();
            let is_lost = followed.points.iter().any(|point| context.path.losses.overlap(point, from, until));
            let is_late = is_silent(amounts) && self.hours.is_heard(actor);
            let is_absence_doubtful = is_lost || is_late;
            let case = Case { actor, service, volume, running, hour: closed.hour, amounts, is_absence_doubtful };
            findings.extend(followed.judge(context, &self.params, case));
        }
    }
}

impl Followed {
    fn judge(&mut self, context: Context<'_>, params: &Params, case: Case<'_>) -> Vec<Finding> {
        let (above, below) = self.outside(params, case);
        let silence = case.silence(params);
        let below = if silence.is_empty() { below } else { Vec::new() };
        let mut found = Vec::new();
        for (what, outside) in [(What::Silence, silence), (What::Less, below), (What::More, above)] {
            let at = start_of(case.hour + 1);
            let is_told = self.told.get(&what).is_some_and(|until| at < *until);
            if outside.is_empty() || is_told {
                continue;
            }
            self.told.insert(what, at.plus(QUIET));
            let why = wording::explain(context, params, case, what, &outside);
            found.push(Finding {
                severity: Severity::Low,
                ..Finding::of_actor(&META, at, case.actor, what.as_str(), why)
            });
        }
        found
    }

    /// The figures that are far above and far below what such hours have, the farthest first.
    fn outside(&mut self, params: &Params, case: Case<'_>) -> (Vec<Outside>, Vec<Outside>) {
        let limits =
            Limits { z: params.z.min(params.z_of_three), bytes: params.floor_bytes, flows: params.floor_flows };
        let (mut above, mut below) = (Vec::new(), Vec::new());
        for (figure, row) in Figure::ALL.into_iter().zip(&mut self.rows) {
            let amount = case.of_one(figure);
            let stand = case.volume.stand(case.hour, figure, amount);
            let far = stand.as_ref().and_then(|stand| stand.is_far(figure, amount, case.running.containers, &limits));
            let far = far.filter(|far| *far == Beyond::Above || !case.is_absence_doubtful);
            let before = row.filter(|(side, _)| Some(*side) == far).map_or(0, |(_, hours)| hours);
            let hours = before.saturating_add(1);
            *row = far.map(|side| (side, hours));
            let (Some(side), Some(stand)) = (far, stand) else { continue };
            if stand.z.abs() >= params.z || hours >= IN_A_ROW && stand.z.abs() >= params.z_of_three {
                let outside = Outside { figure, amount, stand };
                if side == Beyond::Above { above.push(outside) } else { below.push(outside) }
            }
        }
        for all in [&mut above, &mut below] {
            all.sort_by(|one, other| other.stand.z.abs().total_cmp(&one.stand.z.abs()));
        }
        (above, below)
    }
}

impl Case<'_> {
    fn of_one(&self, figure: Figure) -> u64 {
        self.running.of_one(self.amounts).get(figure.place()).copied().unwrap_or(0)
    }

    /// The contacts that are missing where a service that always talks has nothing at all; else none.
    fn silence(&self, params: &Params) -> Vec<Outside> {
        if self.is_absence_doubtful || !is_silent(self.amounts) {
            return Vec::new();
        }
        let missing = [Figure::FlowsOut, Figure::FlowsIn].into_iter().filter_map(|figure| {
            let stand = self.volume.stand(self.hour, figure, 0)?;
            let is_missing = stand.expected >= params.silence_flows && stand.least > 0;
            is_missing.then_some(Outside { figure, amount: 0, stand })
        });
        missing.collect()
    }
}

impl What {
    const fn as_str(self) -> &'static str {
        match self {
            Self::More => "more",
            Self::Less => "less",
            Self::Silence => "silence",
        }
    }
}

/// How much a service has, where its baseline says that and is in force.
fn volume_of<'a>(baseline: &'a Baseline, actor: &Actor) -> Option<(&'a ServiceBaseline, &'a VolumeBaseline)> {
    let (service, traffic) = in_force(baseline, actor.service()?)?;
    Some((service, traffic.volume.as_ref()?))
}
