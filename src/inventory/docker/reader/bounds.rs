//! How much of a runtime's words is kept.
//!
//! Contract: names, labels and lists of a workload or network are cut to the limits below; how many were cut is returned, to
//! be counted. Limits: all texts of one workload together stay below [`MAX_LABEL_BYTES`] and some kilobytes.
//! Design: a user who may start a container chooses these texts; none of them needs to be long to identify a workload.

use std::collections::BTreeMap;

use crate::input::{RuntimeId, RuntimeNetwork, Workload};
use crate::inventory::reader::container_states::MAX_KNOWN;

/// Docker Compose sets about ten, Kubernetes some more.
pub const MAX_LABELS: usize = 256;
/// Of one name, network, driver or label key.
pub const MAX_NAME: usize = 256;
/// Of an image reference, and of one label's value.
pub const MAX_TEXT: usize = 4096;
/// Of all labels of a workload, keys and values.
pub const MAX_LABEL_BYTES: usize = 32 * 1024;
/// Of all labels of a workload that a user's runtime reported.
const MAX_USER_LABEL_BYTES: usize = 4 * 1024;
/// Containers of a user's runtime: any user may run one, and root's must find room beside it.
const MAX_OF_USER: usize = 1000;
/// Docker's own limit of interfaces in a container is lower.
pub const MAX_ATTACHMENTS: usize = 64;
/// Published ports of a container; a range of a passive FTP server has about a hundred.
const MAX_PUBLISHED: usize = 256;
/// Ranges and gateways of a network.
const MAX_RANGES: usize = 64;
/// Labels by which a container may overwrite what its events say: kept before others, so that this is known.
const ATTRIBUTES: [&str; 4] = ["containerExitCode", "execID", "exitCode", "signal"];
/// An id is 64 characters.
const MAX_ID: usize = 128;

/// Whether a text can be the id of a container, network, pod or image, and so be a part of a question.
pub(super) fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b':';
    !text.is_empty() && text.len() <= MAX_ID && text.bytes().all(fits)
}

/// Whether a text can be the name of a container (Docker's `RestrictedNamePattern`), and so be a part of a question.
pub(super) fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    text.len() <= MAX_NAME
        && text.bytes().all(fits)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

/// How many containers a runtime may have reported at once.
pub(super) fn quota(runtime: RuntimeId) -> usize {
    if runtime.is_users() { MAX_OF_USER } else { MAX_KNOWN }
}

/// Cuts a workload to its bounds; how many of its parts were cut or left out.
pub(super) fn workload(workload: &mut Workload) -> u64 {
    let mut cut = text(&mut workload.name, MAX_NAME);
    cut += text(&mut workload.image, MAX_TEXT) + text(&mut workload.image_digest, MAX_NAME);
    let bytes = if workload.runtime.is_users() { MAX_USER_LABEL_BYTES } else { MAX_LABEL_BYTES };
    cut += labels(&mut workload.labels, bytes);
    cut += list(&mut workload.attachments, MAX_ATTACHMENTS) + list(&mut workload.published, MAX_PUBLISHED);
    for attachment in &mut workload.attachments {
        cut += text(&mut attachment.network, MAX_NAME) + text(&mut attachment.network_id, MAX_NAME);
    }
    if let Some(pod) = &mut workload.pod {
        cut += text(&mut pod.name, MAX_NAME) + text(&mut pod.uid, MAX_NAME);
    }
    cut
}

/// Cuts a name as [`workload`] does.
pub(super) fn name(name: &mut String) {
    text(name, MAX_NAME);
}

/// Cuts a network to its bounds; how many of its parts were cut or left out.
pub(super) fn network(network: &mut RuntimeNetwork) -> u64 {
    let mut cut = text(&mut network.name, MAX_NAME) + text(&mut network.driver, MAX_NAME);
    cut += network.bridge.as_mut().map_or(0, |bridge| text(bridge, MAX_NAME));
    cut += network.parent.as_mut().map_or(0, |parent| text(parent, MAX_NAME));
    cut + list(&mut network.subnets, MAX_RANGES) + list(&mut network.gateways, MAX_RANGES)
}

/// Keeps the first labels in order of key until a bound is reached.
fn labels(labels: &mut BTreeMap<String, String>, most: usize) -> u64 {
    let (mut cut, mut bytes) = (0, 0);
    let mut all = std::mem::take(labels);
    let first: Vec<_> = ATTRIBUTES.iter().filter_map(|name| all.remove_entry(*name)).collect();
    let all = first
        .into_iter()
        .map(|(key, mut value)| {
            (key, {
                text(&mut value, MAX_NAME);
                value
            })
        })
        .chain(all);
    for (mut key, mut value) in all {
        let shortened = text(&mut key, MAX_NAME) + text(&mut value, MAX_TEXT);
        if labels.len() >= MAX_LABELS || bytes + key.len() + value.len() > most {
            cut += 1;
            continue;
        }
        bytes += key.len() + value.len();
        cut += shortened;
        labels.insert(key, value);
    }
    cut
}

fn list<T>(list: &mut Vec<T>, most: usize) -> u64 {
    let beyond = list.len().saturating_sub(most);
    list.truncate(most);
    u64::try_from(beyond).unwrap_or(u64::MAX)
}

/// Cuts at a character's border.
fn text(text: &mut String, most: usize) -> u64 {
    if text.len() <= most {
        return 0;
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text.shrink_to_fit();
    1
}
