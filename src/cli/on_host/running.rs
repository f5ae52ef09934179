//! What the hopwatch that runs here says of its exceptions, from its metrics.
//!
//! Contract: one request to the address of the configuration, on this host alone; an answer that is no page of metrics is an error. Limits: [`MAX_PAGE`] bytes within
//! [`PATIENCE`] for all of them; what listens there is believed, so only numbers are taken from it.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::cli::exception_uses::ExceptionUses;
use crate::clock::instant;
use crate::time::Timestamp;

/// A page of two hundred points and all rules is some hundred KiB.
const MAX_PAGE: u64 = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(2);

/// How often each exception in force held something back, and when last.
pub fn uses(listen: SocketAddr) -> anyhow::Result<ExceptionUses> {
    let address = SocketAddr::new(here(listen.ip()), listen.port());
    Ok(read_page(&page(address).with_context(|| format!("asking http://{address}/metrics"))?))
}

fn here(listening: IpAddr) -> IpAddr {
    match listening {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

fn page(address: SocketAddr) -> anyhow::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    write!(connection, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut rest = connection.take(MAX_PAGE);
    let mut part = [0; 16 * 1024];
    let deadline = instant() + PATIENCE;
    loop {
        let length = rest.read(&mut part)?;
        answer.extend_from_slice(part.get(..length).unwrap_or_default());
        if length == 0 {
            break;
        }
        ensure!(instant() < deadline, "the answer takes longer than {PATIENCE:?}");
    }
    let answer = String::from_utf8(answer).context("the answer is no text")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status == "200", "the answer is {}", crate::escape::printable(head.lines().next().unwrap_or_default()));
    Ok(body.to_owned())
}

fn read_page(page: &str) -> ExceptionUses {
    let mut uses = ExceptionUses::default();
    for line in page.lines() {
        if let Some((name, hits)) = value_of(line, "hopwatch_exception_hits_total") {
            uses.hits.insert(name.to_owned(), hits);
        } else if let Some((name, at)) = value_of(line, "hopwatch_exception_last_hit_timestamp_seconds") {
            uses.last.extend(Some((name.to_owned(), seconds(at))).filter(|_| at > 0));
        } else if let Some(started) = line.strip_prefix("process_start_time_seconds ") {
            uses.since = started.parse().ok().map(seconds);
        }
    }
    uses
}

/// Names of exceptions need no escapes in a label.
fn value_of<'a>(line: &'a str, metric: &str) -> Option<(&'a str, u64)> {
    let (name, value) = line.strip_prefix(metric)?.strip_prefix("{exception=\"")?.split_once("\"} ")?;
    Some((name, value.parse().ok()?))
}

fn seconds(seconds: u64) -> Timestamp {
    Timestamp::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const PAGE: &str = "# TYPE hopwatch_exception_hits_total counter\nhopwatch_exception_hits_total{exception=\"direct\"} 3\n\
        hopwatch_exception_hits_total{exception=\"never\"} 0\nhopwatch_exception_last_hit_timestamp_seconds{exception=\"direct\"} 1770000000\n\
        hopwatch_exception_last_hit_timestamp_seconds{exception=\"never\"} 0\nhopwatch_exception_hits_total{exception=\"odd\"} many\n\
        process_start_time_seconds 1760000000\n";

    /// What comes of an answer.
    fn answered(answer: String) -> anyhow::Result<ExceptionUses> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().expect("a connection");
            let mut request = [0; 512];
            let read = connection.read(&mut request).expect("a request");
            let _ = connection.write_all(answer.as_bytes());
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let uses = uses(address);
        assert!(server.join().expect("ended").starts_with("GET /metrics HTTP/1.0\r\n"));
        uses
    }

    #[test]
    fn hits_and_their_times_are_read_from_the_metrics() {
        let uses = answered(format!("HTTP/1.0 200 OK\r\n\r\n{PAGE}")).expect("a page");
        assert_eq!(uses.hits.get("direct").zip(uses.hits.get("never")), Some((&3, &0)));
        assert_eq!(
            uses.last.into_iter().collect::<Vec<_>>(),
            [("direct".to_owned(), Timestamp::from_secs(1_770_000_000))]
        );
        assert_eq!((uses.hits.len(), uses.since), (2, Some(Timestamp::from_secs(1_760_000_000))));
    }

    #[test]
    fn what_is_no_page_of_metrics_is_an_error() {
        for answer in ["", "nonsense", "HTTP/1.0 404 Not Found\r\n\r\n\u{1b}[2J", "HTTP/1.0 503\r\n\r\n"] {
            assert!(answered(answer.to_owned()).is_err(), "{answer:?}");
        }
        assert!(uses("127.0.0.1:1".parse().expect("an address")).is_err(), "nobody listens there");
    }
}
