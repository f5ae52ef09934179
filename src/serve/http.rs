//! The HTTP endpoint: `/metrics`, `/livez`, `/readyz`, and `POST /-/reload`.
//!
//! Contract: all but the reload is read-only, answers from memory and waits for no other thread. `/livez` fails when the engine is stuck, and nobody's scrapes or
//! open connections keep it from answering. Limits: at most [`MAX_REQUESTS`] scrapes at once; connections and requests within [`LIMITS`].

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::bounded_listener::{BoundedListener, Limits};
use super::reload_request::{ReloadRequests, refusal};
use super::{SharedCounters, metrics};

/// A scraper's header is a few hundred bytes; an exchange takes milliseconds, and the usual scrape interval is 15 s.
const LIMITS: Limits = Limits {
    connections: 64,
    head: Duration::from_secs(2),
    patience: Duration::from_secs(30),
    request_bytes: 16 * 1024,
};
/// Scrapes answered at once; more are asked to come back.
const MAX_REQUESTS: usize = 32;
/// How long open connections may take to end at shutdown.
const PATIENCE: Duration = Duration::from_millis(300);

const INDEX: &str = "hopwatch\n\n/metrics  for Prometheus\n/livez    200 while the engine moves, else 503\n/readyz   200 when everything is seen and delivered, else 503 and why\n/-/reload POST: reads the configuration again\n";

#[derive(Clone)]
struct Served {
    shared: Arc<SharedCounters>,
    requests: Arc<Semaphore>,
    /// Where a reload is asked for; `None` where there is nothing to read again.
    reload: Option<ReloadRequests>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, BoundedListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Serves until `shutdown` is done.
pub async fn serve(
    listener: TcpListener,
    shared: Arc<SharedCounters>,
    reload: Option<ReloadRequests>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (ended, wait) = tokio::sync::oneshot::channel();
    let listener = BoundedListener::new(listener, LIMITS);
    let graceful = axum::serve(listener, router(shared, reload).into_make_service_with_connect_info::<Peer>());
    let graceful = graceful.with_graceful_shutdown(async move {
        shutdown.await;
        // Fails only when the server has ended by itself.
        let _ = ended.send(());
    });
    tokio::select! {
        result = graceful => result,
        () = async { drop(wait.await); tokio::time::sleep(PATIENCE).await } => Ok(()),
    }
}

fn router(shared: Arc<SharedCounters>, reload: Option<ReloadRequests>) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .route("/-/reload", post(read_again))
        .with_state(Served { shared, requests: Arc::new(Semaphore::new(MAX_REQUESTS)), reload })
}

async fn livez(State(served): State<Served>) -> Response {
    match served.shared.stuck() {
        None => "live\n".into_response(),
        Some(stuck) => (StatusCode::SERVICE_UNAVAILABLE, stuck + "\n").into_response(),
    }
}

async fn readyz(State(served): State<Served>) -> Response {
    let reasons = served.shared.not_ready();
    let more = served.shared.blind_rules() + &served.shared.configuration();
    if reasons.is_empty() {
        return format!("ready\n{more}").into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n" + &more).into_response()
}

async fn read_again(
    State(served): State<Served>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Response {
    if let Some(why) = refusal(peer, &headers) {
        return (StatusCode::FORBIDDEN, format!("{why}\n")).into_response();
    }
    let Some(reload) = served.reload else {
        return (StatusCode::NOT_FOUND, "this run does not read its configuration again\n").into_response();
    };
    match reload.ask().await {
        Ok(text) => format!("{text}\n").into_response(),
        Err(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    }
}

async fn scrape(State(served): State<Served>, headers: HeaderMap) -> Response {
    let Ok(_permit) = served.requests.try_acquire() else {
        return (StatusCode::TOO_MANY_REQUESTS, "too many scrapes at once\n").into_response();
    };
    let wants_open_metrics = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/openmetrics-text"));
    let snapshot = Arc::new(served.shared.scrape());
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::serve::{EngineReport, Heartbeat, STALLED};
    use crate::sink_counters::SinkCounters;

    async fn status(answer: impl Future<Output = Response>) -> (StatusCode, String) {
        let answer = answer.await;
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    fn ask<F: Future<Output = Response>>(
        shared: SharedCounters,
        page: impl Fn(State<Served>) -> F,
    ) -> (StatusCode, String) {
        let served = Served { shared: Arc::new(shared), requests: Arc::new(Semaphore::new(1)), reload: None };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(status(page(State(served))))
    }

    fn with_stuck_engine() -> SharedCounters {
        let long_ago = crate::clock::instant().checked_sub(STALLED * 2).expect("the host runs longer");
        SharedCounters { heartbeat: Heartbeat::since(long_ago), ..SharedCounters::default() }
    }

    #[test]
    fn a_stuck_engine_is_not_live_and_a_moving_one_is() {
        assert_eq!(ask(SharedCounters::default(), livez), (StatusCode::OK, "live\n".to_owned()));
        let (status, text) = ask(with_stuck_engine(), livez);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.starts_with("the engine has not moved for 20 s"), "{text}");
        let (status, text) = ask(with_stuck_engine(), readyz);
        assert!(status == StatusCode::SERVICE_UNAVAILABLE && text.contains("the engine has not moved"), "{text}");
    }

    #[test]
    fn counters_are_scraped_while_the_engine_is_stuck() {
        let shared = with_stuck_engine();
        shared.points.update(
            &crate::input::ObservationPoint::new("br-a"),
            crate::flow::PointCounters { packets: 7, ..crate::flow::PointCounters::default() },
        );
        let page = |served| async { scrape(served, HeaderMap::new()).await };
        let (_, text) = ask(shared, page);
        assert!(text.contains("hopwatch_packets_total{observation_point=\"br-a\"} 7\n"), "{text}");
    }

    #[test]
    fn a_sink_that_takes_no_alerts_is_named() {
        let shared = SharedCounters::default();
        shared.report(EngineReport::default());
        let sink = Arc::new(SinkCounters::new("stdout"));
        shared.add_sink(&sink);
        sink.waits();
        sink.begins();
        sink.failed(&io::ErrorKind::StorageFull.into());
        let (status, text) = ask(shared, readyz);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("writing alerts to stdout fails: no storage space; 1 waiting, 0 lost"), "{text}");
    }
}
