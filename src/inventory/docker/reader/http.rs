//! HTTP over a unix socket, as far as asking needs it: GET, one answer or a stream of lines.
//!
//! Contract: nothing but GET can be sent, so a runtime is only ever read. An answer comes whole within [`TIMEOUT`] and
//! its bound of bytes, or it is an error; so does the head of a stream. Limits: [`MAX_LINE`] bytes per line of a stream,
//! [`MAX_HEAD`] bytes of headers. Design: a connection for each question; unix sockets are cheap, and none is left half read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::inventory::reader::{Reason, chain};

/// For one answer. A daemon that needs longer is as good as gone; the event stream has no such bound once it is open.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of a list: ten thousand containers with their labels are about a third of it.
pub(super) const MAX_LIST: usize = 64 * 1024 * 1024;
/// Of one thing; an inspect is some kilobytes, and many are read at once.
pub(super) const MAX_ONE: usize = 4 * 1024 * 1024;
/// An event carries the labels of its container; a longer one is skipped.
const MAX_LINE: usize = 1024 * 1024;
/// A line that does not end within this ends the stream.
const MAX_SKIPPED: usize = 64 * 1024 * 1024;
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// Of an error's text.
const MAX_REASON: usize = 200;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error(transparent)]
    Open(std::io::Error),
    #[error("another user serves the socket")]
    Foreign,
    #[error("it is not http: {0}")]
    NotHttp(String),
    #[error("status {code}: {reason}")]
    Status { code: u16, reason: String },
    #[error("no answer within {} seconds", TIMEOUT.as_secs())]
    Slow,
    #[error("an answer larger than {} MiB", .0 / 1024 / 1024)]
    TooLarge(usize),
    #[error("a line longer than {} KiB", MAX_SKIPPED / 1024)]
    LongLine,
    #[error("the answer is not what was asked for: {0}")]
    NotJson(serde_json::Error),
}

impl HttpError {
    /// Whether the daemon says that there is no such thing.
    pub(super) const fn is_gone(&self) -> bool {
        matches!(self, Self::Status { code: 404, .. })
    }
}

impl From<&HttpError> for Reason {
    fn from(error: &HttpError) -> Self {
        Self::new(&chain(error))
    }
}

/// Where to ask.
#[derive(Clone, Debug)]
pub(super) struct Http {
    path: PathBuf,
    user: Option<u32>,
}

/// The driver of a connection; ends with its owner.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Http {
    /// Asks at a socket; with `user`, only if that user serves it.
    pub(super) fn new(path: &Path, user: Option<u32>) -> Self {
        Self { path: path.to_owned(), user }
    }

    /// The user who serves the socket, as the kernel knows it (`SO_PEERCRED`, unix(7)).
    pub(super) async fn owner(&self) -> Result<Option<u32>, HttpError> {
        let stream = within(self.connect()).await?;
        Ok(stream.peer_cred().ok().map(|peer| peer.uid()))
    }

    async fn connect(&self) -> Result<UnixStream, HttpError> {
        let stream = UnixStream::connect(&self.path).await.map_err(HttpError::Open)?;
        let serves = |user: u32| stream.peer_cred().is_ok_and(|peer| peer.uid() == user);
        if self.user.is_none_or(serves) { Ok(stream) } else { Err(HttpError::Foreign) }
    }

    /// One whole answer of so many bytes at most, read as JSON.
    pub(super) async fn get<T: serde::de::DeserializeOwned>(&self, target: &str, most: usize) -> Result<T, HttpError> {
        let bytes = within(async {
            let (response, _driver) = self.ask(target).await?;
            collect(response.into_body(), most).await
        });
        serde_json::from_slice(&bytes.await?).map_err(HttpError::NotJson)
    }

    /// A stream of lines that goes on until one of both ends it.
    pub(super) async fn lines(&self, target: &str) -> Result<Lines, HttpError> {
        let (response, driver) = within(self.ask(target)).await?;
        Ok(Lines {
            body: response.into_body(),
            rest: Vec::new(),
            searched: 0,
            skipping: 0,
            skipped: 0,
            _driver: driver,
        })
    }

    async fn ask(&self, target: &str) -> Result<(Response<Incoming>, Driver), HttpError> {
        let stream = self.connect().await?;
        let not_http = |error: &hyper::Error| HttpError::NotHttp(chain(error));
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| not_http(&error))?;
        // How a connection ended is reported by its answer.
        let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
        let request = Request::builder()
            .method(Method::GET)
            .uri(target)
            .header("host", "runtime")
            .body(Empty::<Bytes>::new())
            .map_err(|error| HttpError::NotHttp(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(|error| not_http(&error))?;
        if response.status().is_success() {
            return Ok((response, driver));
        }
        let code = response.status().as_u16();
        let text = collect(response.into_body(), MAX_LINE).await.unwrap_or_default();
        Err(HttpError::Status { code, reason: reason(&text) })
    }
}

async fn within<T>(answer: impl Future<Output = Result<T, HttpError>>) -> Result<T, HttpError> {
    timeout(TIMEOUT, answer).await.unwrap_or(Err(HttpError::Slow))
}

async fn collect(mut body: Incoming, most: usize) -> Result<Vec<u8>, HttpError> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| HttpError::NotHttp(chain(&error)))?;
        let Some(data) = frame.data_ref() else { continue };
        if data.len() > most.saturating_sub(all.len()) {
            return Err(HttpError::TooLarge(most));
        }
        all.extend_from_slice(data);
    }
    Ok(all)
}

/// What an error says: its `message`, as Docker and Podman write it, or the beginning of the text.
fn reason(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Reported {
        message: String,
    }
    let reported = serde_json::from_slice(body).map(|reported: Reported| reported.message);
    let text = reported.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    text.trim().chars().take(MAX_REASON).collect()
}

/// Lines of an open answer.
#[derive(Debug)]
pub(super) struct Lines {
    body: Incoming,
    rest: Vec<u8>,
    /// So much of `rest` holds no line break.
    searched: usize,
    /// So much of a line that is too long was left out already.
    skipping: usize,
    /// Lines that were too long, since this was last asked for.
    skipped: u64,
    _driver: Driver,
}

impl Lines {
    /// The next line that is not blank; `None` at the end. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        loop {
            while let Some(line) = self.cut() {
                if std::mem::take(&mut self.skipping) > 0 || line.len() > MAX_LINE {
                    self.skipped += 1;
                } else if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
            }
            if self.rest.len() > MAX_LINE {
                self.skipping += self.rest.len();
                (self.rest, self.searched) = (Vec::new(), 0);
            }
            if self.skipping > MAX_SKIPPED {
                return Err(HttpError::LongLine);
            }
            if self.skipped > 0 {
                return Ok(Some(Vec::new()));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| HttpError::NotHttp(chain(&error)))?;
            self.rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..]));
        }
    }

    /// Lines that were left out since the last call. After one [`Self::next`] returns an empty line, so that somebody asks.
    pub(super) fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }

    fn cut(&mut self) -> Option<Vec<u8>> {
        let Some(end) = self.rest[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.rest.len();
            return None;
        };
        let rest = self.rest.split_off(self.searched + end + 1);
        self.searched = 0;
        Some(std::mem::replace(&mut self.rest, rest))
    }
}
