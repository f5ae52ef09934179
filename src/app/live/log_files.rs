//! Watches the log files of running containers while the sniffer runs.
//!
//! Contract: hears every inventory event; the runtime's own file of a container, and folders of the host that are mounted over log folders, are watched
//! from the container's report to its end. Looks every [`LEAST`], or less often, so that looking costs at most [`SHARE`] of a core. Never
//! waits for the engine: facts that find no room are counted as missed. Limits: those of [`LogWatcher`]; volumes are not watched: their
//! place on the host is the driver's matter. Design: a thread of its own; without inotify it says so once and ends.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::outbox::Outbox;
use super::source::{self, Source, SourceContext};
use crate::clock::{instant, now};
use crate::engine::LogFileStats;
use crate::host::log_files::{LogPlace, LogWatcher};
use crate::input::{
    Change, InventoryEvent, LogFileFact, LogFileSource, Mount, RecordedFact, Roster, Workload, WorkloadState,
};
use crate::sandbox::Role;
use crate::time::Timestamp;

/// How often files are looked at, at most and at least.
const LEAST: Duration = Duration::from_millis(100);
/// How long this thread waits at once while there is no file to look at, so that it notices the end.
const NOTICE: Duration = Duration::from_millis(300);
const MOST: Duration = Duration::from_secs(5);
/// Of the time of a core: a fortieth.
const SHARE: u32 = 40;
/// Workloads that are known to run.
const MAX_WORKLOADS: usize = 16_384;
/// Events that are taken before files are looked at again.
const GATHERED: usize = 1024;

/// Starts the source.
pub(super) fn start(context: &SourceContext) -> anyhow::Result<Source> {
    source::spawn_listening(Role::Watch, "log-files", context, |context, events| {
        let mut outbox = Outbox::reporting(context.sender.clone(), missed);
        match LogWatcher::new(now()) {
            Ok(watcher) => LogFiles { watcher, outbox, roster: Roster::new(MAX_WORKLOADS) }.run(&events, &context),
            Err(error) => {
                outbox.rare(unavailable(error).into());
                outbox.finish();
                // The runtimes' readers wait for nobody who is gone.
                drop(events);
            }
        }
    })
}

struct LogFiles {
    watcher: LogWatcher,
    outbox: Outbox,
    roster: Roster,
}

impl LogFiles {
    fn run(mut self, events: &Receiver<InventoryEvent>, context: &SourceContext) {
        let mut wait = LEAST;
        while !context.is_over() {
            let mut due = instant() + if self.watcher.is_idle() { wait.max(NOTICE) } else { wait };
            let mut taken = 0;
            while taken < GATHERED {
                match events.recv_deadline(due) {
                    Ok(event) => {
                        self.receive(&event);
                        // What is watched now is looked at soon.
                        due = if self.watcher.is_idle() { due } else { due.min(instant() + wait) };
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => {
                        std::thread::sleep(due.saturating_duration_since(instant()));
                        break;
                    }
                }
                taken += 1;
            }
            let began = instant();
            self.look();
            wait = began.elapsed().saturating_mul(SHARE).clamp(LEAST, MOST);
        }
        self.look();
        self.outbox.finish();
    }

    fn look(&mut self) {
        let at = now();
        for fact in self.watcher.read(at) {
            self.outbox.fact(at, RecordedFact::LogFile(fact));
        }
        self.outbox.send();
    }

    fn receive(&mut self, event: &InventoryEvent) {
        for change in self.roster.apply(event) {
            if let Change::Stopped(id) = change {
                self.watcher.unwatch(&id);
            }
        }
        let InventoryEvent::Workload(workload) = event else { return };
        let runs = matches!(workload.state, WorkloadState::Running | WorkloadState::Paused);
        if runs && !self.watcher.is_watched(&workload.id) {
            for place in places(workload) {
                let fact = self.watcher.watch(&workload.id, &place);
                self.outbox.fact(now(), RecordedFact::LogFile(fact));
            }
        }
    }
}

/// Whether the log files of these can be watched: tries, and changes nothing.
pub fn try_all<'a>(workloads: impl Iterator<Item = &'a Arc<Workload>>) -> LogFileStats {
    let mut stats = LogFileStats::default();
    let mut watcher = match LogWatcher::new(now()) {
        Ok(watcher) => watcher,
        Err(error) => {
            stats.count(&unavailable(error));
            return stats;
        }
    };
    for workload in workloads {
        for place in places(workload) {
            stats.count(&watcher.watch(&workload.id, &place));
        }
    }
    stats
}

fn unavailable(error: nix::errno::Errno) -> LogFileFact {
    let why = format!("inotify is not available: {}", error.desc());
    LogFileFact::Unwatched { workload: None, path: String::new(), why }
}

/// Where a workload's logs are on the host.
fn places(workload: &Workload) -> BTreeSet<LogPlace> {
    let Some(configuration) = &workload.configuration else { return BTreeSet::new() };
    let own = configuration.logging.iter().filter_map(|logging| logging.path.as_deref());
    let own = own.map(|path| LogPlace { path: PathBuf::from(path), source: LogFileSource::Runtime });
    let mounts = configuration.mounts.iter().filter(|mount| mount.kind == "bind" && is_log_folder(mount));
    let mounts = mounts.map(|mount| LogPlace { path: PathBuf::from(&mount.source), source: LogFileSource::Folder });
    own.chain(mounts).collect()
}

/// Whether a mount is over a place where logs are written.
fn is_log_folder(mount: &Mount) -> bool {
    let target = mount.target.as_str();
    let last = target.rsplit('/').next().unwrap_or_default();
    mount.source.starts_with('/')
        && (target == "/var/log" || target.starts_with("/var/log/") || matches!(last, "log" | "logs"))
}

/// Facts that found no room.
const fn missed(count: u64, since: Timestamp) -> RecordedFact {
    RecordedFact::LogFile(LogFileFact::Missed { count, since })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_are_mounted_over_log_folders_are_watched_and_others_are_not() {
        let mount = |target: &str, source: &str| Mount {
            target: target.to_owned(),
            source: source.to_owned(),
            kind: "bind".to_owned(),
            ..Mount::default()
        };
        for (target, source, is_watched) in [
            ("/var/log", "/srv/logs", true),
            ("/var/log/nginx", "/srv/nginx", true),
            ("/opt/app/logs", "/srv/app", true),
            ("/var/log", "a-volume", false),
            ("/var/logistics", "/srv/x", false),
            ("/data", "/srv/data", false),
        ] {
            assert_eq!(is_log_folder(&mount(target, source)), is_watched, "{target}");
        }
    }
}
