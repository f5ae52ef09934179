//! Which service a container is one of.
//!
//! Contract: containers of one service have one key, across re-creations, replicas and new versions of its image. Limits: every part but
//! the image repository's owner is chosen by the one who starts a container: a label that claims a service is bound to the image
//! repository, which is part of the key, so a container with another image is another service.
//! Design: in this order: a pod's controller, Compose, Swarm, a systemd unit (Quadlet), else the name's pattern.

use std::fmt;

use crate::input::Workload;

/// Hexadecimal digits in a row that are no name, but an id.
const ID_DIGITS: usize = 6;

/// What identifies a service: who manages it, its name there, and its image's repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    name: ServiceName,
    repository: String,
}

/// A service by the one who manages it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceName {
    /// A container of the pods of one controller.
    Pod {
        /// Kubernetes namespace.
        namespace: String,
        /// The controller, by the pattern of its pods' names.
        controller: String,
        /// The container in the pod; `(sandbox)` for the pod itself.
        container: String,
    },
    /// Docker Compose.
    Compose {
        /// Project.
        project: String,
        /// Service in it.
        service: String,
    },
    /// A service of Swarm.
    Swarm(String),
    /// A unit of systemd (Quadlet).
    Unit(String),
    /// No manager: containers whose names have this pattern.
    Name(String),
}

impl ServiceKey {
    /// The service of a workload.
    pub fn of(workload: &Workload) -> Self {
        Self::new(name_of(workload), repository(&workload.image))
    }

    /// A service by its parts.
    pub fn new(name: ServiceName, repository: &str) -> Self {
        Self { name, repository: repository.to_owned() }
    }

    /// The service without its image.
    pub const fn name(&self) -> &ServiceName {
        &self.name
    }

    /// The image's repository, without tag and digest.
    pub fn repository(&self) -> &str {
        &self.repository
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.repository)
    }
}

impl ServiceName {
    /// Whether something beside the name says that containers are one service, and starts new versions of it.
    pub const fn is_managed(&self) -> bool {
        !matches!(self, Self::Name(_))
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { namespace, controller, container } => write!(f, "{namespace}/{controller}/{container}"),
            Self::Compose { project, service } => write!(f, "{project}/{service}"),
            Self::Swarm(name) | Self::Unit(name) | Self::Name(name) => f.write_str(name),
        }
    }
}

fn name_of(workload: &Workload) -> ServiceName {
    let label = |key: &str| workload.labels.get(key).map(String::as_str).filter(|value| !value.is_empty());
    if let Some(pod) = &workload.pod
        && !pod.namespace.is_empty()
    {
        let container = if pod.sandbox { "(sandbox)".to_owned() } else { workload.name.clone() };
        return ServiceName::Pod { namespace: pod.namespace.clone(), controller: pattern(&pod.name), container };
    }
    if let (Some(project), Some(service)) = (workload.compose_project(), workload.compose_service()) {
        return ServiceName::Compose { project: project.to_owned(), service: service.to_owned() };
    }
    if let Some(service) = label("com.docker.swarm.service.name") {
        return ServiceName::Swarm(service.to_owned());
    }
    if let Some(unit) = label("PODMAN_SYSTEMD_UNIT") {
        return ServiceName::Unit(unit.to_owned());
    }
    ServiceName::Name(pattern(&workload.name))
}

/// `registry.example:5000/team/web:1.2@sha256:…` is `registry.example:5000/team/web`; Docker's own registry may be left out, so it is.
/// An image that is named by its id alone is a repository of its own.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    if image.starts_with("sha256:") {
        return image;
    }
    let hub = image.strip_prefix("docker.io/").or_else(|| image.strip_prefix("index.docker.io/"));
    let image = hub.map_or(image, |rest| rest.strip_prefix("library/").unwrap_or(rest));
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

/// A name with its numbers, ids and generated endings as `*`: `web-1`, `web-7f9c4d5b6-x2x9z` are `web-*`.
fn pattern(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split(['-', '_', '.']) {
        let varies = is_generated(part);
        if !(varies && parts.last() == Some(&"*")) {
            parts.push(if varies { "*" } else { part });
        }
    }
    parts.join("-")
}

fn is_generated(part: &str) -> bool {
    let has_digit = part.bytes().any(|byte| byte.is_ascii_digit());
    let is_hex = has_digit && part.len() >= ID_DIGITS && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    // Kubernetes' endings have five characters and no vowel (apimachinery, `util/rand`).
    let is_ending =
        part.len() == 5 && has_digit && part.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte));
    is_hex || is_number || is_ending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ids_and_endings_are_one_pattern() {
        for (name, expected) in [
            ("web-1", "web-*"),
            ("web-12", "web-*"),
            ("web-7f9c4d5b6-x2x9z", "web-*"),
            ("3f2a9c7d1b00_shop", "*-shop"),
            ("web", "web"),
            ("facade", "facade"),
            ("cafe-eins", "cafe-eins"),
        ] {
            assert_eq!(pattern(name), expected, "{name}");
        }
    }

    #[test]
    fn a_repository_has_neither_tag_nor_digest() {
        for (image, expected) in [
            ("nginx", "nginx"),
            ("nginx:1.27", "nginx"),
            ("registry.example:5000/team/web", "registry.example:5000/team/web"),
            ("registry.example:5000/team/web:1.2@sha256:ab", "registry.example:5000/team/web"),
            ("docker.io/library/nginx:1.27", "nginx"),
            ("docker.io/grafana/loki", "grafana/loki"),
            ("sha256:3f2a9c", "sha256:3f2a9c"),
        ] {
            assert_eq!(repository(image), expected, "{image}");
        }
    }
}
