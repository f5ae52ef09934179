//! What is enforced, what is not, and why.
//!
//! Contract: a part counts as enforced only if every thread of the process took it; one thread that did not is named.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

/// A part of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Which files are written, read and run, which port is listened on, whom signals reach.
    Landlock,
    /// Which system calls are made.
    Seccomp,
    /// Which capabilities are held.
    Capabilities,
    /// No program that is run has more rights than this one.
    NoNewPrivs,
    /// The memory, which holds packets, is not written to a file, and no other process of the user reads it.
    CoreDumps,
}

impl Part {
    /// All, in the order of the texts.
    pub const ALL: [Self; 5] = [Self::Landlock, Self::Seccomp, Self::Capabilities, Self::NoNewPrivs, Self::CoreDumps];

    /// As metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivs => "no_new_privs",
            Self::CoreDumps => "core_dumps",
        }
    }
}

/// How a part is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Which.
    pub part: Part,
    /// Whether it is in force.
    pub enforced: bool,
    /// What that means here, or why it is not.
    pub text: String,
}

/// How all parts are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each part once.
    pub parts: Vec<Outcome>,
}

impl Report {
    /// Whether a part is in force.
    pub fn is_enforced(&self, part: Part) -> bool {
        self.parts.iter().any(|outcome| outcome.part == part && outcome.enforced)
    }

    /// The parts that are not.
    pub fn missing(&self) -> impl Iterator<Item = &Outcome> {
        self.parts.iter().filter(|outcome| !outcome.enforced)
    }

    /// One line.
    pub fn line(&self) -> String {
        let mut line = String::new();
        for (at, Outcome { part, enforced, text }) in self.parts.iter().enumerate() {
            let (separator, not) = (if at == 0 { "" } else { "; " }, if *enforced { "" } else { "NOT " });
            let _ = write!(line, "{separator}{} {not}enforced ({text})", part.as_str());
        }
        line
    }
}

/// What the threads found while they entered.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings(BTreeMap<Part, Finding>);

#[derive(Clone, Debug, Default)]
struct Finding {
    taken: bool,
    texts: Vec<String>,
    reasons: Vec<String>,
}

impl Findings {
    /// A thread took a part.
    pub(super) fn taken(&mut self, part: Part, text: impl Into<String>) {
        let finding = self.0.entry(part).or_default();
        finding.taken = true;
        push(&mut finding.texts, text.into());
    }

    /// A thread did not.
    pub(super) fn failed(&mut self, part: Part, reason: impl Into<String>) {
        push(&mut self.0.entry(part).or_default().reasons, reason.into());
    }

    /// Either.
    pub(super) fn note(&mut self, part: Part, result: Result<String, String>) {
        match result {
            Ok(text) => self.taken(part, text),
            Err(reason) => self.failed(part, reason),
        }
    }

    /// What another thread found.
    pub(super) fn extend(&mut self, Self(other): Self) {
        for (part, Finding { taken, texts, reasons }) in other {
            self.0.entry(part).or_default().taken |= taken;
            for text in texts {
                self.taken(part, text);
            }
            for reason in reasons {
                self.failed(part, reason);
            }
        }
    }

    /// What it comes to.
    pub(super) fn report(mut self) -> Report {
        let outcome = |part: Part| {
            let Finding { taken, texts, reasons } = self.0.remove(&part).unwrap_or_default();
            let enforced = reasons.is_empty() && taken;
            let said = if reasons.is_empty() { texts } else { reasons };
            let nothing = if taken { "none" } else { "not tried" };
            let text = if said.is_empty() { nothing.to_owned() } else { said.join(", ") };
            Outcome { part, enforced, text }
        };
        Report { parts: Part::ALL.into_iter().map(outcome).collect() }
    }
}

fn push(all: &mut Vec<String>, text: String) {
    if !text.is_empty() && !all.contains(&text) {
        all.push(text);
    }
}

/// Names the threads of this process that took no system call filter: they were there before.
pub(super) fn find_strays(findings: &mut Findings) {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for task in tasks {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if field("NoNewPrivs:").is_some_and(|value| value == "0") {
            let name = field("Name:").unwrap_or("?");
            findings.failed(Part::NoNewPrivs, format!("the thread {name} began before"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_one_thread_did_not_take_is_not_enforced() {
        let mut findings = Findings::default();
        findings.taken(Part::Seccomp, "42 calls refused");
        findings.taken(Part::Landlock, "ABI 6");
        let mut other = Findings::default();
        other.failed(Part::Landlock, "this kernel has none");
        findings.extend(other);
        let report = findings.report();
        assert!(report.is_enforced(Part::Seccomp) && !report.is_enforced(Part::Landlock));
        assert!(!report.is_enforced(Part::CoreDumps), "what nobody tried is not enforced");
        let line = report.line();
        assert!(
            line.starts_with("landlock NOT enforced (this kernel has none); seccomp enforced (42 calls refused)"),
            "{line}"
        );
        assert!(line.contains("core_dumps NOT enforced (not tried)"), "{line}");
    }
}
