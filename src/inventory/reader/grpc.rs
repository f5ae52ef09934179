//! A gRPC connection over a unix socket.
//!
//! Contract: each answer comes within a time ([`TIMEOUT`], unless another is given) and is at most [`MAX_MESSAGE`] long, or counts as failed; a connection is
//! opened once and never again behind the reader's back, so that a restart of the runtime is always seen. Limits: unary calls and
//! server streams. Design: tonic's client with messages written by hand; no generated code, no `protoc`.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::{ReaderCounters, ReaderError};
use crate::sync;

/// The usual bound for one answer. A runtime that needs longer is as good as gone; an event stream has no such bound.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// containerd and the kubelet take no longer message either.
const MAX_MESSAGE: usize = 16 << 20;
/// Events read and not yet looked at; beyond it the runtime has to wait.
const AHEAD: usize = 1024;
/// The name of containerd's namespace header (pkg `namespaces`, grpc.go).
const NAMESPACE: &str = "containerd-namespace";
/// gRPC wants an authority; nobody looks at it on a unix socket.
const AUTHORITY: &str = "http://localhost";

/// A connection; cheap to clone.
#[derive(Clone)]
pub struct Grpc {
    channel: Channel,
    timeout: Duration,
    counters: Arc<ReaderCounters>,
}

impl Grpc {
    /// Opens the socket. Nothing is asked yet.
    pub async fn connect(path: &Path, timeout: Duration, counters: &Arc<ReaderCounters>) -> Result<Self, ReaderError> {
        let opened = UnixStream::connect(path).await.map_err(|error| ReaderError::opening(path, error))?;
        let opened = Arc::new(Mutex::new(Some(opened)));
        let once = tower::service_fn(move |_| {
            let stream = sync::lock(&opened).take();
            std::future::ready(stream.map(TokioIo::new).ok_or_else(|| std::io::Error::other("the connection was cut")))
        });
        let connected = Endpoint::from_static(AUTHORITY).connect_timeout(timeout).connect_with_connector(once).await;
        let socket = |error| ReaderError::Socket { path: path.to_owned(), source: std::io::Error::other(error) };
        Ok(Self { channel: connected.map_err(socket)?, timeout, counters: counters.clone() })
    }

    /// One question, one answer.
    pub async fn call<Q, A>(&self, method: &str, namespace: Option<&str>, question: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let asked = async {
            let mut client = self.client().await?;
            let path = method.parse().map_err(|_| Status::invalid_argument("not a method"))?;
            client.unary(request(namespace, question)?, path, ProstCodec::<Q, A>::default()).await
        };
        let answer = tokio::time::timeout(self.timeout, asked).await;
        let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
        let failed = |status: &Status| status.code() != tonic::Code::NotFound;
        self.counters.failed_requests.add(u64::from(answer.as_ref().is_err_and(failed)));
        answer.map(tonic::Response::into_inner)
    }

    /// One question, and a list that comes in parts: at most `limit` of them.
    pub async fn list<Q, A>(&self, method: &str, namespace: &str, question: Q, limit: usize) -> Result<Vec<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let asked = async {
            let mut parts = self.open::<Q, A>(method, Some(namespace), question).await?;
            let mut read = Vec::new();
            while let Some(part) = parts.message().await? {
                if read.len() >= limit {
                    self.counters.overflow.add(1);
                    break;
                }
                read.push(part);
            }
            Ok(read)
        };
        let answer = tokio::time::timeout(self.timeout, asked).await;
        let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
        self.counters.failed_requests.add(u64::from(answer.is_err()));
        answer
    }

    /// Events until the runtime ends them. The task ends with the set that it is in.
    ///
    /// Asked for by a task of its own, because a runtime sends no headers before its first event.
    pub fn follow<Q, A>(&self, method: &'static str, question: Q, tasks: &mut JoinSet<()>) -> Events<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (sender, events) = mpsc::channel(AHEAD);
        let this = self.clone();
        tasks.spawn(async move {
            let mut stream = match this.open::<Q, A>(method, None, question).await {
                Ok(stream) => stream,
                Err(status) => return drop(sender.send(Err(status)).await),
            };
            loop {
                let event = match stream.message().await {
                    Ok(Some(event)) => Ok(event),
                    Ok(None) => Err(Status::unavailable("the runtime closed it")),
                    Err(status) => Err(status),
                };
                let ended = event.is_err();
                if sender.send(event).await.is_err() || ended {
                    return;
                }
            }
        });
        events
    }

    async fn open<Q, A>(
        &self,
        method: &str,
        namespace: Option<&str>,
        question: Q,
    ) -> Result<tonic::Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut client = self.client().await?;
        let path = method.parse().map_err(|_| Status::invalid_argument("not a method"))?;
        let codec = ProstCodec::<Q, A>::default();
        Ok(client.server_streaming(request(namespace, question)?, path, codec).await?.into_inner())
    }

    async fn client(&self) -> Result<tonic::client::Grpc<Channel>, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        client.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(client)
    }
}

/// What [`Grpc::follow`] receives.
pub type Events<A> = mpsc::Receiver<Result<A, Status>>;

fn request<Q>(namespace: Option<&str>, question: Q) -> Result<Request<Q>, Status> {
    let mut request = Request::new(question);
    if let Some(namespace) = namespace {
        let value = MetadataValue::try_from(namespace).map_err(|_| Status::invalid_argument("not a namespace"))?;
        request.metadata_mut().insert(NAMESPACE, value);
    }
    Ok(request)
}
