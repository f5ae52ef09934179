//! Which control API a request's path belongs to.
//!
//! Contract: pure; a path that ordinary services have too is none. Sources: the Docker Engine API's, the kubelet's, etcd's and Kubernetes' own references.

/// A control API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Docker,
    Kubelet,
    Etcd,
    Kubernetes,
}

impl Api {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "Docker",
            Self::Kubelet => "kubelet",
            Self::Etcd => "etcd",
            Self::Kubernetes => "Kubernetes",
        }
    }
}

/// What Docker's API has behind its version.
const DOCKER: [&str; 16] = [
    "_ping",
    "auth",
    "build",
    "commit",
    "containers",
    "events",
    "exec",
    "images",
    "info",
    "networks",
    "plugins",
    "secrets",
    "services",
    "swarm",
    "version",
    "volumes",
];
/// What says Docker without a version.
const DOCKER_BARE: [&str; 6] =
    ["/_ping", "/containers/json", "/containers/create", "/images/json", "/images/create", "/libpod/_ping"];
/// What Kubernetes has behind `/api/v1/`; others have that prefix, too.
const KUBERNETES: [&str; 8] =
    ["configmaps", "endpoints", "namespaces", "nodes", "persistentvolumes", "pods", "secrets", "serviceaccounts"];

/// The API that a path belongs to; the port decides for paths that others have, too.
pub(super) fn api_of(path: &str, port: u16) -> Option<Api> {
    let begins = |prefix: &str| path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
    if is_versioned_docker(path) || DOCKER_BARE.contains(&path) || (begins("/exec") && path.ends_with("/start")) {
        return Some(Api::Docker);
    }
    if begins("/v2/keys") || ["/v3/kv/range", "/v3/kv/put", "/v3beta/kv/range"].contains(&path) {
        return Some(Api::Etcd);
    }
    let is_kubelet_port = matches!(port, 10_250 | 10_255);
    if begins("/runningpods")
        || is_kubelet_port && ["/pods", "/run", "/exec", "/attach", "/containerLogs"].into_iter().any(begins)
    {
        return Some(Api::Kubelet);
    }
    let kubernetes = path.strip_prefix("/api/v1/").map(first);
    kubernetes.filter(|first| KUBERNETES.contains(first)).map(|_| Api::Kubernetes)
}

fn first(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

/// `/v1.43/containers/json`, Podman's `/v4.0.0/libpod/…` too.
fn is_versioned_docker(path: &str) -> bool {
    let Some((version, rest)) = path.strip_prefix("/v").and_then(|rest| rest.split_once('/')) else { return false };
    let is_version = version.contains('.') && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_version && (DOCKER.contains(&first(rest)) || first(rest) == "libpod")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_control_apis_are_known_and_those_of_others_are_not() {
        for (path, port, api) in [
            ("/v1.43/containers/json", 80, Some(Api::Docker)),
            ("/v1.24/exec/0123/start", 2375, Some(Api::Docker)),
            ("/v4.0.0/libpod/containers/json", 80, Some(Api::Docker)),
            ("/_ping", 80, Some(Api::Docker)),
            ("/containers/json", 9000, Some(Api::Docker)),
            ("/exec/0123/start", 9000, Some(Api::Docker)),
            ("/v2/keys/secrets", 2379, Some(Api::Etcd)),
            ("/v3/kv/range", 2379, Some(Api::Etcd)),
            ("/runningpods/", 8080, Some(Api::Kubelet)),
            ("/pods", 10_250, Some(Api::Kubelet)),
            ("/exec/ns/pod/c", 10_250, Some(Api::Kubelet)),
            ("/api/v1/namespaces/default/secrets", 8001, Some(Api::Kubernetes)),
            ("/pods", 80, None),
            ("/api/v1/query", 9090, None),
            ("/api/v1/podsnapshots", 80, None),
            ("/v1/containers/json", 80, None),
            ("/v1.2/users", 80, None),
            ("/v2/library/nginx/manifests/latest", 5000, None),
            ("/version", 80, None),
            ("/", 2375, None),
        ] {
            assert_eq!(api_of(path, port), api, "{path} {port}");
        }
    }
}
