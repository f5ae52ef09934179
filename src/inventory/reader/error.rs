//! Why a runtime cannot be read over its socket, and what to do about it.
//!
//! Contract: absent, forbidden, dead and not what was expected are told apart; each message says the next step. Design: the
//! socket is opened with a plain connect, because the layers above hide the reason.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tonic::{Code, Status};

/// Why the runtime could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// Not a unix socket address.
    #[error("the address {address:?} is not a unix socket; write it like unix:///run/containerd/containerd.sock")]
    Address {
        /// What was given.
        address: String,
    },
    /// There is no such file.
    #[error("no socket at {path}; start the runtime, or name its socket")]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The socket may not be opened.
    #[error("no permission to open the socket {path}; run as root or as a member of the group that owns it")]
    Denied {
        /// Which.
        path: PathBuf,
    },
    /// The socket is there, but nobody listens.
    #[error("nobody listens on the socket {path}; start the runtime")]
    Refused {
        /// Which.
        path: PathBuf,
    },
    /// The socket cannot be used for another reason.
    #[error("cannot open the socket {path}; check that it is a socket: {source}")]
    Socket {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// What answers does not speak the interface.
    #[error("what answers at {path} does not speak {interface}; check which service owns the socket: {reason}")]
    Stranger {
        /// Where.
        path: PathBuf,
        /// What was expected.
        interface: &'static str,
        /// What was wrong with the answer.
        reason: String,
    },
    /// A request failed.
    #[error("the runtime did not answer {request}; it will be asked again: {reason}")]
    Request {
        /// Which.
        request: &'static str,
        /// What was wrong.
        reason: String,
    },
    /// The event stream ended.
    #[error("the event stream was cut; it will be opened again: {reason}")]
    Cut {
        /// What was seen of it.
        reason: String,
    },
}

impl ReaderError {
    pub(super) fn opening(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::NotFound => Self::Absent { path },
            ErrorKind::PermissionDenied => Self::Denied { path },
            ErrorKind::ConnectionRefused => Self::Refused { path },
            _ => Self::Socket { path, source },
        }
    }

    /// The first question went wrong: a runtime that is only slow, or no such runtime at all.
    pub(crate) fn greeting(path: &Path, interface: &'static str, status: &Status) -> Self {
        if status.code() == Code::DeadlineExceeded {
            return Self::request("what version it is", status);
        }
        Self::Stranger { path: path.to_owned(), interface, reason: reason(status) }
    }

    pub(crate) fn request(request: &'static str, status: &Status) -> Self {
        Self::Request { request, reason: reason(status) }
    }

    pub(crate) fn cut(status: &Status) -> Self {
        Self::Cut { reason: reason(status) }
    }
}

/// At most so much of what the other side says.
const MAX_REASON: usize = 500;

/// A status and its causes on one line, bounded.
fn reason(status: &Status) -> String {
    let text = with_causes(format!("{:?}: {}", status.code(), status.message()), status);
    text.chars().take(MAX_REASON).collect()
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    with_causes(error.to_string(), error)
}

/// Appends each cause that the text does not contain yet.
fn with_causes(mut text: String, error: &dyn std::error::Error) -> String {
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
