//! Watches what records on the host while the sniffer runs.
//!
//! Contract: the state at the start and whenever it changed. Known daemons are looked at every [`KNOWN`]; all processes when one of them is gone, and
//! every [`ALL`]; the kernel's audit every [`AUDIT`]. Never waits for the engine. Limits: audit that cannot be asked is a fact, once.

use std::time::Duration;

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
    let (mut known_due, mut all_due, mut audit_due) = (instant(), instant(), instant());
    while !context.is_over() {
        let time = instant();
        if time >= known_due {
            known_due = time + KNOWN;
            if daemons.check() || time >= all_due {
                all_due = time + ALL;
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
