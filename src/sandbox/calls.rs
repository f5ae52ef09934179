//! System calls, by seccomp.
//!
//! Contract: a filter of refused calls by role; the answer is `EPERM`, or `ENOSYS` where a library then takes another way. Another architecture's
//! calls end the process, and the numbers of x32 are refused as those of x86-64 are. Limits: a filter sees numbers and not what pointers lead to, so paths are Landlock's part.
//! Source: seccomp(2); the lists of systemd.exec(5) (`@mount`, `@module`, `@debug`, `@clock`, ...).

mod lists;

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, Gt, Lt, MaskedEq, Ne};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use self::lists::{ASKED, LISTENS, NETWORK, NEVER, OPENS, PROGRAMS, SIGNALS, UNKNOWN, WRITES};
use super::plan::{Plan, Role};

/// Refused calls; without a rule, whatever their arguments.
struct Refused(BTreeMap<c_long, Vec<Vec<Is>>>);

/// A condition on an argument.
#[derive(Clone, Copy)]
struct Is(u8, Comparison, u64);

#[derive(Clone, Copy)]
enum Comparison {
    Equal,
    NotEqual,
    Below,
    Above,
    /// Of these bits.
    Masked(u64),
}

impl Refused {
    fn new(calls: &[c_long]) -> Self {
        Self(calls.iter().map(|call| (*call, Vec::new())).collect())
    }

    fn and(mut self, calls: &[c_long]) -> Self {
        self.0.extend(calls.iter().map(|call| (*call, Vec::new())));
        self
    }

    /// This call, where all of these hold. One that is refused wholly stays so.
    fn where_all(mut self, call: c_long, conditions: &[Is]) -> Self {
        match self.0.get_mut(&call) {
            Some(rules) if rules.is_empty() => {}
            Some(rules) => rules.push(conditions.to_vec()),
            None => drop(self.0.insert(call, vec![conditions.to_vec()])),
        }
        self
    }

    /// Every call that opens for more than reading.
    fn opened_for_writing(mut self) -> Self {
        let writing =
            [(libc::O_ACCMODE, libc::O_WRONLY), (libc::O_ACCMODE, libc::O_RDWR), (libc::O_ACCMODE, libc::O_ACCMODE)];
        let making = [libc::O_CREAT, libc::O_TRUNC].map(|flag| (flag, flag));
        for (call, argument) in OPENS {
            for (mask, value) in writing.into_iter().chain(making) {
                self = self.where_all(*call, &[Is(*argument, Comparison::Masked(bits(mask)), bits(value))]);
            }
        }
        self
    }

    /// Sockets of other families than these.
    fn other_families(self, families: &[i32]) -> Self {
        let others: Vec<_> = families.iter().map(|family| Is(0, Comparison::NotEqual, bits(*family))).collect();
        self.where_all(libc::SYS_socket, &others).where_all(libc::SYS_socketpair, &others)
    }

    /// Raw sockets of IP, which ask for a right that the thread has not, or should not use.
    fn raw(self) -> Self {
        const KIND: u64 = 0xf;
        let of = |family: i32| {
            [Is(0, Comparison::Equal, bits(family)), Is(1, Comparison::Masked(KIND), bits(libc::SOCK_RAW))]
        };
        self.where_all(libc::SYS_socket, &of(libc::AF_INET)).where_all(libc::SYS_socket, &of(libc::AF_INET6))
    }

    /// Requests to descriptors, but for these few and those of sockets.
    fn requests(mut self) -> Self {
        for beyond in [Is(1, Comparison::Below, *NETWORK.start()), Is(1, Comparison::Above, *NETWORK.end())] {
            let others = ASKED.iter().map(|request| Is(1, Comparison::NotEqual, *request));
            self = self.where_all(libc::SYS_ioctl, &others.chain([beyond]).collect::<Vec<_>>());
        }
        self
    }

    fn program(self, answer: i32) -> Result<BpfProgram, String> {
        let mut rules = BTreeMap::new();
        for (call, refused) in self.0 {
            let refused = refused.iter().map(|conditions| rule(conditions)).collect::<Result<Vec<_>, _>>();
            let refused = refused.map_err(|error| error.to_string())?;
            rules.extend(lists::on_x32(call).into_iter().map(|call| (call, refused.clone())));
            rules.insert(call, refused);
        }
        let architecture = std::env::consts::ARCH.try_into();
        let architecture = architecture.map_err(|_| format!("there is no filter for {}", std::env::consts::ARCH))?;
        let answer = SeccompAction::Errno(answer.unsigned_abs());
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, architecture);
        filter.and_then(TryInto::try_into).map_err(|error: BackendError| error.to_string())
    }
}

fn bits(number: i32) -> u64 {
    u64::from(number.cast_unsigned())
}

