//! `brute-force`.

mod strategy;
mod window;

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::baseline::traffic::{Ports, Way};
use crate::detect::anomaly::contacts::{Contact, ContactStep};
use crate::detect::anomaly::dealing::Dealings;
use crate::detect::anomaly::new_traffic::in_force;
use crate::detect::anomaly::outcome::Outcome;
use crate::detect::anomaly::per_actor::PerActor;
use crate::detect::params::rule_params;
use crate::detect::{
    Actor, Alternative, Context, ExpectedFrom, Explanation, Finding, Findings, HoldTime, Rule, Severity,
};
use crate::input::{FlowRecord, Protocol};
use crate::path::Selector;
use crate::time::Timestamp;
use crate::wording::many;
pub use strategy::META;
use window::{Session, Window};

/// Login services of one actor that are followed; the one that was quiet longest makes room.
const MAX_SERVICES: usize = 64;

rule_params! {
    /// Services that may: configuration management, CI, backups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// Sessions within the window, most of them alike.
    sessions: u32 = 20,
    /// The window.
    window: HoldTime = HoldTime::secs(600),
}

/// Whom the sessions of a window have in common with the actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// One other end.
    One(IpAddr, Login),
    /// Many other ends.
    Many(Login),
}

/// A service that asks who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Login {
    Ssh,
    Ftp,
    Telnet,
    RemoteDesktop,
    Vnc,
}

impl Login {
    /// By payload at any port, else by port.
    fn of(record: &FlowRecord) -> Option<Self> {
        if record.tuple.protocol != Protocol::TCP {
            return None;
        }
        let app = record.app.as_ref();
        if app.is_some_and(|app| app.ssh.is_some()) {
            return Some(Self::Ssh);
        }
        match record.tuple.resp.port {
            22 => Some(Self::Ssh),
            21 => Some(Self::Ftp),
            23 => Some(Self::Telnet),
            3389 => Some(Self::RemoteDesktop),
            5900..=5903 => Some(Self::Vnc),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ssh => "SSH",
            Self::Ftp => "FTP",
            Self::Telnet => "Telnet",
            Self::RemoteDesktop => "RDP",
            Self::Vnc => "VNC",
        }
    }
}

#[derive(Debug, Default)]
struct ActorWindows {
    windows: BTreeMap<Key, Window>,
}

/// The rule; it remembers the sizes of sessions with login services.
#[derive(Debug)]
pub struct BruteForce {
    params: Params,
    sources: PerActor<ActorWindows>,
    /// By the actor that is asked.
    targets: PerActor<ActorWindows>,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    BruteForce { params: params.clone(), sources: PerActor::default(), targets: PerActor::default(), forgotten: 0 }
}

