//! The client that may change something: a closed list of requests to a runtime's unix socket.
//!
//! Contract: what [`is_listed`] does not list is never sent: no `exec`, no `create` of a container, no pull. An answer comes whole within [`ANSWER`] (or what the call itself needs) and its bound
//! of bytes, or it is an error. Limits: Docker API 1.41 to 1.52, Podman's same one. Design: blocking, a connection for each request; the client of the
//! observing process (`src/inventory/docker/http.rs`) is another one, which sends nothing but GET.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::respond::{Call, QUARANTINE};

/// For one answer.
const ANSWER: Duration = Duration::from_mins(1);
/// Of one thing or a list.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Of an error's text.
const MAX_REASON: usize = 300;
/// What this client knows; a newer daemon is asked in its words.
const MAX_API: (u32, u32) = (1, 52);
const MIN_API: (u32, u32) = (1, 41);

/// Why a request did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The socket.
    #[error("cannot reach the runtime at {}: {source}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Somebody else listens there.
    #[error("another user serves the socket {}", .0.display())]
    Foreign(PathBuf),
    /// No HTTP.
    #[error("the runtime's answer is not understood: {0}")]
    NotUnderstood(String),
    /// It refuses.
    #[error("the runtime answers {code}: {reason}")]
    Status {
        /// HTTP status.
        code: u16,
        /// Its text.
        reason: String,
    },
    /// It is silent.
    #[error("the runtime does not answer within {} s", .0.as_secs())]
    Slow(Duration),
    /// Not a request that this program makes.
    #[error("{method} {path} is none of the requests that a response may send")]
    NotListed {
        /// Method.
        method: String,
        /// Path.
        path: String,
    },
    /// It is too old.
    #[error("the runtime's api {0} is too old: docker 20.10 (api 1.41) or podman 4.0 is needed")]
    TooOld(String),
}

impl CallError {
    /// Whether the runtime says that there is no such thing.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Status { code: 404, .. })
    }

    /// Whether the runtime answered at all.
    pub const fn is_answer(&self) -> bool {
        matches!(self, Self::Status { .. })
    }
}

/// A connection to be, to one runtime.
#[derive(Debug)]
pub struct RuntimeClient {
    path: PathBuf,
    user: Option<u32>,
    api: String,
    tokio: tokio::runtime::Runtime,
}