fn rule(conditions: &[Is]) -> Result<SeccompRule, BackendError> {
    let of = |Is(argument, comparison, value): &Is| {
        let (length, operator): (_, SeccompCmpOp) = match comparison {
            Comparison::Equal => (Dword, Eq),
            Comparison::NotEqual => (Dword, Ne),
            Comparison::Below => (Dword, Lt),
            Comparison::Above => (Dword, Gt),
            Comparison::Masked(mask) => (Qword, MaskedEq(*mask)),
        };
        SeccompCondition::new(*argument, length, operator, *value)
    };
    SeccompRule::new(conditions.iter().map(of).collect::<Result<_, _>>()?)
}

/// What a role may not call.
fn refused(role: Role, plan: &Plan) -> Refused {
    let base = Refused::new(NEVER)
        .where_all(libc::SYS_ioctl, &[Is(1, Comparison::Equal, lists::TIOCSTI)])
        .where_all(libc::SYS_ioctl, &[Is(1, Comparison::Equal, lists::TIOCLINUX)]);
    let base = lists::NAMESPACES.iter().fold(base, |base, flag| {
        base.where_all(libc::SYS_clone, &[Is(0, Comparison::Masked(bits(*flag)), bits(*flag))])
    });
    let usual = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let routes_only =
        [Is(0, Comparison::Equal, bits(libc::AF_NETLINK)), Is(2, Comparison::NotEqual, bits(libc::NETLINK_ROUTE))];
    let base = base.where_all(libc::SYS_prlimit64, &[Is(0, Comparison::NotEqual, 0)]);
    let runs_nothing = |base: Refused| base.and(PROGRAMS).and(SIGNALS).and(&[libc::SYS_kill]);
    match role {
        Role::Plain | Role::Sockets => {
            let base = if role == Role::Plain { base.and(LISTENS) } else { base };
            let base = runs_nothing(base).and(&[libc::SYS_setns]).other_families(&usual).raw();
            base.where_all(libc::SYS_socket, &routes_only)
        }
        Role::Taps => {
            let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_NETLINK, libc::AF_PACKET];
            let base = runs_nothing(base).and(LISTENS).and(&[libc::SYS_setns, libc::SYS_connect]);
            base.other_families(&families).where_all(libc::SYS_socket, &routes_only)
        }
        Role::Helpers => base.and(LISTENS).and(&[libc::SYS_setns]).other_families(&usual),
        Role::Watch => {
            let base = base.and(PROGRAMS).and(SIGNALS).and(WRITES).and(LISTENS).and(&[libc::SYS_connect]);
            // Signal 0 asks whether a process is there: one that has ended is not one that hides.
            let base = base.where_all(libc::SYS_kill, &[Is(1, Comparison::NotEqual, 0)]);
            let base = base.opened_for_writing().requests();
            let base = base.where_all(libc::SYS_setns, &[Is(1, Comparison::NotEqual, bits(libc::CLONE_NEWNET))]);
            let base = base.where_all(libc::SYS_tgkill, &[Is(0, Comparison::NotEqual, u64::from(std::process::id()))]);
            let inside = [libc::AF_NETLINK, libc::AF_PACKET, libc::AF_UNIX, libc::AF_INET];
            base.other_families(if plan.inside { &inside } else { &[libc::AF_NETLINK] })
        }
    }
}

/// Restricts the calling thread.
pub(super) fn restrict(role: Role, plan: &Plan) -> Result<String, String> {
    apply(refused(role, plan))?;
    Ok("by role".to_owned())
}

/// Restricts a thread that reads packets, on top of what it has.
pub(super) fn restrict_packets() -> Result<(), String> {
    let refused = Refused::new(NEVER).and(PROGRAMS).and(WRITES).and(SIGNALS).and(LISTENS).requests();
    let refused = refused.and(&[libc::SYS_kill]);
    let more = [libc::SYS_setns, libc::SYS_socket, libc::SYS_connect, libc::SYS_bind, libc::SYS_capset];
    apply(refused.and(&more).opened_for_writing())
}

fn apply(refused: Refused) -> Result<(), String> {
    let programs = [Refused::new(UNKNOWN).program(libc::ENOSYS)?, refused.program(libc::EPERM)?];
    programs.iter().try_for_each(|program| {
        seccompiler::apply_filter(program).map_err(|error| format!("the kernel refused: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_of_each_role_is_one_that_the_kernel_takes() {
        for role in [Role::Plain, Role::Taps, Role::Sockets, Role::Helpers, Role::Watch] {
            for inside in [false, true] {
                let plan = Plan { inside, ..Plan::default() };
                let program = refused(role, &plan).program(libc::EPERM).expect("a program");
                assert!(program.len() > 100, "{role:?}");
            }
        }
    }

    #[test]
    fn a_call_that_is_refused_wholly_is_not_allowed_again_by_a_condition() {
        let calls = Refused::new(&[libc::SYS_ioctl]).where_all(libc::SYS_ioctl, &[Is(1, Comparison::Equal, 1)]);
        assert!(calls.0.get(&libc::SYS_ioctl).is_some_and(Vec::is_empty));
        let calls =
            Refused::new(&[]).where_all(libc::SYS_ioctl, &[Is(1, Comparison::Equal, 1)]).and(&[libc::SYS_ioctl]);
        assert!(calls.0.get(&libc::SYS_ioctl).is_some_and(Vec::is_empty));
    }
}
