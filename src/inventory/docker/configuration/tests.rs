//! Inspect documents of several versions, and hostile ones.

use super::*;
use crate::input::{Confinement, NamespaceMode, RuntimeId, Setting};
use crate::inventory::configuration::{HashKey, Redaction};
use crate::inventory::docker::convert::describe;

/// As Docker 20.10 writes it for `docker run --privileged …`, shortened to the parts that are read.
const HOSTILE: &str = r#"{"Id":"ab12","Name":"/web","Image":"sha256:11","Path":"/entry.sh","Args":["--token=hunter2","hunter2"],
 "AppArmorProfile":"unconfined","ResolvConfPath":"/var/lib/docker/containers/ab12/resolv.conf","HostsPath":"","State":{"Status":"running","Running":true,"Pid":4711,"StartedAt":"2026-11-29T00:00:00Z"},
 "Config":{"Image":"shop/web:1","User":"root","Env":["HTTP_PROXY=","NO_PROXY=*","DB_PASSWORD=hunter2","https_proxy=http://u:hunter2@proxy:3128"],
  "Labels":{"com.docker.compose.project":"shop","com.docker.compose.service":"web"},
  "Healthcheck":{"Test":["CMD-SHELL","curl -u u:hunter2 http://localhost"]}},
 "HostConfig":{"NetworkMode":"bridge","Privileged":true,"CapAdd":null,"CapDrop":null,"PidMode":"host","IpcMode":"private","UTSMode":"",
  "UsernsMode":"","CgroupnsMode":"host","SecurityOpt":["label=disable"],"MaskedPaths":null,"LogConfig":{"Type":"none","Config":{}},
  "Tmpfs":{"/var/log/":"ro"},"ExtraHosts":["proxy:203.0.113.7"],"Dns":["203.0.113.53"],"Sysctls":{"net.ipv4.ip_forward":"1"},
  "PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}],"81/tcp":[{"HostIp":"127.0.0.1","HostPort":""}]},
  "RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3},"Memory":1048576,"PidsLimit":null,"Runtime":"runc","Fancy":1},
 "Mounts":[{"Type":"bind","Source":"/var/run/docker.sock","Destination":"/var/run/docker.sock","Mode":"","RW":false,"Propagation":"rprivate"},
  {"Type":"volume","Name":"shop_data","Source":"/var/lib/docker/volumes/shop_data/_data","Destination":"/data","RW":true}]}"#;

fn read(text: &str, dialect: Dialect) -> Workload {
    let container: Container = serde_json::from_str(text).expect("an inspect");
    let redaction = Redaction { key: Some(HashKey::new([9; 32])), ..Redaction::default() };
    describe(&container, &RuntimeIdentity { runtime: RuntimeId::DOCKER, dialect, rootless: false, redaction })
}

fn configuration(text: &str) -> Configuration {
    read(text, Dialect::Docker).configuration.expect("a configuration").as_ref().clone()
}

#[test]
fn every_dangerous_setting_of_an_inspect_is_read() {
    let read = configuration(HOSTILE);
    assert!(read.privileged);
    assert_eq!(read.capabilities.as_ref().map(std::collections::BTreeSet::len), Some(41));
    assert_eq!(read.namespaces.pid, NamespaceMode::Host);
    assert_eq!(read.namespaces.ipc, NamespaceMode::Own);
    assert_eq!(read.namespaces.cgroup, NamespaceMode::Host);
    assert_eq!(read.namespaces.user, None);
    assert_eq!((&read.apparmor, &read.selinux), (&Confinement::Unconfined, &Confinement::Unconfined));
    assert_eq!(read.logging.as_ref().map(|logging| logging.driver.as_str()), Some("none"));
    assert_eq!(read.resolver_path.as_deref(), Some("/var/lib/docker/containers/ab12/resolv.conf"));
    assert_eq!(read.hosts_path, None);
    assert_eq!(read.variable("HTTP_PROXY"), Some(&Setting::Clear(String::new())));
    assert_eq!(read.variable("https_proxy"), Some(&Setting::Clear("http://proxy:3128".into())));
    let targets: Vec<&str> = read.mounts.iter().map(|mount| mount.target.as_str()).collect();
    assert_eq!(targets, ["/data", "/var/log", "/var/run/docker.sock"]);
    assert!(read.mounts.iter().all(|mount| mount.writable == (mount.target == "/data")));
    assert_eq!(read.ports.iter().map(String::as_str).collect::<Vec<_>>(), ["*:8080→80/tcp", "127.0.0.1:any→81/tcp"]);
    assert_eq!(
        (read.masked_paths, read.restart.as_deref(), read.limits.memory),
        (Some(false), Some("on-failure:3"), 1_048_576)
    );
    assert_eq!(read.sysctls.and_then(|all| all.get("net.ipv4.ip_forward").cloned()).as_deref(), Some("1"));
}

