//! What this process gives up once it has started: capabilities, dangerous system calls, files of others, programs, core dumps.
//!
//! Contract: entered once, by the thread that starts the others, before it starts them. A thread has what its [`Role`] needs, for it is started by a
//! thread that has no more ([`spawn`]); one that is started in the usual way is [`Role::Plain`], the role with the least. What this kernel cannot enforce is told
//! with its reason ([`Report`]). Where nothing was entered, [`spawn`] and [`look`] are the usual thing.
//! Limits: threads share memory, so native code that runs in one has what all roles together have: `docs/sandbox.md` says what that is.
//! Design: `docs/adr/0027-*.md`. Landlock forbids to look at processes outside of its domain, so those who must are [`Role::Watch`], without it.

mod calls;
mod files;
mod plan;
mod report;
mod rights;
mod roles;

use std::path::Path;
use std::sync::OnceLock;

pub use caps::Capability;
pub use plan::{Plan, Rights, Role};
pub use report::{Outcome, Part, Report};
pub use roles::{look, narrow, spawn};

/// What was entered, for those who ask later.
static ENTERED: OnceLock<Entered> = OnceLock::new();

#[derive(Debug)]
struct Entered {
    report: Report,
    plan: Plan,
    roles: roles::Parents,
}

/// Enters, and says what is in force now. `others` runs a function in each thread that is there already.
pub fn enter(plan: Plan, others: impl FnOnce(Box<dyn FnOnce() + Send>)) -> &'static Report {
    let entered = ENTERED.get_or_init(|| {
        let mut findings = report::Findings::default();
        rights::forbid_core_dumps(&mut findings);
        let roles = roles::Parents::start(&plan, &mut findings);
        let (told, heard) = std::sync::mpsc::channel();
        let theirs = plan.clone();
        others(Box::new(move || {
            let mut findings = report::Findings::default();
            roles::take(Role::Plain, &theirs, &mut findings);
            // Nobody waits for a thread that came too late.
            let _ = told.send(findings);
        }));
        findings.extend(heard.recv_timeout(roles::PATIENCE).unwrap_or_default());
        roles::take(Role::Plain, &plan, &mut findings);
        report::find_strays(&mut findings);
        Entered { report: findings.report(), plan, roles }
    });
    &entered.report
}

/// What a thread of the role [`Role::Plain`] of this process would get, tried in a thread that ends; this process leaves no core dump from then on.
pub fn try_out(plan: Plan) -> Report {
    let attempt = std::thread::spawn(move || {
        let mut findings = report::Findings::default();
        rights::forbid_core_dumps(&mut findings);
        roles::take(Role::Plain, &plan, &mut findings);
        findings.report()
    });
    attempt.join().unwrap_or_default()
}

/// What is in force; `None` where nothing was entered.
pub fn report() -> Option<&'static Report> {
    ENTERED.get().map(|entered| &entered.report)
}

/// Whether files may be made and replaced in this folder.
pub fn may_write_in(folder: &Path) -> bool {
    let Some(entered) = ENTERED.get().filter(|entered| entered.report.is_enforced(Part::Landlock)) else { return true };
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    entered.plan.writable.iter().any(|allowed| real.starts_with(allowed))
}

/// Where a parent of a role is, if one was started.
fn parents() -> Option<&'static roles::Parents> {
    ENTERED.get().map(|entered| &entered.roles)
}
