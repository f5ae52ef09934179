//! What to do, with what is known filled in.
//!
//! Contract: `NAME`, `PID`, `NET`, `BRIDGE` and `INTERFACE` in a rule's steps become the container's short id, the id of its first process, its network and
//! the interface where the flow was seen; what is not known stays as it is. Every word can be pasted into a shell as root: names of containers are
//! never used (the user that starts a container chooses them), and other words only if they are plain. Limits: podman's commands are docker's;
//! containerd's and the CRI's are not translated.

use crate::detect::Finding;
use crate::input::{RuntimeKind, Workload};

/// The steps of a finding.
pub(super) fn concrete(finding: &Finding) -> Vec<String> {
    let workload = finding.workload.as_deref();
    let seen = finding.flow.as_ref().and_then(|flow| flow.points.first()).or(finding.point.as_ref());
    let seen = seen.map(ToString::to_string).filter(|name| is_plain(name));
    let network = workload.and_then(network);
    let known = [
        ("NAME", workload.and_then(id)),
        ("PID", workload.and_then(|workload| workload.pid).map(|pid| pid.to_string())),
        ("NET", network),
        ("BRIDGE", seen.clone()),
        ("INTERFACE", seen),
    ];
    let podman = workload.is_some_and(|workload| workload.runtime.kind() == RuntimeKind::Podman);
    let steps = if finding.steps.is_empty() { finding.rule.ads.response } else { finding.steps };
    steps.iter().map(|step| filled(step, &known, podman)).collect()
}

fn filled(step: &str, known: &[(&str, Option<String>)], podman: bool) -> String {
    let mut text = String::with_capacity(step.len() + 16);
    let mut rest = step;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        let (before, word) = rest.split_at(start);
        let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        let value = known.iter().find(|(name, _)| *name == word).and_then(|(_, value)| value.as_deref());
        text.push_str(before);
        text.push_str(match value {
            Some(value) => value,
            None if podman && word == "docker" && after.starts_with(' ') => "podman",
            None => word,
        });
        rest = after;
    }
    text + rest
}

/// The short id, where it is one: hexadecimal digits.
fn id(workload: &Workload) -> Option<String> {
    let short = workload.id.short();
    (short.len() == 12 && short.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| short.to_owned())
}

/// The only network of a workload; of several it is not known which is meant.
fn network(workload: &Workload) -> Option<String> {
    let [attachment] = workload.attachments.as_slice() else { return None };
    let id = attachment.network_id.get(..12).unwrap_or_default();
    let is_hex = id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { Some(id.to_owned()) } else { Some(attachment.network.clone()).filter(|name| is_plain(name)) }
}

/// Nothing that a shell, or the command behind it, takes for more than a name.
fn is_plain(word: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=64).contains(&word.len()) && word.as_bytes()[0].is_ascii_alphanumeric() && word.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_filled_in_and_others_stay() {
        let known = [("NAME", Some("c3c0a5bb29f4".to_owned())), ("PID", Some("42".to_owned())), ("NET", None)];
        let step = "`docker network disconnect NET NAME`, `ls /proc/PID/ns/net`; NET_ADMIN; NAMES; unknown";
        assert_eq!(
            filled(step, &known, false),
            "`docker network disconnect NET c3c0a5bb29f4`, `ls /proc/42/ns/net`; NET_ADMIN; NAMES; unknown"
        );
        assert_eq!(filled("`docker top NAME`: docker", &known, true), "`podman top c3c0a5bb29f4`: docker");
    }

    #[test]
    fn what_a_shell_would_obey_is_no_plain_word() {
        for word in ["", "-rf", "a b", "a;b", "$(x)", "`x`", "a\u{1b}", "é"] {
            assert!(!is_plain(word), "{word:?}");
        }
        assert!(is_plain("shop_default") && is_plain("br-fda3471b98d6"));
    }
}
