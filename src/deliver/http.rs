//! One request to one receiver.
//!
//! Contract: POST, no redirect is followed (a secret would go elsewhere), every request has a deadline, and of an answer at most
//! [`MAX_ANSWER`] bytes are read. Of an address only scheme and host are ever shown, since the rest may be a secret; where an answer
//! repeats a secret, it is left out. The connection leads to the address alone: proxies of the environment are not used.
//! Limits: the name is resolved for each new connection; a connection is kept for [`KEPT_OPEN`] at most.

use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ureq::http::Uri;
use ureq::http::uri::PathAndQuery;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Error, Timeout};

use super::outcome::Outcome;
use super::tls;
use crate::clock::now;
use crate::config::{Credentials, HttpDestination, UrlSource};
use crate::escape::printable;

/// Bytes of an answer that are read.
const MAX_ANSWER: u64 = 64 << 10;
/// Characters of an answer that are kept for a person.
const SHOWN: usize = 300;
/// Bytes of a file with a secret.
const MAX_SECRET: u64 = 16 << 10;
/// An idle connection is opened anew after this time, since the name may lead elsewhere by then.
const KEPT_OPEN: Duration = Duration::from_secs(15);

/// In the place of a secret.
const HIDDEN: &str = "(secret)";
/// A shorter one would be found in any text.
const MIN_HIDDEN: usize = 5;

/// A receiver's address and how to talk to it.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    url: Secret,
    shown: String,
    authorization: Option<Secret>,
    /// What no answer may bring into a log.
    secrets: Vec<Secret>,
}

/// Text that is shown nowhere.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
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
            UrlSource::Inline(url) => Secret(url.clone()),
            UrlSource::File(path) => secret(path)?,
        };
        let parsed: Uri = url.0.parse().map_err(|_| io::Error::other("the address in url_file is none"))?;
        let (Some(scheme @ ("http" | "https")), Some(host)) = (parsed.scheme_str(), parsed.host()) else {
            return Err(io::Error::other("the address in url_file does not begin with http:// or https:// and a host"));
        };
        let shown = format!("{scheme}://{host}");
        let mut secrets = secrets_of(&parsed);
        let authorization = to.credentials.as_ref().map(|given| authorization(given, &mut secrets)).transpose()?;
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
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(to.timeout))
            .max_idle_age(KEPT_OPEN)
            .user_agent(concat!("hopwatch/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.new_agent(), url, shown, authorization, secrets })
    }

    /// No answer may bring this into a log either.
    #[must_use]
    pub fn hide(mut self, secret: Option<&Secret>) -> Self {
        self.secrets.extend(secret.cloned());
        self
    }

    /// Sends a body; an error is what became of the attempt.
    pub fn post(&self, content_type: &str, headers: &[(&str, String)], body: &[u8]) -> Result<Answer, Outcome> {
        let mut request = self.agent.post(&self.url.0).header("Content-Type", content_type);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", &authorization.0);
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
        let why = format!("{}: {}", self.shown, printable(&self.without_secrets(&error.to_string())));
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

    /// A page of an error often repeats the address, and a debugging server the whole request.
    fn without_secrets(&self, text: &str) -> String {
        let long = self.secrets.iter().map(Secret::reveal).filter(|secret| secret.len() >= MIN_HIDDEN);
        long.fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
    }

    /// One request, and what became of it: by the receiver's own word, which `own` reads, else by the status.
    pub fn attempt(
        &self,
        content_type: &str,
        headers: &[(&str, String)],
        body: &[u8],
        own: impl FnOnce(&Answer) -> Option<Outcome>,
    ) -> Outcome {
        match self.post(content_type, headers, body) {
            Ok(answer) => own(&answer).unwrap_or_else(|| self.outcome(&answer)),
            Err(outcome) => outcome,
        }
    }

    /// An answer that succeeds, but that this kind of receiver does not give.
    pub fn stranger(&self, answer: &Answer, expected: &str) -> Outcome {
        Outcome::Configuration {
            why: format!("{}: {expected} does not answer so; is the address right?", self.said(answer)),
        }
    }

    /// The same of an answer that should be JSON: what begins so was perhaps cut.
    pub fn unreadable(&self, answer: &Answer, expected: &str) -> Outcome {
        if answer.body.trim_start().starts_with('{') {
            let (shown, status) = (&self.shown, answer.status);
            return Outcome::ambiguous(format!(
                "{shown} answered {status}, and the rest of it is cut or is not what {expected} says"
            ));
        }
        self.stranger(answer, expected)
    }

    /// The status and the beginning of the answer, for a person.
    pub fn said(&self, answer: &Answer) -> String {
        format!("{} answered {}{}", self.shown, answer.status, shown(&self.without_secrets(&answer.body)))
    }

    /// The same receiver at another address of its own: over the same connection, with the same credentials.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self { url: Secret(url.to_owned()), ..self.clone() }
    }

    /// What an answer means where the receiver has no word of its own.
    pub fn outcome(&self, answer: &Answer) -> Outcome {
        let why = self.said(answer);
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

/// What of an address may be a secret: the longer text first, since it holds the other.
fn secrets_of(url: &Uri) -> Vec<Secret> {
    let whole = url.path_and_query().map(PathAndQuery::as_str).unwrap_or_default();
    let credentials =
        url.authority().and_then(|authority| authority.as_str().rsplit_once('@')).map(|(before, _)| before);
    let password = credentials.and_then(|credentials| credentials.split_once(':')).map(|(_, password)| password);
    let parts = [Some(whole), Some(url.path()), url.query(), credentials, password];
    parts.into_iter().flatten().map(|part| Secret(part.to_owned())).collect()
}

/// What stands in `Authorization`; what of it is secret is added to `secrets`.
fn authorization(credentials: &Credentials, secrets: &mut Vec<Secret>) -> io::Result<Secret> {
    let (scheme, text) = match credentials {
        Credentials::Token { scheme, file } => (scheme.as_str(), secret(file)?),
        Credentials::Basic { user, password_file } => {
            let password = secret(password_file)?;
            let encoded = BASE64_STANDARD.encode(format!("{user}:{}", password.0));
            secrets.push(password);
            ("Basic", Secret(encoded))
        }
    };
    let whole = Secret(format!("{scheme} {}", text.0));
    secrets.push(text);
    Ok(whole)
}

/// A file's only line.
pub fn secret(path: &Path) -> io::Result<Secret> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut text = String::new();
    std::fs::File::open(path).map_err(named)?.take(MAX_SECRET).read_to_string(&mut text).map_err(named)?;
    let line = text.trim();
    if line.is_empty() || line.contains(char::is_control) {
        return Err(io::Error::other(format!("{}: it must hold one line of text", path.display())));
    }
    Ok(Secret(line.to_owned()))
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