impl RuntimeClient {
    /// Finds out who answers at a socket; with `user`, only if that user serves it.
    pub fn open(host: &str, user: Option<u32>) -> Result<Self, CallError> {
        let path = PathBuf::from(host.strip_prefix("unix://").unwrap_or(host));
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let tokio = tokio.map_err(|source| CallError::Open { path: path.clone(), source })?;
        let mut client = Self { path, user, api: String::new(), tokio };
        let version = client.get("/version")?;
        let text = version["ApiVersion"].as_str().unwrap_or_default().to_owned();
        let api = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) = api.filter(|api| *api >= MIN_API).ok_or(CallError::TooOld(text))?.min(MAX_API);
        client.api = format!("v{major}.{minor}");
        Ok(client)
    }

    /// The version that stands in its paths.
    pub fn api(&self) -> &str {
        &self.api
    }

    /// One answer, as JSON.
    pub fn get(&self, path: &str) -> Result<Value, CallError> {
        let bytes = self.exchange("GET", path, None, ANSWER)?;
        serde_json::from_slice(&bytes).map_err(|error| CallError::NotUnderstood(error.to_string()))
    }

    /// Sends a request that changes something.
    pub fn send(&self, call: &Call) -> Result<Vec<u8>, CallError> {
        self.exchange(call.method, &call.path, call.body.as_ref(), ANSWER)
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        patience: Duration,
    ) -> Result<Vec<u8>, CallError> {
        if !is_listed(method, path) {
            return Err(CallError::NotListed { method: method.to_owned(), path: path.to_owned() });
        }
        let target = if self.api.is_empty() { path.to_owned() } else { format!("/{}{path}", self.api) };
        let answer = async {
            let asked = timeout(patience, self.ask(method, &target, body)).await;
            asked.unwrap_or(Err(CallError::Slow(patience)))
        };
        self.tokio.block_on(answer)
    }

    async fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> Result<Vec<u8>, CallError> {
        let open = |source| CallError::Open { path: self.path.clone(), source };
        let stream = UnixStream::connect(&self.path).await.map_err(open)?;
        let serves = |user: u32| stream.peer_cred().is_ok_and(|peer| peer.uid() == user);
        if !self.user.is_none_or(serves) {
            return Err(CallError::Foreign(self.path.clone()));
        }
        let not_http = |error: hyper::Error| CallError::NotUnderstood(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(not_http)?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let method =
            Method::from_bytes(method.as_bytes()).map_err(|error| CallError::NotUnderstood(error.to_string()))?;
        let request = Request::builder().method(method).uri(target).header("host", "runtime");
        let request = request.header("content-type", "application/json").body(Full::new(bytes));
        let request = request.map_err(|error| CallError::NotUnderstood(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(not_http)?;
        let status = response.status();
        let text = collect(response.into_body()).await;
        driver.abort();
        // 304: it is so already; who asked looks at the container anyway.
        if status.is_success() || status.as_u16() == 304 {
            return text;
        }
        Err(CallError::Status { code: status.as_u16(), reason: reason(&text.unwrap_or_default()) })
    }
}

async fn collect(mut body: Incoming) -> Result<Vec<u8>, CallError> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| CallError::NotUnderstood(error.to_string()))?;
        let Some(data) = frame.data_ref() else { continue };
        if data.len() > MAX_ANSWER - all.len() {
            return Err(CallError::NotUnderstood(format!("it is larger than {} MiB", MAX_ANSWER >> 20)));
        }
        all.extend_from_slice(data);
    }
    Ok(all)
}

/// What an error says: its `message`, or the beginning of the text.
fn reason(body: &[u8]) -> String {
    let reported = serde_json::from_slice::<Value>(body).ok();
    let message = reported.as_ref().and_then(|value| value["message"].as_str()).map(str::to_owned);
    let text = message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    text.trim().chars().take(MAX_REASON).collect()
}

/// The closed list.
fn is_listed(method: &str, path: &str) -> bool {
    let path = Path::new(path.split('?').next().unwrap_or_default());
    let parts: Vec<_> = path.iter().skip(1).filter_map(|part| part.to_str()).collect();
    let hex = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match (method, parts.as_slice()) {
        ("GET", ["version" | "networks"] | ["containers", "json"])
        | ("POST", ["networks", "create"] | ["commit"] | ["networks", QUARANTINE, "connect" | "disconnect"]) => true,
        ("GET", ["images", id, "json"]) => hex(id.trim_start_matches("sha256:")),
        ("GET", ["containers", id, "json" | "logs" | "changes"])
        | (
            "POST",
            ["containers", id, "pause" | "unpause" | "stop" | "start"] | ["networks", id, "connect" | "disconnect"],
        ) => hex(id),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_sent() {
        let id = "ab".repeat(32);
        let path = |text: &str| text.replace("ID", &id);
        for (method, target) in [
            ("GET", "/version"),
            ("GET", "/containers/json?all=1"),
            ("POST", "/containers/ID/pause"),
            ("POST", "/networks/ID/connect"),
            ("POST", "/networks/hopwatch-quarantine/connect"),
        ] {
            assert!(is_listed(method, &path(target)), "{target}");
        }
        for (method, target) in [
            ("POST", "/containers/ID/exec"),
            ("POST", "/containers/create"),
            ("POST", "/containers/ID/../../images/create"),
            ("POST", "/containers/../pause"),
            ("DELETE", "/containers/ID"),
            ("POST", "/containers/web/pause"),
            ("POST", "/images/create"),
            ("POST", "/networks/other/connect"),
            ("POST", "/commit/other"),
            ("GET", "/secrets"),
        ] {
            assert!(!is_listed(method, &path(target)), "{target}");
        }
    }
}