impl Rule for BruteForce {
    fn on_contact(&mut self, context: Context<'_>, contact: &Contact<'_>, findings: &mut Findings) {
        if contact.step != ContactStep::Ended {
            return findings.want_no_more();
        }
        let record = contact.record;
        let (sent, received) = (record.orig.counters.payload_bytes, record.resp.counters.payload_bytes);
        let is_session = contact.outcome == Outcome::Answered && sent > 0 && received > 0;
        let Some(login) = Login::of(record).filter(|_| is_session) else { return };
        let (from, to) = (record.tuple.orig.ip.to_canonical(), record.tuple.resp.ip.to_canonical());
        let at = contact.flow.view.record.start;
        if let Some(source) = contact.source {
            if source.workload().is_some_and(|workload| Selector::any(&self.params.allowed, workload)) {
                return;
            }
            let session = |other| Session { at, sent, received, other };
            let own = self.sources.of(source);
            for key in [Key::One(to, login), Key::Many(login)] {
                let (window, is_forgotten) = own.window(key, at);
                self.forgotten += u64::from(is_forgotten);
                judge(context, &self.params, (source, contact, key), window, session(to), findings);
            }
        } else if let Some(target) = contact.target {
            let own = self.targets.of(target);
            let (window, is_forgotten) = own.window(Key::Many(login), at);
            self.forgotten += u64::from(is_forgotten);
            let session = Session { at, sent, received, other: from };
            judge(context, &self.params, (target, contact, Key::Many(login)), window, session, findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten + self.sources.forgotten() + self.targets.forgotten()
    }
}

impl ActorWindows {
    fn window(&mut self, key: Key, at: Timestamp) -> (&mut Window, bool) {
        let is_full = !self.windows.contains_key(&key) && self.windows.len() >= MAX_SERVICES;
        if is_full
            && let Some(quietest) = self.windows.iter().min_by_key(|(_, window)| window.last()).map(|(key, _)| *key)
        {
            self.windows.remove(&quietest);
        }
        (self.windows.entry(key).or_insert_with(|| Window::new(at)), is_full)
    }
}

fn judge(
    context: Context<'_>,
    params: &Params,
    (actor, contact, key): (&Actor, &Contact<'_>, Key),
    window: &mut Window,
    session: Session,
    findings: &mut Findings,
) {
    let differs = window.differs(&session);
    window.add(session, params.window.get());
    let ends = window.ends();
    // Of one other end the narrower key speaks.
    if matches!(key, Key::Many(_)) && ends < 2 && contact.source.is_some() {
        return;
    }
    if window.len() < params.sessions {
        return;
    }
    let usual = usual(context, actor, contact, key);
    let least = params.sessions.max(usual.saturating_add(1));
    let Some(alike) = window.alike(least) else { return };
    let severity = if differs { Severity::High } else { Severity::Low };
    if !window.is_due(severity) {
        return;
    }
    let login = match key {
        Key::One(_, login) | Key::Many(login) => login,
    };
    let (whose, cause) = match (key, contact.source.is_some()) {
        (Key::One(ip, _), _) => (format!("with {ip}"), format!("{} of {ip}", login.as_str())),
        (Key::Many(_), true) => (format!("with {ends} hosts"), format!("{} of many", login.as_str())),
        (Key::Many(_), false) => (format!("of {ends} hosts with {actor}"), format!("{} from outside", login.as_str())),
    };
    let mut why = explain(params, window, alike, login, &whose, differs, context);
    if usual > 0 {
        why.expected = format!("the baseline knows {} at most in an hour", many(u64::from(usual), "session"));
        why.expected_from = ExpectedFrom::Baseline;
        why.threshold = format!("{least} sessions, more than half of them alike");
    }
    let at = contact.flow.view.record.start;
    findings.push(Finding {
        severity,
        attribution: Some(contact.flow.source.clone()),
        flow: Some(contact.flow.view.clone()),
        destination: Some(contact.record.tuple.resp),
        ..Finding::of_actor(&META, at, actor, &cause, why)
    });
}

/// The most sessions of an hour that the approved baseline of the actor knows there; 0 where it knows none.
fn usual(context: Context<'_>, actor: &Actor, contact: &Contact<'_>, key: Key) -> u32 {
    let force = context.baseline.zip(actor.service()).and_then(|(baseline, key)| in_force(baseline, key));
    let Some((_, traffic)) = force else { return 0 };
    let tuple = contact.record.tuple;
    let ports = Ports::one(tuple.protocol, tuple.resp.port);
    let most = match (key, contact.source.is_some()) {
        (Key::Many(_), true) => traffic.most_an_hour(Way::Reaches, None, ports),
        (Key::Many(_), false) => traffic.most_an_hour(Way::Listens, None, ports),
        (Key::One(..), _) => {
            let dealings = Dealings::of(context.names, context.timeline, contact);
            let peer = dealings.as_ref().and_then(|dealings| {
                dealings.sides(contact).find(|side| side.dealing.way == Way::Reaches).map(|side| side.dealing.peer)
            });
            peer.map_or(0, |peer| traffic.most_an_hour(Way::Reaches, Some(&peer), ports))
        }
    };
    u32::try_from(most).unwrap_or(u32::MAX)
}

fn explain(
    params: &Params,
    window: &Window,
    alike: u32,
    login: Login,
    whose: &str,
    differs: bool,
    context: Context<'_>,
) -> Explanation {
    let observed = format!(
        "{} {} sessions {whose} within {}, {alike} of them alike: about {}",
        window.len(),
        login.as_str(),
        crate::time::readable(params.window.get()),
        window.usual()
    );
    let mut why = Explanation::new(observed, "people and tools log in a few times in ten minutes", ExpectedFrom::Floor);
    why.threshold = format!("{} sessions, more than half of them alike", params.sessions);
    "rules.brute-force.sessions".clone_into(&mut why.parameter);
    if differs {
        why.signs.push(
            "one session differs after many alike: it carried three times as much, so a guess may have been right"
                .to_owned(),
        );
    }
    why.alternatives = vec![
        Alternative::new(
            "configuration management, Git over SSH in CI, a backup",
            "does its key log in, and does it do so every day?",
        ),
        Alternative::new("a health check that speaks the protocol", "does it come from a monitor?"),
        Alternative::new("a reconnect loop with a wrong password", "does the service's log name one user only?"),
    ];
    if context.actors.are_assumed() {
        why.limits.push("no address of this capture is known to be yours: --local CIDR would tell".to_owned());
    }
    why.limits.push("sizes tell, not contents: whether a login failed is in the service's own log".to_owned());
    "rules.brute-force.allowed (a service), or an exception".clone_into(&mut why.silence);
    why
}

#[cfg(test)]
mod tests;
