//! Asking for a reload over HTTP, and who may.
//!
//! Contract: only from this host, and not from a browser: a page can post to 127.0.0.1, but cannot set a header of its own without asking first,
//! and names the page in `Origin`. A name that somebody else's server gives to 127.0.0.1 stands in `Host`.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use tokio::sync::{mpsc, oneshot};

/// The header that a request must have.
const OWN_HEADER: &str = "x-hopwatch";

/// A request, and where its answer goes: what is in force now, or why nothing changed.
#[derive(Debug)]
pub struct ReloadRequest(pub oneshot::Sender<Result<String, String>>);

/// The way to the one who reloads.
#[derive(Clone, Debug)]
pub struct ReloadRequests(mpsc::Sender<ReloadRequest>);

impl ReloadRequests {
    /// A way, and its other end. One request waits while another is worked on.
    pub fn channel() -> (Self, mpsc::Receiver<ReloadRequest>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// Asks and waits for the answer.
    pub(super) async fn ask(&self) -> Result<String, String> {
        let ending = || "hopwatch is ending".to_owned();
        let (answer, answered) = oneshot::channel();
        self.0.send(ReloadRequest(answer)).await.map_err(|_| ending())?;
        answered.await.map_err(|_| ending())?
    }
}

/// Why this peer with these headers may not ask; `None` when it may.
pub(super) fn refusal(peer: SocketAddr, headers: &HeaderMap) -> Option<&'static str> {
    if !peer.ip().to_canonical().is_loopback() {
        return Some("a reload is asked for on this host only, over 127.0.0.1 or [::1]");
    }
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Some("a browser cannot ask for a reload");
    }
    if headers.get(OWN_HEADER).is_none_or(|value| value != "1") {
        return Some(
            "the header X-Hopwatch: 1 is missing; try curl -X POST -H 'X-Hopwatch: 1' http://127.0.0.1:9921/-/reload",
        );
    }
    (!is_loopback(headers)).then_some("the Host header names another host than 127.0.0.1, [::1] or localhost")
}

fn is_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.is_some_and(|host| {
        let name = host.host().trim_matches(['[', ']']);
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(peer: &str, headers: &[(&'static str, &'static str)]) -> Option<&'static str> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), axum::http::HeaderValue::from_static(value)));
        refusal(peer.parse().expect("an address"), &headers.collect())
    }

    #[test]
    fn only_a_program_on_this_host_may_ask() {
        const GOOD: [(&str, &str); 2] = [("host", "127.0.0.1:9921"), ("x-hopwatch", "1")];
        for host in ["127.0.0.1:9921", "localhost:9921", "[::1]:9921", "LOCALHOST"] {
            assert_eq!(refused("127.0.0.1:5000", &[("host", host), GOOD[1]]), None, "{host}");
        }
        assert_eq!(refused("[::1]:5000", &GOOD), None);
        assert_eq!(refused("[::ffff:127.0.0.1]:5000", &GOOD), None);
        for peer in ["192.0.2.7:5000", "[2001:db8::1]:5000"] {
            assert!(refused(peer, &GOOD).is_some_and(|why| why.contains("on this host only")), "{peer}");
        }
        for more in [("origin", "http://shop.example"), ("origin", "null"), ("sec-fetch-site", "none")] {
            assert!(refused("127.0.0.1:5000", &[GOOD[0], GOOD[1], more]).is_some_and(|why| why.contains("browser")));
        }
        for headers in [&GOOD[..1], &[GOOD[0], ("x-hopwatch", "2")]] {
            assert!(refused("127.0.0.1:5000", headers).is_some_and(|why| why.contains("X-Hopwatch")));
        }
        for host in ["rebound.example:9921", "192.0.2.7", "127.0.0.1.rebound.example", ""] {
            assert!(
                refused("127.0.0.1:5000", &[("host", host), GOOD[1]]).is_some_and(|why| why.contains("Host")),
                "{host}"
            );
        }
        assert!(refused("127.0.0.1:5000", &GOOD[1..]).is_some_and(|why| why.contains("Host")));
    }
}
