//! Watches what records on the host while the sniffer runs.
//!
//! Contract: the state at the start and whenever it changed. Known daemons are looked at every [`KNOWN`]; all processes when one of them is gone, soon
//! after that, and every [`ALL`]; the kernel's audit every [`AUDIT`]. Never waits for the engine. Limits: audit that cannot be asked is a fact, once.

use std::time::{Duration, Instant};

use super::outbox::Outbox;
use super::source::{self, Source, SourceContext};
use crate::clock::{instant, now};
use crate::host::logging::{Daemons, audit};
use crate::input::{HostLogging, HostLoggingFact};
use crate::sandbox::Role;

const KNOWN: Duration = Duration::from_millis(500);
const AUDIT: Duration = Duration::from_secs(2);
const ALL: Duration = Duration::from_secs(10);
/// How long this thread waits at once, so that it notices the end.
const NOTICE: Duration = Duration::from_millis(250);

/// Starts the source.
pub(super) fn start(context: &SourceContext) -> anyhow::Result<Source> {
    source::spawn(Role::Watch, "host-logging", context, |context| {
        let mut outbox = Outbox::new(context.sender.clone());
        watch(&mut outbox, &context);
        outbox.finish();
    })
}

fn watch(outbox: &mut Outbox, context: &SourceContext) {
    let (mut daemons, mut state, mut last) = (Daemons::default(), HostLogging::default(), None);
    let mut audited = true;
    let (mut known_due, mut audit_due, mut scans) = (instant(), instant(), Scans::new(instant()));
    while !context.is_over() {
        let time = instant();
        if time >= known_due {
            known_due = time + KNOWN;
            if scans.is_due(time, daemons.check()) {
                daemons.scan();
            }
            state.daemons = daemons.names();
        }
        if audited && time >= audit_due {
            audit_due = time + AUDIT;
            match audit() {
                Ok(audit) => state.audit = Some(audit),
                Err(error) => {
                    (audited, state.audit) = (false, None);
                    let (part, why) = ("audit".to_owned(), error.to_string());
                    outbox.rare(HostLoggingFact::Unwatched { part, why }.into());
                }
            }
        }
        if last.as_ref() != Some(&state) {
            let fact = HostLoggingFact::State(state.clone().into());
            // Refused, it is as new the next time.
            last = outbox.fact(now(), fact.into()).then(|| state.clone());
        }
        outbox.send();
        std::thread::sleep(known_due.saturating_duration_since(instant()).min(NOTICE));
    }
}

/// When all processes are looked at: at once when a daemon is gone, then after 0.5, 1, 2, 4 and 8 s, and every [`ALL`]. One that is
/// restarted is seen again long before it counts as missing, whenever the first look was.
#[derive(Debug)]
struct Scans {
    due: Instant,
    wait: Duration,
}

impl Scans {
    const fn new(now: Instant) -> Self {
        Self { due: now, wait: KNOWN }
    }

    fn is_due(&mut self, now: Instant, is_gone: bool) -> bool {
        if is_gone {
            *self = Self::new(now);
        }
        let is_due = now >= self.due;
        if is_due {
            self.due = now + self.wait;
            self.wait = (self.wait * 2).min(ALL);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_gone_is_looked_for_soon_and_then_seldom() {
        let start = instant();
        let mut scans = Scans::new(start);
        let mut looks = |gone: u32| {
            let steps = (0..70).map(|step| (step, scans.is_due(start + KNOWN * (gone + step), step == 0)));
            steps.filter(|(_, is_due)| *is_due).map(|(step, _)| step).collect::<Vec<_>>()
        };
        // In halves of a second.
        assert_eq!(looks(0), [0, 1, 3, 7, 15, 31, 51]);
        assert_eq!(looks(100), [0, 1, 3, 7, 15, 31, 51]);
    }
}
