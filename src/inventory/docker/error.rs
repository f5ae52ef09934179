//! Why the Docker socket cannot be read, and what to do about it.
//!
//! Contract: absent, forbidden, dead, not Docker and too old are told apart; each message says the next step. Design: the
//! socket is tried first with a plain connect, because the HTTP client hides the reason.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Why the runtime could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// Not a unix socket address.
    #[error("docker host {host:?} is not a unix socket; write it like unix:///var/run/docker.sock")]
    Host {
        /// What was given.
        host: String,
    },
    /// There is no such file.
    #[error(
        "no docker socket at {path}; start the daemon, or name its socket with DOCKER_HOST or runtime.docker.socket"
    )]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The socket may not be opened.
    #[error("no permission to open the docker socket {path}; run as root or as a member of the group that owns it")]
    Denied {
        /// Which.
        path: PathBuf,
    },
    /// The socket is there, but nobody listens.
    #[error("nobody listens on the docker socket {path}; start the daemon")]
    Refused {
        /// Which.
        path: PathBuf,
    },
    /// The socket cannot be used for another reason.
    #[error("cannot open the docker socket {path}; check that it is a socket: {source}")]
    Socket {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Whoever answers does not speak the Docker API.
    #[error("what answers at {path} is not a docker api; check which service owns the socket: {reason}")]
    NotDocker {
        /// Where.
        path: PathBuf,
        /// What was wrong with the answer.
        reason: String,
    },
    /// The daemon is too old.
    #[error("the daemon at {path} speaks docker api {version}, and 1.41 is needed; update it to docker 20.10 or later")]
    TooOld {
        /// Where.
        path: PathBuf,
        /// What it speaks.
        version: String,
    },
    /// A request failed.
    #[error("docker did not answer {request}; it will be asked again: {reason}")]
    Request {
        /// Which.
        request: &'static str,
        /// What was wrong.
        reason: String,
    },
    /// The event stream ended.
    #[error("the docker event stream was cut; it will be opened again: {reason}")]
    Cut {
        /// What was seen of it.
        reason: String,
    },
}

impl DockerError {
    pub(super) fn opening(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::NotFound => Self::Absent { path },
            ErrorKind::PermissionDenied => Self::Denied { path },
            ErrorKind::ConnectionRefused => Self::Refused { path },
            _ => Self::Socket { path, source },
        }
    }

    pub(super) fn request(request: &'static str, error: &bollard::errors::Error) -> Self {
        Self::Request { request, reason: chain(error) }
    }
}

/// An error and its causes on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
