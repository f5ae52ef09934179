//! `proxy-settings-changed`: what the runtime says of a container's proxy, resolver and trust, what the kernel shows mounted over their files, and what the
//! files say ([`name_files`]).

mod name_files;

use std::collections::BTreeSet;

use self::name_files::NameFileChanges;
use crate::baseline::{Deviation, covers_internet, covers_more};
use crate::detect::kernel_mounts::KernelMounts;
use crate::detect::params::rule_params;
use crate::detect::posture::{Posture, PostureRule, Signal};
use crate::detect::told_and_seen::ToldAndSeen;
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::input::{Configuration, Setting, Workload};
use crate::inventory::configuration::{Field, is_proxy_variable, is_trust_variable};
use crate::inventory::mount_places::Place;
use crate::path::Selector;

rule_params! {
    /// Workloads that may do without proxy and verification.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// Variables that name a proxy. Programs read them in different spellings; curl reads `http_proxy` in small letters only.
const PROXIES: [&str; 8] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "FTP_PROXY", "ftp_proxy"];

/// Switches that end the verification of certificates, with the value that does.
const NO_VERIFICATION: [(&str, &[&str]); 3] = [
    ("NODE_TLS_REJECT_UNAUTHORIZED", &["0"]),
    ("PYTHONHTTPSVERIFY", &["0"]),
    ("GIT_SSL_NO_VERIFY", &["1", "true", "yes", "on"]),
];

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    let allowed = &params.allowed;
    let seen = (KernelMounts::new(&META, is_own, allowed), NameFileChanges::new(allowed));
    ToldAndSeen { told: PostureRule::new(POSTURE, allowed), seen }
}

/// One that covers other places too is sensitive-mount's.
fn is_own(places: &[Place]) -> bool {
    !places.is_empty() && places.iter().all(|place| matches!(place, Place::Resolver | Place::Hosts))
}

/// What it says of settings.
pub(super) const POSTURE: Posture = Posture { rule: &META, signals, owns, drift, needed_by_sensor: false };

fn owns(field: &Field) -> bool {
    let is_variable = |name: &str| is_proxy_variable(name) || is_trust_variable(name);
    match field.in_group() {
        Some(name) => field.name() == "environment" && is_variable(name),
        None => matches!(field.name(), "dns" | "dns_options" | "dns_search" | "extra_hosts"),
    }
}

/// A list of destinations without a proxy that covers no more than before takes nothing past the proxy.
fn drift(deviation: &Deviation) -> Severity {
    let is_exempt = deviation.field.in_group().is_some_and(|name| name.eq_ignore_ascii_case("NO_PROXY"));
    let before = deviation.expected.as_deref().unwrap_or_default();
    let after = deviation.value.words().unwrap_or_default();
    if is_exempt && !covers_more(before, &after) { Severity::Low } else { Severity::Medium }
}

fn signals(_workload: &Workload, configuration: &Configuration) -> Vec<Signal> {
    let mut all = Vec::new();
    let value = |name: &str| configuration.variable(name).and_then(Setting::clear);
    let variable = |name: &str| Field::member("environment", name);
    for name in PROXIES {
        if value(name).is_some_and(|value| value.trim().is_empty()) {
            let text = format!(
                "{name} is set and empty: programs that read it use no proxy, whatever the image or the daemon sets"
            );
            all.push(Signal::new(format!("{name} empty"), variable(name), Severity::Medium, text));
        }
    }
    for name in exemptions(configuration) {
        if let Some(covers) = value(name).and_then(covers_everything) {
            let text = format!("{name} holds {covers}: the proxy is never used");
            all.push(Signal::new(format!("{name} covers all"), variable(name), Severity::Medium, text));
        }
    }
    for (name, switched_off) in NO_VERIFICATION {
        if value(name).is_some_and(|value| switched_off.contains(&value.trim().to_ascii_lowercase().as_str())) {
            let text = format!("{name} ends the verification of certificates: anybody on the way may answer");
            all.push(Signal::new(format!("{name} off"), variable(name), Severity::Medium, text));
        }
    }
    all
}

/// The variables that list destinations without a proxy, each once. Python reads every spelling, so `No_Proxy` is one.
fn exemptions(configuration: &Configuration) -> BTreeSet<&str> {
    let names = configuration.environment.iter().map(|variable| variable.name.as_str());
    names.filter(|name| name.eq_ignore_ascii_case("NO_PROXY")).collect()
}

