//! Why a runtime cannot be read over its socket, and what to do about it.
//!
//! Contract: absent, forbidden, dead, another service and too old are distinguished; each message says the next step, and what reports it names the
//! runtime. Limits: what a runtime itself says is cut to [`MAX_REASON`] characters. Design: one error for all readers; the socket is
//! opened with a plain connect, because the layers above hide the reason.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tonic::{Code, Status};

/// At most so much of what the other side says.
const MAX_REASON: usize = 500;

/// Why the runtime could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// Not a unix socket address.
    #[error("the address {address:?} is not a unix socket; write it like unix:///var/run/docker.sock")]
    Address {
        /// What was given.
        address: String,
    },
    /// There is no such file.
    #[error("no socket at {path}; start the runtime, or name its socket under `runtime` in the configuration")]
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
    /// The socket is there, but no process listens.
    #[error("no process listens on the socket {path}; start the runtime")]
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
    /// It lies in a user's folder, and another user serves it.
    #[error("the socket {path} is not served by the user whose it should be; it is not read")]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// What answers does not speak the interface.
    #[error("what answers at {path} does not speak {interface}; check which service owns the socket: {reason}")]
    NotSpoken {
        /// Where.
        path: PathBuf,
        /// What was expected.
        interface: &'static str,
        /// What was wrong with the answer.
        reason: String,
    },
    /// The runtime is too old.
    #[error("the runtime at {path} speaks {version}; {needed} is needed: update it")]
    TooOld {
        /// Where.
        path: PathBuf,
        /// What it speaks.
        version: String,
        /// What is needed.
        needed: &'static str,
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
    pub(crate) fn opening(path: &Path, source: std::io::Error) -> Self {
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
        Self::not_spoken(path, interface, status)
    }

    /// Another service answers.
    pub(crate) fn not_spoken(path: &Path, interface: &'static str, reason: impl Into<Reason>) -> Self {
        Self::NotSpoken { path: path.to_owned(), interface, reason: reason.into().0 }
    }

    pub(crate) fn request(request: &'static str, reason: impl Into<Reason>) -> Self {
        Self::Request { request, reason: reason.into().0 }
    }

    pub(crate) fn cut(reason: impl Into<Reason>) -> Self {
        Self::Cut { reason: reason.into().0 }
    }
}

/// What went wrong and its causes on one line, bounded.
pub(crate) struct Reason(String);

impl Reason {
    /// Cuts it to its bound.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.chars().take(MAX_REASON).collect())
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<&Status> for Reason {
    fn from(status: &Status) -> Self {
        Self::new(&with_causes(format!("{:?}: {}", status.code(), status.message()), status))
    }
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
