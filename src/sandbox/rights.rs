//! Capabilities, `no_new_privs`, core dumps.
//!
//! Contract: a thread keeps those of its role that it had, in its permitted and effective sets; inheritable and ambient sets are emptied. The
//! bounding set is cut to the same where `CAP_SETPCAP` is held; without it `no_new_privs` alone keeps a program from gaining others.
//! Source: capabilities(7), prctl(2), `PR_SET_NO_NEW_PRIVS`.

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

use super::report::{Findings, Part};

/// Forbids core dumps, for the whole process.
pub(super) fn forbid_core_dumps(findings: &mut Findings) {
    let forbidden = setrlimit(Resource::RLIMIT_CORE, 0, 0).and_then(|()| prctl::set_dumpable(false));
    findings.note(
        Part::CoreDumps,
        forbidden.map(|()| "off".to_owned()).map_err(|error| format!("the kernel refused: {error}")),
    );
}

/// Gives up, in the calling thread, every capability but these.
pub(super) fn reduce(keep: &[Capability], findings: &mut Findings) {
    match reduce_to(keep) {
        Ok(kept) => {
            findings.taken(Part::Capabilities, "");
            for name in names(&kept) {
                findings.taken(Part::Capabilities, name);
            }
        }
        Err(error) => findings.failed(Part::Capabilities, format!("the kernel refused: {error}")),
    }
    let done = prctl::set_no_new_privs().map(|()| "on".to_owned());
    findings.note(Part::NoNewPrivs, done.map_err(|error| format!("the kernel refused: {error}")));
}

fn reduce_to(keep: &[Capability]) -> Result<CapsHashSet, CapsError> {
    let held = caps::read(None, CapSet::Effective)?;
    let kept: CapsHashSet = keep.iter().copied().filter(|one| held.contains(one)).collect();
    if held.contains(&Capability::CAP_SETPCAP) {
        for one in caps::read(None, CapSet::Bounding)?.difference(&kept) {
            caps::drop(None, CapSet::Bounding, *one)?;
        }
    }
    // Kernels before 4.3 have none.
    if caps::runtime::ambient_set_supported().is_ok() {
        caps::clear(None, CapSet::Ambient)?;
    }
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(kept)
}

/// In order.
fn names(kept: &CapsHashSet) -> Vec<String> {
    let mut names: Vec<_> = kept.iter().map(ToString::to_string).collect();
    names.sort();
    names
}
