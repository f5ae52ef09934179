//! A root folder of its own, with sockets where daemons put them.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

struct Host {
    folder: tempfile::TempDir,
    discovery: Discovery,
    listeners: Vec<UnixListener>,
}

impl Host {
    fn new(environment: &[(&str, &str)], sought: Sought) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let places = Places { root: folder.path().to_owned(), environment };
        Self { folder, discovery: Discovery::new(sought, places), listeners: Vec::new() }
    }

    fn path(&self, path: &str) -> PathBuf {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        path
    }

    fn listen(&mut self, path: &str) {
        self.listeners.push(UnixListener::bind(self.path(path)).expect("socket"));
    }

    /// `NAME KIND PATH`, a star for configured ones.
    fn look(&mut self) -> Vec<String> {
        let root = format!("{}/", self.folder.path().display());
        let one = |runtime: Runtime| {
            let star = if runtime.configured { "*" } else { "" };
            format!("{} {:?} {}{star}", runtime.name, runtime.kind(), runtime.host.replace(&root, ""))
        };
        self.discovery.look().into_iter().map(one).collect()
    }
}

fn everything() -> Sought {
    Sought { discover: true, ..Sought::default() }
}

/// As the name of a runtime of the user who runs the tests ends.
fn me() -> String {
    match nix::unistd::geteuid().as_raw() {
        0 => String::new(),
        user => format!("-{user}"),
    }
}

#[test]
fn the_usual_paths_are_found_as_sockets_appear_and_only_then() {
    let mut host = Host::new(&[], everything());
    assert!(host.look().is_empty());
    host.listen("var/run/docker.sock");
    host.listen("run/podman/podman.sock");
    std::fs::write(host.path("run/crio/crio.sock"), "").expect("a file is no socket");
    let me = me();
    assert_eq!(
        host.look(),
        [format!("docker{me} Docker var/run/docker.sock"), format!("podman{me} Podman run/podman/podman.sock")]
    );
    host.listen("run/containerd/containerd.sock");
    let found = host.look();
    assert_eq!(found.len(), 4, "one socket, two apis: {found:?}");
    let containerd = host.discovery.look().into_iter().find(|runtime| runtime.kind() == RuntimeKind::Containerd);
    let others = containerd.expect("containerd").others;
    assert!(others.contains(&"k8s.io") && (others.contains(&"moby") == me.is_empty()), "{others:?}");
}

#[test]
fn one_daemon_behind_two_paths_is_read_once_and_as_what_it_is() {
    let mut host = Host::new(&[], everything());
    host.listen("run/podman/podman.sock");
    symlink(host.path("run/podman/podman.sock"), host.path("var/run/docker.sock")).expect("link");
    assert_eq!(host.look(), [format!("podman{} Podman var/run/docker.sock", me())]);
}

#[test]
fn variables_and_configuration_are_missed_when_absent_and_go_before_the_usual_path() {
    let mut host = Host::new(
        &[("DOCKER_HOST", "unix:///nowhere/docker.sock"), ("CONTAINER_HOST", "ssh://far/away")],
        everything(),
    );
    host.listen("var/run/docker.sock");
    assert_eq!(host.look(), ["docker Docker unix:///nowhere/docker.sock*", "podman Podman ssh://far/away*"]);

    let sockets = BTreeMap::from([(RuntimeKind::Podman, vec!["/a/p.sock".to_owned(), "/b/p.sock".to_owned()])]);
    let mut host = Host::new(&[("DOCKER_HOST", "unix:///x.sock")], Sought { discover: false, sockets });
    host.listen("var/run/docker.sock");
    let expected = ["podman Podman /a/p.sock*", "podman.2 Podman /b/p.sock*"];
    assert_eq!(host.look(), expected, "only what is configured");
    assert_eq!(host.look(), expected, "names stay");
}

#[test]
fn a_users_socket_counts_only_as_that_users_own() {
    let user = nix::unistd::geteuid().as_raw();
    let mut host = Host::new(&[], everything());
    host.listen(&format!("run/user/{user}/podman/podman.sock"));
    // Somebody else's folder that leads to it, and one that holds a socket of another owner.
    symlink(host.path(&format!("run/user/{user}/podman/podman.sock")), host.path("run/user/4243/docker.sock"))
        .expect("link");
    host.listen("run/user/4244/docker.sock");
    std::fs::create_dir_all(host.path("run/user/not-a-number/x")).expect("folder");
    assert_eq!(host.look(), [format!("podman{} Podman run/user/{user}/podman/podman.sock", me())]);
    assert_eq!(host.discovery.look()[0].user, Some(user));
}

#[test]
fn the_number_of_runtimes_is_bounded() {
    let sockets = BTreeMap::from([(RuntimeKind::Docker, (0..100).map(|number| format!("/{number}.sock")).collect())]);
    let mut host = Host::new(&[], Sought { discover: false, sockets });
    let found = host.look();
    assert_eq!((found.len(), found[0].as_str()), (MAX_RUNTIMES, "docker Docker /0.sock*"));
    assert_eq!(host.look(), found);
}
