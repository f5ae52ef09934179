//! Why a runtime's socket cannot be read, and what to do about it.
//!
//! Contract: absent, forbidden, dead, not Docker's API and too old are told apart; each message names the runtime and says
//! the next step. Limits: what a runtime itself says is cut to a line. Design: the socket is tried first with a plain
//! connect, because an HTTP client hides the reason.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::http::HttpError;
use crate::input::RuntimeId;
use crate::inventory::reader::chain;

/// Why the runtime could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// Not a unix socket address.
    #[error("{runtime} host {host:?} is not a unix socket; write it like unix:///var/run/docker.sock")]
    Host {
        /// Which runtime.
        runtime: RuntimeId,
        /// What was given.
        host: String,
    },
    /// There is no such file.
    #[error("no {runtime} socket at {path}; start the daemon, or name its socket under `runtime` in the configuration")]
    Absent {
        /// Which runtime.
        runtime: RuntimeId,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The socket may not be opened.
    #[error("no permission to open the {runtime} socket {path}; run as root or as a member of the group that owns it")]
    Denied {
        /// Which runtime.
        runtime: RuntimeId,
        /// Which.
        path: PathBuf,
    },
    /// The socket is there, but nobody listens.
    #[error("nobody listens on the {runtime} socket {path}; start the daemon")]
    Refused {
        /// Which runtime.
        runtime: RuntimeId,
        /// Which.
        path: PathBuf,
    },
    /// The socket cannot be used for another reason.
    #[error("cannot open the {runtime} socket {path}; check that it is a socket: {source}")]
    Socket {
        /// Which runtime.
        runtime: RuntimeId,
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It lies in a user's folder, and another user serves it.
    #[error("the {runtime} socket {path} is not served by the user whose it should be; it is not asked")]
    Foreign {
        /// Which runtime.
        runtime: RuntimeId,
        /// Which.
        path: PathBuf,
    },
    /// What answers does not speak the Docker API.
    #[error("what answers {runtime} at {path} is not a docker api; check which service owns the socket: {reason}")]
    NotDocker {
        /// Which runtime.
        runtime: RuntimeId,
        /// Where.
        path: PathBuf,
        /// What was wrong with the answer.
        reason: String,
    },
    /// The daemon is too old.
    #[error("{runtime} at {path} speaks {version}; docker 20.10 (api 1.41) or podman 4.0 is needed: update it")]
    TooOld {
        /// Which runtime.
        runtime: RuntimeId,
        /// Where.
        path: PathBuf,
        /// What it speaks.
        version: String,
    },
    /// A request failed.
    #[error("{runtime} did not answer {request}; it will be asked again: {reason}")]
    Request {
        /// Which runtime.
        runtime: RuntimeId,
        /// Which.
        request: &'static str,
        /// What was wrong.
        reason: String,
    },
    /// The event stream ended.
    #[error("the {runtime} event stream was cut; it will be opened again: {reason}")]
    Cut {
        /// Which runtime.
        runtime: RuntimeId,
        /// What was seen of it.
        reason: String,
    },
}

impl DockerError {
    /// The first question failed.
    pub(super) fn opening(runtime: &RuntimeId, path: &Path, error: HttpError) -> Self {
        let (runtime, path) = (*runtime, path.to_owned());
        match error {
            HttpError::Open(source) => match source.kind() {
                ErrorKind::NotFound => Self::Absent { runtime, path },
                ErrorKind::PermissionDenied => Self::Denied { runtime, path },
                ErrorKind::ConnectionRefused => Self::Refused { runtime, path },
                _ => Self::Socket { runtime, path, source },
            },
            HttpError::Foreign => Self::Foreign { runtime, path },
            error => Self::NotDocker { runtime, path, reason: chain(&error) },
        }
    }

    pub(super) fn request(runtime: &RuntimeId, request: &'static str, error: &HttpError) -> Self {
        Self::Request { runtime: *runtime, request, reason: chain(error) }
    }

    pub(super) fn cut(runtime: &RuntimeId, reason: impl Into<String>) -> Self {
        Self::Cut { runtime: *runtime, reason: reason.into() }
    }
}
