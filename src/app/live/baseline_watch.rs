//! Looks at the baseline's file while hopwatch runs.
//!
//! Contract: one fact at the start, and one for each change, within [`INTERVAL`]; what is approved meanwhile is put into force by a fact. Limits: a file that is changed and changed back in between
//! is not seen. Design: the size and the times of the file say whether to read it; a file of other content with these unchanged is not
//! looked for.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::message::SourceMessage;
use super::source::{self, Source, SourceContext};
use crate::app::baseline::BaselineFile;
use crate::clock::{instant, now};
use crate::input::{BaselineFact, Input};
use crate::sandbox::Role;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// Between two looks at whether to end.
const STEP: Duration = Duration::from_millis(100);

/// Starts.
pub(super) fn start(file: BaselineFile, context: &SourceContext) -> anyhow::Result<Source> {
    source::spawn(Role::Watch, "baseline", context, move |context| run(file, &context))
}

fn run(mut file: BaselineFile, context: &SourceContext) {
    let mut stamp = None;
    let mut reported: Option<BaselineFact> = None;
    let mut due = instant();
    while !context.is_over() {
        if is_due(&mut due) {
            let now_is = Some(file.watched().iter().map(|path| stamp_of(path)).collect::<Vec<_>>());
            if stamp != now_is {
                stamp = now_is;
                let approved = file.take_in().unwrap_or_else(|error| {
                    tracing::warn!("an approved baseline was not put into force: {error}");
                    None
                });
                let state = Some(file.check()).filter(|fact| reported.as_ref() != Some(fact));
                reported = state.clone().or(reported);
                for fact in approved.into_iter().chain(state) {
                    if context.sender.send(SourceMessage::Fact(Input::new(now(), fact))).is_err() {
                        return;
                    }
                }
            }
        }
        thread::sleep(STEP);
    }
}

fn is_due(due: &mut Instant) -> bool {
    let now = instant();
    let is_due = now >= *due;
    if is_due {
        *due = now + INTERVAL;
    }
    is_due
}

/// What changes when a file is written or replaced; `None` where it is not there.
fn stamp_of(path: &Path) -> Option<[i64; 5]> {
    let of = path.metadata().ok()?;
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    Some([number(of.ino()), number(of.size()), of.mtime(), of.mtime_nsec(), of.ctime_nsec()])
}
