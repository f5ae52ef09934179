//! One request to one receiver.
//!
//! Contract: POST, no redirect is followed (a secret would go elsewhere), every request has a deadline, and of an answer at most
//! [`MAX_ANSWER`] bytes are read. Of an address only scheme and host are ever shown, since the rest may be a secret.
//! Limits: the name is resolved for each new connection; a connection is kept for [`KEPT_OPEN`] at most.

use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Error, Timeout};

use super::outcome::Outcome;
use super::tls;
use crate::clock::now;
use crate::config::{HttpDestination, UrlSource};
use crate::escape::printable;

/// Bytes of an answer that are read.
const MAX_ANSWER: u64 = 64 << 10;
/// Characters of an answer that are kept for a person.
const SHOWN: usize = 300;
/// Bytes of a file with a secret.
const MAX_SECRET: u64 = 16 << 10;
/// An idle connection is opened anew after this time, since the name may lead elsewhere by then.
const KEPT_OPEN: Duration = Duration::from_secs(15);

/// A receiver's address and how to talk to it.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    url: String,
    shown: String,
    authorization: Option<String>,
}

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, as far as it was read.
    pub body: String,
    /// When it wants the next attempt.
    pub after: Option<Duration>,
}

impl Client {
    /// Reads the secrets' files.
    pub fn new(to: &HttpDestination) -> io::Result<Self> {
        let url = match &to.url {
            UrlSource::Inline(url) => url.clone(),
            UrlSource::File(path) => secret(path)?,
        };
        let parsed: ureq::http::Uri = url.parse().map_err(|_| io::Error::other("the address in url_file is none"))?;
        let shown = format!("{}://{}", parsed.scheme_str().unwrap_or("?"), parsed.host().unwrap_or("?"));
        let token = to.token_file.as_deref().map(secret).transpose()?;
        let roots = match parsed.scheme_str() {
            Some("https") => tls::trusted(to.ca_file.as_deref())?,
            _ => Vec::new(),
        };
        let roots: Vec<_> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(tls::provider())
            .root_certs(RootCerts::new_with_certs(&roots))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(to.timeout))
            .max_idle_age(KEPT_OPEN)
            .user_agent(concat!("hopwatch/", env!("CARGO_PKG_VERSION")))
            .build();
        let authorization = token.map(|token| format!("Bearer {token}"));
        Ok(Self { agent: config.new_agent(), url, shown, authorization })
    }

    /// Sends a body; an error is what became of the attempt.
    pub fn post(&self, content_type: &str, headers: &[(&str, String)], body: &[u8]) -> Result<Answer, Outcome> {
        let mut request = self.agent.post(&self.url).header("Content-Type", content_type);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut response = request.send(body).map_err(|error| self.failure(&error))?;
        let after = response.headers().get("retry-after").and_then(|value| retry_after(value.to_str().ok()?));
        let status = response.status().as_u16();
        let mut answer = Vec::new();
        let read = response.body_mut().as_reader().take(MAX_ANSWER).read_to_end(&mut answer);
        match read {
            // Its word is known, although not all of it.
            Err(error) if (200..300).contains(&status) => {
                Err(Outcome::ambiguous(format!("{} answered {status} and broke off: {error}", self.shown)))
            }
            _ => Ok(Answer { status, body: String::from_utf8_lossy(&answer).into_owned(), after }),
        }
    }

    /// Scheme and host.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    fn failure(&self, error: &Error) -> Outcome {
        let why = format!("{}: {}", self.shown, printable(&error.to_string()));
        let advice = match error {
            Error::Rustls(error) => tls::advice(error),
            Error::Io(error) => tls::advice_on_stream(error),
            _ => None,
        };
        if let Some(advice) = advice {
            return Outcome::Configuration { why: why + advice };
        }
        match error {
            Error::BadUri(_) | Error::Http(_) | Error::InvalidProxyUrl | Error::Pem(_) | Error::TlsRequired => {
                Outcome::Configuration { why }
            }
            Error::HostNotFound | Error::ConnectionFailed | Error::ConnectProxyFailed(_) | Error::Tls(_) => {
                Outcome::again(why)
            }
            Error::Rustls(_) | Error::Timeout(Timeout::Resolve | Timeout::Connect) => Outcome::again(why),
            Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => Outcome::again(why),
            // The request was on its way.
            _ => Outcome::ambiguous(why),
        }
    }

    /// What an answer means where the receiver has no word of its own.
    pub fn outcome(&self, answer: &Answer) -> Outcome {
        let why = format!("{} answered {}{}", self.shown, answer.status, shown(&answer.body));
        match answer.status {
            200..=299 => Outcome::Delivered,
            408 | 425 | 429 | 500 | 502..=504 => Outcome::Again { why, maybe_taken: false, after: answer.after },
            300..=399 | 401 | 403 | 404 | 407 | 410 => Outcome::Configuration { why },
            400..=499 => Outcome::Refused { why },
            _ => Outcome::Again { why, maybe_taken: false, after: answer.after },
        }
    }
}

/// Its beginning, on one line.
fn shown(body: &str) -> String {
    let body: String = body.trim().chars().take(SHOWN).collect();
    if body.is_empty() { String::new() } else { format!(": {}", printable(&body)) }
}

/// Seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp().as_nanosecond();
    let wait = at.checked_sub(i128::from(now().as_nanos()))?;
    u64::try_from(wait).ok().map(Duration::from_nanos)
}

/// A file's only line.
pub fn secret(path: &Path) -> io::Result<String> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut text = String::new();
    std::fs::File::open(path).map_err(named)?.take(MAX_SECRET).read_to_string(&mut text).map_err(named)?;
    let line = text.trim();
    if line.is_empty() || line.contains(char::is_control) {
        return Err(io::Error::other(format!("{}: it must hold one line of text", path.display())));
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_receiver_asks_for_is_seconds_or_a_date() {
        assert_eq!(retry_after("120"), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("0"), Some(Duration::ZERO));
        for text in ["-1", "soon", "", "1.5"] {
            assert_eq!(retry_after(text), None, "{text}");
        }
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), None, "that time is over");
        let in_future = retry_after("Wed, 21 Oct 2099 07:28:00 GMT").expect("a date");
        assert!(in_future > Duration::from_hours(24));
    }
}
