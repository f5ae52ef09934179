//! How much of a configuration is kept.
//!
//! Contract: [`limit`] cuts texts, lists and the whole, and names in `unread` what it left out. Limits: the constants below; a
//! configuration holds at most about [`MAX_BYTES`] of text. Design: the one who starts a container chooses these texts; variables and
//! annotations go first, because no rule needs many of them.

use std::collections::BTreeMap;

use crate::input::{Configuration, Setting, Variable};

/// Text of one configuration.
const MAX_BYTES: usize = 64 * 1024;
/// Bytes of one text.
const MAX_TEXT: usize = 4096;
/// Entries of one list.
const MAX_LIST: usize = 256;
/// Names in `unread`.
const MAX_UNREAD: usize = 64;

/// Cuts a configuration to its bounds.
pub fn limit(of: &mut Configuration) {
    let mut left_out = Vec::new();
    cut_lists(of, &mut left_out);
    cut_texts(of);
    cut_whole(of, &mut left_out);
    of.unread.extend(left_out.into_iter().map(str::to_owned));
    while of.unread.len() > MAX_UNREAD {
        of.unread.pop_last();
    }
}

fn cut_lists(of: &mut Configuration, left_out: &mut Vec<&'static str>) {
    let mut list = |name: &'static str, length: usize| {
        if length > MAX_LIST {
            left_out.push(name);
        }
    };
    list("mounts", of.mounts.len());
    list("dns", of.dns.len());
    list("dns_search", of.dns_search.len());
    list("dns_options", of.dns_options.len());
    list("extra_groups", of.extra_groups.len());
    list("ulimits", of.ulimits.len());
    list("extra_hosts", of.extra_hosts.len());
    list("devices", of.devices.len());
    list("ports", of.ports.len());
    of.mounts.truncate(MAX_LIST);
    of.dns.truncate(MAX_LIST);
    of.dns_search.truncate(MAX_LIST);
    for set in [&mut of.dns_options, &mut of.extra_groups, &mut of.devices, &mut of.ports] {
        while set.len() > MAX_LIST {
            set.pop_last();
        }
    }
    while of.ulimits.len() > MAX_LIST {
        of.ulimits.pop_last();
    }
    of.extra_hosts.truncate(MAX_LIST);
}

fn cut_texts(of: &mut Configuration) {
    for mount in &mut of.mounts {
        [&mut mount.target, &mut mount.kind, &mut mount.source, &mut mount.propagation].into_iter().for_each(cut);
    }
    [&mut of.user, &mut of.handler].into_iter().for_each(cut);
    of.resolver_path.iter_mut().chain(&mut of.hosts_path).for_each(cut);
    of.command
        .iter_mut()
        .chain(&mut of.dns)
        .chain(&mut of.dns_search)
        .chain(&mut of.extra_hosts)
        .chain(&mut of.healthcheck)
        .for_each(cut);
}

/// What is over the bound of the whole goes: the last variables first, then annotations, log options and sysctls.
fn cut_whole(of: &mut Configuration, left_out: &mut Vec<&'static str>) {
    let fixed: usize = of.mounts.iter().map(|mount| mount.target.len() + mount.source.len() + 64).sum::<usize>()
        + [&of.command, &of.dns, &of.dns_search, &of.extra_hosts, &of.healthcheck]
            .into_iter()
            .flatten()
            .map(String::len)
            .sum::<usize>()
        + [&of.devices, &of.ports, &of.dns_options, &of.extra_groups]
            .into_iter()
            .flatten()
            .chain(of.ulimits.keys())
            .map(String::len)
            .sum::<usize>();
    let mut room = MAX_BYTES.saturating_sub(fixed);
    if of.sysctls.as_mut().is_some_and(|all| keep(all, &mut room, String::len)) {
        left_out.push("sysctls");
    }
    if of.logging.as_mut().is_some_and(|logging| keep(&mut logging.options, &mut room, setting_bytes)) {
        left_out.push("logging.options");
    }
    if keep(&mut of.annotations, &mut room, setting_bytes) {
        left_out.push("annotations");
    }
    let bytes = |variable: &Variable| variable.name.len() + setting_bytes(&variable.value);
    let fits = of.environment.iter().take_while(|variable| take(&mut room, bytes(variable))).count();
    if fits < of.environment.len() {
        of.environment.truncate(fits);
        left_out.push("environment");
    }
}

/// Keeps the first entries that fit; whether some did not.
fn keep<V>(all: &mut BTreeMap<String, V>, room: &mut usize, bytes: impl Fn(&V) -> usize) -> bool {
    let before = all.len();
    all.retain(|name, value| take(room, name.len() + bytes(value)));
    all.len() < before
}

const fn take(room: &mut usize, bytes: usize) -> bool {
    match room.checked_sub(bytes) {
        Some(rest) => {
            *room = rest;
            true
        }
        None => false,
    }
}

fn setting_bytes(setting: &Setting) -> usize {
    match setting {
        Setting::Clear(text) | Setting::Hashed(text) => text.len(),
        Setting::Present => 0,
    }
}

/// Cuts at a character's border.
fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_megabytes_of_variables_are_cut_and_named() {
        let variable =
            |number: usize| Variable { name: format!("NAME_{number}"), value: Setting::Clear("x".repeat(4000)) };
        let mut hostile = Configuration { environment: (0..500).map(variable).collect(), ..Configuration::default() };
        limit(&mut hostile);
        assert!((1..20).contains(&hostile.environment.len()));
        assert!(hostile.unread.contains("environment"));
    }
}
