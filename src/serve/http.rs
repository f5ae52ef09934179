//! The HTTP endpoint: `/metrics`, `/livez`, `/readyz`.
//!
//! Contract: read-only, answers from memory. Limits: at most [`MAX_REQUESTS`] scrapes at once; connections and requests within
//! [`LIMITS`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::bounded_listener::{BoundedListener, Limits};
use super::{SnapshotCell, metrics};

/// A scraper's header is a few hundred bytes; an exchange takes milliseconds, and the usual scrape interval is 15 s.
const LIMITS: Limits = Limits { connections: 64, patience: Duration::from_secs(30), request_bytes: 16 * 1024 };
/// Scrapes answered at once; more are asked to come back.
const MAX_REQUESTS: usize = 32;
/// How long open connections may take to end at shutdown.
const PATIENCE: Duration = Duration::from_millis(300);

const INDEX: &str = "hopwatch\n\n/metrics  for Prometheus\n/livez    200 while the process answers\n/readyz   200 when everything is seen, else 503 and why\n";

#[derive(Clone)]
struct Served {
    cell: SnapshotCell,
    requests: Arc<Semaphore>,
}

/// Serves until `shutdown` is done.
pub async fn serve(
    listener: TcpListener,
    cell: SnapshotCell,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let served = Served { cell, requests: Arc::new(Semaphore::new(MAX_REQUESTS)) };
    let router = Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/livez", get(|| async { "live\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .with_state(served);
    let (ended, wait) = tokio::sync::oneshot::channel();
    let graceful = axum::serve(BoundedListener::new(listener, LIMITS), router).with_graceful_shutdown(async move {
        shutdown.await;
        // Fails only when the server has ended by itself.
        let _ = ended.send(());
    });
    tokio::select! {
        result = graceful => result,
        () = async { drop(wait.await); tokio::time::sleep(PATIENCE).await } => Ok(()),
    }
}

async fn readyz(State(served): State<Served>) -> Response {
    let snapshot = served.cell.read();
    if snapshot.not_ready.is_empty() {
        return "ready\n".into_response();
    }
    let reasons = snapshot.not_ready.join("\n") + "\n";
    (StatusCode::SERVICE_UNAVAILABLE, reasons).into_response()
}

async fn scrape(State(served): State<Served>, headers: HeaderMap) -> Response {
    let Ok(_permit) = served.requests.try_acquire() else {
        return (StatusCode::TOO_MANY_REQUESTS, "too many scrapes at once\n").into_response();
    };
    let wants_open_metrics = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/openmetrics-text"));
    let snapshot = served.cell.read();
    let (rendered, content_type) = if wants_open_metrics {
        (metrics::open_metrics(snapshot), "application/openmetrics-text; version=1.0.0; charset=utf-8")
    } else {
        (metrics::prometheus_text(snapshot), "text/plain; version=0.0.4; charset=utf-8")
    };
    match rendered {
        Ok(text) => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
        Err(error) => {
            tracing::error!("rendering the metrics failed: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