#[test]
fn no_secret_of_an_inspect_is_kept() {
    let text = serde_json::to_string(&read(HOSTILE, Dialect::Docker)).expect("json");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("--token="), "names of options are kept");
}

#[test]
fn what_is_unknown_or_of_another_kind_is_named_and_loses_nothing_else() {
    let odd = r#"{"Id":"ab12","State":{"Status":"running"},"Config":{"Image":7,"Env":"A=1","New":{}},
     "HostConfig":{"Privileged":"yes","PidMode":"host","LogConfig":7,"Fancy":1}}"#;
    let read = configuration(odd);
    assert_eq!(read.namespaces.pid, NamespaceMode::Host);
    let unread: Vec<&str> = read.unread.iter().map(String::as_str).collect();
    assert_eq!(
        unread,
        ["Config.Env", "Config.New", "HostConfig.Fancy", "HostConfig.LogConfig", "HostConfig.Privileged"]
    );
}

#[test]
fn null_empty_and_absent_are_equal() {
    let with = |host: &str| format!(r#"{{"Id":"ab12","State":{{"Status":"running"}},"HostConfig":{host}}}"#);
    let absent = configuration(&with(r#"{"NetworkMode":"bridge"}"#));
    for host in [
        r#"{"NetworkMode":"bridge","Dns":null,"CapAdd":null,"Sysctls":null,"PidsLimit":null,"ExtraHosts":null,"Tmpfs":null}"#,
        r#"{"NetworkMode":"bridge","Dns":[],"CapAdd":[],"Sysctls":{},"PidsLimit":0,"ExtraHosts":[],"PidMode":"","Devices":[]}"#,
    ] {
        assert_eq!(configuration(&with(host)), absent, "{host}");
    }
}

#[test]
fn podman_names_the_capabilities_itself() {
    let text = r#"{"Id":"ab12","ImageName":"web","BoundingCaps":["CAP_CHOWN","CAP_NET_ADMIN"],"State":{"Status":"running"},"HostConfig":{}}"#;
    let read = read(text, Dialect::Podman).configuration.expect("a configuration");
    assert_eq!(read.capabilities.as_ref().map(std::collections::BTreeSet::len), Some(2));
    assert_eq!(read.sysctls, None, "Podman's inspect does not say them");
}

#[test]
fn groups_bounds_and_the_resolvers_settings_are_read_alike_of_docker_and_podman() {
    let docker = r#"{"Id":"ab12","HostConfig":{"Dns":["203.0.113.53"],"DnsSearch":["corp.example"],"DnsOptions":["ndots:2","edns0"],
        "GroupAdd":["adm","docker"],"Ulimits":[{"Name":"nofile","Hard":2048,"Soft":1024},{"Name":"core","Hard":-1,"Soft":0}]}}"#;
    let podman = docker.replace(r#""nofile""#, r#""RLIMIT_NOFILE""#).replace(r#""core""#, r#""RLIMIT_CORE""#);
    let podman = podman.replace("-1", "18446744073709551615");
    for (text, dialect) in [(docker, Dialect::Docker), (&podman, Dialect::Podman)] {
        let read = read(text, dialect).configuration.expect("a configuration");
        assert_eq!(read.dns_search, ["corp.example"]);
        assert_eq!(read.dns_options.iter().map(String::as_str).collect::<Vec<_>>(), ["edns0", "ndots:2"]);
        assert_eq!(read.extra_groups.iter().map(String::as_str).collect::<Vec<_>>(), ["adm", "docker"]);
        let bounds: Vec<_> = read.ulimits.iter().map(|(name, bound)| (name.as_str(), bound.as_str())).collect();
        assert_eq!(bounds, [("core", "0:-1"), ("nofile", "1024:2048")], "{dialect:?}");
        assert!(read.unread.is_empty(), "{:?}", read.unread);
    }
}

#[test]
fn settings_of_another_kind_are_named_and_nothing_else_is_lost() {
    let read = configuration(
        r#"{"Id":"ab12","HostConfig":{"GroupAdd":"adm","Ulimits":{"nofile":1},"DnsSearch":["corp.example"]}}"#,
    );
    assert_eq!(read.dns_search, ["corp.example"]);
    assert_eq!(
        read.unread.iter().map(String::as_str).collect::<Vec<_>>(),
        ["HostConfig.GroupAdd", "HostConfig.Ulimits"]
    );
}
