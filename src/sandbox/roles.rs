//! What each kind of thread may do, and the threads that others are born of.
//!
//! Contract: a thread has the rights of the one that started it, so [`Parents`] are started first, each takes its role, and [`spawn`] asks one of them.
//! Limits: a parent does nothing but start threads; one that is gone leaves the usual way, which is the role with the least.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::files::{self, Domain};
use super::plan::{Plan, Role};
use super::report::{Findings, Part};
use super::{calls, rights};

/// How long it may take a thread to enter.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Which files a role may use; none is all.
const fn domain(role: Role) -> Option<Domain> {
    match role {
        Role::Plain | Role::Taps | Role::Sockets => Some(Domain::Plain),
        Role::Helpers => Some(Domain::Helpers),
        Role::Watch => None,
    }
}

/// Gives up, in the calling thread, what a role does not need.
pub(super) fn take(role: Role, plan: &Plan, findings: &mut Findings) {
    rights::reduce(&role.capabilities(plan), findings);
    match domain(role) {
        Some(domain) => findings.note(Part::Landlock, files::restrict(domain, plan)),
        None => findings.taken(Part::Landlock, "not for threads that look at other processes, which cannot write"),
    }
    findings.note(Part::Seccomp, calls::restrict(role, plan));
}

/// Gives up, in a thread that reads packets, what even [`Role::Plain`] has: files, sockets, capabilities. Does nothing where nothing was entered.
pub fn narrow() {
    if super::report().is_none() {
        return;
    }
    let plan = Plan::default();
    let mut findings = Findings::default();
    rights::reduce(&[], &mut findings);
    // On top of what is in force: where that part is missing, this one is too, and was reported.
    let _ = files::restrict(Domain::Packets, &plan);
    let _ = calls::restrict_packets();
}

type Birth = Box<dyn FnOnce() + Send>;

/// The threads that others are born of.
#[derive(Debug)]
pub(super) struct Parents(Vec<(Role, Sender<Birth>)>);

impl Parents {
    /// Starts them, and waits until each has taken its role.
    pub(super) fn start(plan: &Plan, findings: &mut Findings) -> Self {
        let mut parents = Vec::new();
        for role in Role::BORN {
            let (births, waiting) = channel::<Birth>();
            let (told, heard) = channel();
            let own = plan.clone();
            let parent = move || {
                let mut findings = Findings::default();
                take(role, &own, &mut findings);
                let _ = told.send(findings);
                for birth in waiting {
                    birth();
                }
            };
            // Without one, its threads have the least.
            if Builder::new().name("parent".to_owned()).spawn(parent).is_ok() {
                findings.extend(heard.recv_timeout(PATIENCE).unwrap_or_default());
                parents.push((role, births));
            }
        }
        Self(parents)
    }

    fn of(&self, role: Role) -> Option<&Sender<Birth>> {
        self.0.iter().find_map(|(of, births)| (*of == role).then_some(births))
    }
}

/// Starts a thread of this role.
pub fn spawn<T: Send + 'static>(
    role: Role,
    name: impl Into<String>,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let builder = Builder::new().name(name.into());
    let Some(parent) = super::parents().and_then(|parents| parents.of(role)) else { return builder.spawn(body) };
    let (told, heard) = channel();
    let birth = move || {
        // Nobody waits where the process ends.
        let _ = told.send(builder.spawn(body));
    };
    let gone = || io::Error::other("the thread that starts others is gone");
    parent.send(Box::new(birth)).map_err(|_| gone())?;
    heard.recv().map_err(|_| gone())?
}

/// Calls in a thread of the role [`Role::Watch`], where one is needed, and waits for it. Fails where no thread can be started.
pub fn look<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    if super::parents().is_none() {
        return Ok(body());
    }
    let thread = spawn(Role::Watch, "look", || catch_unwind(AssertUnwindSafe(body)))?;
    let caught: Result<T, Box<dyn Any + Send>> = thread.join().map_err(|_| io::Error::other("it panicked twice"))?;
    caught.map_or_else(|panic| resume_unwind(panic), Ok)
}