/// What of a list covers every destination, if anything does: one entry, or ranges that together hold the whole internet.
fn covers_everything(list: &str) -> Option<String> {
    let mut entries = list.split([',', ' ']).map(str::trim);
    let all = entries.find(|entry| matches!(*entry, "*" | "0.0.0.0/0" | "::/0" | "." | "*.*"));
    let by_one = all.map(|entry| format!("{entry}, which is every destination"));
    by_one.or_else(|| covers_internet(list).then(|| "ranges that together are the whole internet".to_owned()))
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "proxy-settings-changed",
    title: "Settings make a container bypass its proxy, resolver or certificate checks",
    severity: Severity::Medium,
    techniques: &[
        Technique { name: "Disable or Modify Tools", v19: "T1685", v18: "T1562.001" },
        Technique { name: "Subvert Trust Controls: Install Root Certificate", v19: "T1553.004", v18: "T1553.004" },
    ],
    ads: Ads {
        goal: "Detects settings that make a container's programs skip the proxy, trust any certificate, or ask another resolver than \
             when it started.",
        categorization: "Defense Evasion: a proxy that is not used inspects nothing.",
        strategy: "The proxy variables of each inspect are read in both spellings, of two with one name the first, as libc does. A proxy \
             variable that is set and empty, a NO_PROXY (in any spelling, since Python reads all) that covers everything, alone or by \
             ranges that together are the whole internet of IPv4 or IPv6, and switches that end verification are reported once a \
             service. Proxy variables, resolvers with their search domains and options, fixed names and certificate settings that differ from the container's own start, \
             under one id and start time, are critical (high where `podman update` may have changed them). For a service of the \
             baseline these settings are compared with it: one that is lost, new or another is medium; a NO_PROXY that covers no more \
             than before, compared as names and ranges, is low. A mount that the kernel shows over /etc/resolv.conf or /etc/hosts beside the runtime's \
             own is high where it came while the container ran, medium where it was there at the first look. The host's copies of both files \
             (`ResolvConfPath`, `HostsPath`; root in the container may write to them) are read at its start and looked at every 5 s: a name server that neither \
             the document nor the container's networks name is high; a name that has another address than the container's own, a gateway's or that of the \
             container of this name, and a name of `--add-host` that is gone, are medium. Both must stand for 3 s, in which the runtime may report why.",
        technical_context: "`docker run -e HTTP_PROXY=` overrides what the image and the client's configuration set. Docker copies \
             proxies from the configuration of the client that starts a container, so the same service started by another person may have \
             others. User names and passwords in proxy addresses are never shown.",
        blind_spots: &[
            "Settings inside the application, and a proxy that is chosen by request.",
            "A service that lost its proxy variable altogether is only seen against a baseline.",
            "/etc/resolv.conf and /etc/hosts that were edited before hopwatch first looked, or for less than 5 s; those of containers whose runtime names no \
             copies of them on the host (containerd, CRI); names beyond the first 256 of a file and what stands behind its first 64 KiB, which is \
             reported where it appears while the container runs.",
            "Search domains and options that are changed in the file.",
            "containerd and CRI report no environment here.",
        ],
        assumptions: &["The runtime's inspect can be read."],
        false_positives: &[
            "Services without a proxy whose starter empties the variables of the daemon's configuration.",
            "Tests that talk to servers with certificates of their own.",
            "Programs that add names to /etc/hosts when they start; VPN clients that set their own resolver.",
        ],
        true_positives: &[
            "proxy-switched-off",
            "proxy-removed",
            "resolver-moved",
            "mount-over-hosts",
            "resolver-edited",
        ],
        benign_twins: &["proxy-kept", "proxy-expected", "resolver-expected", "names-by-runtime"],
        priority: "Medium: a setting alone moves no traffic; the path rules report what it does. Critical where it changed in place.",
        response: &[
            "Who started it, and from which machine? Proxy variables come from the client's configuration, too.",
            "Read the setting: `docker inspect -f '{{json .Config.Env}}' NAME` (this shows secrets).",
            "Where a file was edited: `docker exec NAME cat /etc/resolv.conf /etc/hosts`, and which process may write there: `docker top NAME`.",
            "See whether traffic leaves past the proxy: `hopwatch paths`, and alerts of egress-skips-proxy for it.",
            "If it may do without, add it to rules.proxy-settings-changed.allowed, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1562/001/",
            "https://docs.docker.com/engine/cli/proxy/",
            "https://curl.se/docs/manpage.html",
        ],
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testing::workload;
    use crate::inventory::configuration::{Scope, variables};

    fn names(environment: &[&str]) -> Vec<String> {
        let scope = Scope { key: None, service: "web" };
        let environment = variables(scope, environment.iter().copied());
        let configuration = Configuration { environment, ..Configuration::default() };
        signals(&workload("web", 10), &configuration).into_iter().map(|signal| signal.name).collect()
    }

    #[test]
    fn what_switches_the_proxy_off_is_reported() {
        assert_eq!(names(&["HTTP_PROXY=", "https_proxy= "]), ["HTTP_PROXY empty", "https_proxy empty"]);
        assert_eq!(names(&["NO_PROXY=localhost,*"]), ["NO_PROXY covers all"]);
        assert_eq!(names(&["No_Proxy=*"]), ["No_Proxy covers all"], "Python reads it");
        for list in
            ["0.0.0.0/1,128.0.0.0/1", "::/1", "2000::/3", "localhost, 0.0.0.0/2 64.0.0.0/2,128.0.0.0/2,192.0.0.0/3"]
        {
            assert_eq!(names(&[&format!("no_proxy={list}")]), ["no_proxy covers all"], "{list}");
        }
        assert_eq!(names(&["NODE_TLS_REJECT_UNAUTHORIZED=0"]), ["NODE_TLS_REJECT_UNAUTHORIZED off"]);
    }

    #[test]
    fn ordinary_settings_are_not() {
        let ordinary = [
            "HTTP_PROXY=http://u:p@proxy:3128",
            "NO_PROXY=localhost,.internal,10.0.0.0/8,*.example.com",
            "GIT_SSL_NO_VERIFY=0",
            "No_Proxy=128.0.0.0/1,10.0.0.0/8,fc00::/7,::1",
        ];
        assert!(names(&ordinary).is_empty());
        assert!(names(&[]).is_empty());
    }

    #[test]
    fn of_two_with_one_name_the_first_counts() {
        assert!(names(&["HTTP_PROXY=http://proxy:3128", "HTTP_PROXY="]).is_empty());
        assert_eq!(names(&["HTTP_PROXY=", "HTTP_PROXY=http://proxy:3128"]), ["HTTP_PROXY empty"]);
    }
}
