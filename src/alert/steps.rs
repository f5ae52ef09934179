//! What to do, with what is known filled in.
//!
//! Contract: `ALERT`, `NAME`, `PID`, `NET`, `BRIDGE`, `INTERFACE`, and what the finding itself knows, become the container's short id, the id of its first
//! process, its network and the interface where the flow was seen; what is not known stays as it is. Of an address that no runtime reports the
//! steps about a container are left out. Every word can be pasted into a shell as root: names of containers are never used (the user that starts
//! a container chooses them), and other words only if they are plain. Limits: podman's commands are docker's; containerd's and the CRI's are not
//! translated.

use std::net::IpAddr;

use crate::detect::{Actor, Finding};
use crate::input::{RuntimeKind, Workload};

/// Words that only a container has.
const OF_CONTAINERS: [&str; 2] = ["NAME", "PID"];

/// The steps of a finding whose alert has this id.
pub(super) fn concrete(finding: &Finding, alert: &str) -> Vec<String> {
    let workload = finding.workload.as_deref();
    let mut known = known(finding);
    known.push(("ALERT", alert.to_owned()));
    let podman = workload.is_some_and(|workload| workload.runtime.kind() == RuntimeKind::Podman);
    let steps = if finding.steps.is_empty() { finding.rule.ads.response } else { finding.steps };
    let address = finding.actor.as_ref().and_then(Actor::address).filter(|_| workload.is_none());
    let about_it = address.map(|ip| format!("Find out which host or container {ip} is: no runtime reports it."));
    let steps = steps.iter().filter(|step| address.is_none() || !names_a_container(step));
    let others = helps_to_ask(finding).then(|| format!("Find out who else shows it: `hopwatch sweep --like {alert}`."));
    about_it.into_iter().chain(steps.map(|step| filled(step, &known, podman))).chain(others).collect()
}

/// Whether others could share it: where a container went, or a setting that differs.
fn helps_to_ask(finding: &Finding) -> bool {
    let has_setting = finding.evidence.iter().any(|evidence| evidence.kind == "setting");
    finding.workload.is_some() && (finding.destination.is_some() || has_setting)
}

/// What is known of the words in the steps.
fn known(finding: &Finding) -> Vec<(&'static str, String)> {
    let workload = finding.workload.as_deref();
    let seen = finding.flow.as_ref().and_then(|flow| flow.points.first()).or(finding.point.as_ref());
    let seen = seen.map(ToString::to_string);
    let ends = finding.flow.as_ref().map(|flow| [flow.record.tuple.orig.ip, flow.record.tuple.resp.ip]);
    let of_workload = [
        ("NAME", workload.and_then(id)),
        ("PID", workload.and_then(|workload| workload.pid).map(|pid| pid.to_string())),
        ("NET", workload.and_then(|workload| network(workload, ends))),
    ];
    let own = finding.known.iter().map(|(word, value)| (*word, Some(value.clone())));
    let seen = [("BRIDGE", seen.clone()), ("INTERFACE", seen)];
    let all = of_workload.into_iter().chain(own).chain(seen);
    all.filter_map(|(word, value)| Some((word, value.filter(|value| is_plain(value) || is_plain_path(value))?)))
        .collect()
}

fn names_a_container(step: &str) -> bool {
    step.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| OF_CONTAINERS.contains(&word))
}

fn filled(step: &str, known: &[(&str, String)], podman: bool) -> String {
    let mut text = String::with_capacity(step.len() + 16);
    let mut rest = step;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        let (before, word) = rest.split_at(start);
        let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        let value = known.iter().find(|(name, _)| *name == word).map(|(_, value)| value.as_str());
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

/// The network of a workload that a flow went over, by its address there; without one, its only network.
fn network(workload: &Workload, ends: Option<[IpAddr; 2]>) -> Option<String> {
    let holds = |ip: &IpAddr| ends.is_some_and(|ends| ends.iter().any(|end| end.to_canonical() == ip.to_canonical()));
    let mut used = workload.attachments.iter().filter(|attachment| attachment.addresses.iter().any(holds));
    let ((Some(attachment), _) | (None, [attachment])) = (used.next(), workload.attachments.as_slice()) else {
        return None;
    };
    let id = attachment.network_id.get(..12).unwrap_or_default();
    let is_hex = id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(if is_hex { id.to_owned() } else { attachment.network.clone() })
}

/// Nothing that a shell, or the command behind it, takes for more than a name.
fn is_plain(word: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=64).contains(&word.len()) && word.as_bytes()[0].is_ascii_alphanumeric() && word.bytes().all(inner)
}

/// An absolute path of plain words.
fn is_plain_path(path: &str) -> bool {
    path.len() <= 512 && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Attachment, RuntimeId, WorkloadId};

    #[test]
    fn whole_words_are_filled_in_and_others_stay() {
        let known = [("NAME", "c3c0a5bb29f4".to_owned()), ("PID", "42".to_owned())];
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
        for path in ["", "/", "/a b", "/a/-rf", "a/b", "/a//b", "/$(x)"] {
            assert!(!is_plain_path(path), "{path:?}");
        }
        assert!(is_plain_path("/var/lib/docker/containers/ab12/ab12-json.log"));
    }

    #[test]
    fn the_network_is_the_one_that_the_flow_went_over() {
        let attachment = |id: &str, ip: &str| Attachment {
            network: "shop_default".to_owned(),
            network_id: id.to_owned(),
            addresses: vec![ip.parse().expect("an address")],
            ..Attachment::default()
        };
        let one = attachment("aaaaaaaaaaaa0000", "172.20.0.2");
        let other = attachment("bbbbbbbbbbbb0000", "172.21.0.2");
        let mut workload = Workload::new(WorkloadId::new("ab12"), "web", RuntimeId::DOCKER);
        workload.attachments = vec![one, other];
        let ends = |ip: &str| Some([ip, "198.51.100.7"].map(|ip| ip.parse().expect("an address")));
        assert_eq!(network(&workload, ends("172.21.0.2")).as_deref(), Some("bbbbbbbbbbbb"));
        assert_eq!((network(&workload, ends("172.30.0.2")), network(&workload, None)), (None, None));
        workload.attachments.truncate(1);
        assert_eq!(network(&workload, None).as_deref(), Some("aaaaaaaaaaaa"));
    }

    #[test]
    fn steps_about_a_container_are_left_out_where_there_is_none() {
        assert!(names_a_container("`docker top NAME`.") && names_a_container("`ls /proc/PID/ns/net`"));
        assert!(!names_a_container("NAMES; NET_ADMIN; look at the destination"));
    }
}
