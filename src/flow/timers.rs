//! When a flow ends and when it is reported.
//!
//! Contract: what is due comes in the order of deadlines; at the same deadline ends come before reports.
//! Limits: with the idle timeout off, a flow still has an order of ending, for evictions; see [`NEVER`].
//! Design: two wheels. A packet only moves deadlines later, which wheels find out by themselves, so it costs nothing here.

use std::hint::black_box;
use std::time::Duration;

use super::limits::{MeterLimits, TCP_LINGER};
use super::state::{Cold, Hot, Mark};
use super::wheel::Wheel;
use crate::time::Timestamp;

/// Stands for an idle timeout that is switched off: ten years.
const NEVER: Duration = Duration::from_hours(10 * 365 * 24);

/// What is due; at the same deadline in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// The flow ends: idle, or its TCP connection is over.
    End,
    /// The active timeout.
    Active,
    /// An update.
    Update,
}

/// The timers of all flows of a meter.
#[derive(Debug)]
pub(super) struct Timers {
    spans: Spans,
    end: Wheel,
    report: Wheel,
}

#[derive(Clone, Copy, Debug)]
struct Spans {
    idle: Duration,
    linger: Duration,
    active: Duration,
    update: Duration,
}

impl Spans {
    #[inline]
    fn end(&self, hot: &Hot) -> Timestamp {
        hot.last.plus(if hot.marks.has(Mark::Closed) { self.linger } else { self.idle })
    }

    /// Deadline and kind of the next report.
    fn report(&self, hot: &Hot, cold: &Cold) -> (Timestamp, Due) {
        let timer = |is_on: bool, since: Timestamp, span: Duration| {
            if is_on && !span.is_zero() { since.plus(span) } else { Timestamp::MAX }
        };
        let active = timer(hot.marks.has(Mark::Open), cold.started, self.active);
        let update = timer(hot.marks.has(Mark::Recent), cold.reported, self.update);
        if active <= update { (active, Due::Active) } else { (update, Due::Update) }
    }
}

impl Timers {
    pub(super) fn new(limits: &MeterLimits) -> Self {
        let idle = if limits.idle_timeout.is_zero() { NEVER } else { limits.idle_timeout };
        let spans =
            Spans { idle, linger: TCP_LINGER.min(idle), active: limits.active_timeout, update: limits.update_interval };
        Self::with(spans)
    }

    fn with(spans: Spans) -> Self {
        let reports = if spans.update.is_zero() { spans.active } else { spans.update };
        Self { spans, end: Wheel::new(spans.idle), report: Wheel::new(reports) }
    }

    /// The same spans, nothing armed.
    pub(super) fn emptied(&self) -> Self {
        Self::with(self.spans)
    }

    pub(super) fn arm_end(&mut self, slot: u32, hot: &[Hot], now: Timestamp) {
        self.end.arm(slot, self.spans.end(&hot[slot as usize]), now);
    }

    pub(super) fn disarm_end(&mut self, slot: u32) {
        self.end.disarm(slot);
    }

    /// Arms the next report; disarms where there will be none.
    pub(super) fn arm_report(&mut self, slot: u32, hot: &[Hot], cold: &[Cold], now: Timestamp) {
        let (deadline, _) = self.spans.report(&hot[slot as usize], &cold[slot as usize]);
        if deadline == Timestamp::MAX {
            self.report.disarm(slot);
        } else {
            self.report.arm(slot, deadline, now);
        }
    }

    pub(super) fn disarm_report(&mut self, slot: u32) {
        self.report.disarm(slot);
    }

    pub(super) fn next_due(&mut self, now: Timestamp, hot: &[Hot], cold: &[Cold]) -> Option<(Timestamp, Due, u32)> {
        let spans = self.spans;
        // When a bucket is opened, all its flows are asked at once; most of them will end, and what that needs is read with it.
        let end = self.end.peek(now, |slot| {
            black_box(hot[slot as usize].prefetch() ^ cold[slot as usize].prefetch());
            spans.end(&hot[slot as usize])
        });
        let report = self.report.peek(now, |slot| spans.report(&hot[slot as usize], &cold[slot as usize]).0);
        let kind = |slot: u32| spans.report(&hot[slot as usize], &cold[slot as usize]).1;
        let end = end.map(|(deadline, slot)| (deadline, Due::End, slot));
        let report = report.map(|(deadline, slot)| (deadline, kind(slot), slot));
        end.into_iter().chain(report).min_by_key(|(deadline, due, _)| (*deadline, *due))
    }

    pub(super) fn next_check(&self) -> Timestamp {
        self.end.next_check().min(self.report.next_check())
    }

    pub(super) fn first_to_end(&mut self, hot: &[Hot]) -> Option<u32> {
        let spans = self.spans;
        self.end.peek(Timestamp::MAX, |slot| spans.end(&hot[slot as usize])).map(|(_, slot)| slot)
    }
}
