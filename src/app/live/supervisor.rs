//! Notifications to the supervisor (systemd, `Type=notify`): the watch began, what it sees, the engine moves, the run ends.
//!
//! Contract: nothing is sent where `$NOTIFY_SOCKET` is not set. The watchdog is fed by the engine's thread alone, so that an engine that
//! hangs is restarted. Limits: a status a second at most. Source: `sd_notify(3)`.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::clock::instant;

/// Between two status lines.
const STATUS: Duration = Duration::from_secs(1);

/// The supervisor of this process, if it has one.
#[derive(Debug)]
pub struct Supervisor {
    /// Between two signs of life; none where nobody waits for them.
    sign_of_life: Option<Duration>,
    alive_at: Option<Instant>,
    status_at: Option<Instant>,
    is_there: bool,
}

impl Supervisor {
    /// Reads the environment that systemd sets.
    pub fn of_this_process() -> Self {
        Self {
            // Twice in the time that systemd waits.
            sign_of_life: sd_notify::watchdog_enabled().map(|limit| limit / 2),
            alive_at: None,
            status_at: None,
            is_there: std::env::var_os("NOTIFY_SOCKET").is_some(),
        }
    }

    /// Every source was started.
    pub fn ready(&self) {
        self.send(&[NotifyState::Ready]);
    }

    /// The engine moves.
    pub fn alive(&mut self) {
        let Some(every) = self.sign_of_life else { return };
        if is_over(&mut self.alive_at, every) {
            self.send(&[NotifyState::Watchdog]);
        }
    }

    /// One line for `systemctl status`.
    pub fn status(&mut self, line: impl FnOnce() -> String) {
        if self.is_there && is_over(&mut self.status_at, STATUS) {
            self.send(&[NotifyState::Status(&line())]);
        }
    }

    /// The run ends.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping]);
    }

    fn send(&self, state: &[NotifyState<'_>]) {
        if self.is_there
            && let Err(error) = sd_notify::notify(state)
        {
            tracing::warn!("the supervisor does not take a notification ($NOTIFY_SOCKET): {error}");
        }
    }
}

/// Whether so much time passed since then; now is remembered.
fn is_over(since: &mut Option<Instant>, every: Duration) -> bool {
    let now = instant();
    let is_over = since.is_none_or(|since| now.saturating_duration_since(since) >= every);
    if is_over {
        *since = Some(now);
    }
    is_over
}
