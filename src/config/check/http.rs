//! What sinks over HTTP have in common: an address, who hopwatch is, certificates, a time limit.

use std::path::PathBuf;

use super::Check;
use crate::config::located::Located;
use crate::config::problem::quoted;
use crate::config::scalar::{DurationText, FilePath, HttpUrl, Label, Sentence};
use crate::config::sinks::{Credentials, HttpDestination, TokenScheme, UrlSource};

/// What a sink gives to say who hopwatch is.
pub(super) struct Access<'a> {
    token: Option<(TokenScheme, &'a FilePath)>,
    user: Option<&'a Sentence>,
    password_file: Option<&'a FilePath>,
}

impl<'a> Access<'a> {
    /// A token or key in a file, or a user and the file of the password.
    pub(super) fn new(
        (scheme, token): (TokenScheme, Option<&'a FilePath>),
        user: Option<&'a Sentence>,
        password_file: Option<&'a FilePath>,
    ) -> Self {
        Self { token: token.map(|file| (scheme, file)), user, password_file }
    }
}

impl Check<'_> {
    /// One way or none; half of one is a mistake.
    pub(super) fn credentials(&mut self, name: &Located<Label>, access: &Access<'_>) -> Option<Credentials> {
        let (message, help) = match (access.token, access.user, access.password_file) {
            (None, None, None) => return None,
            (Some((scheme, file)), None, None) => return Some(Credentials::Token { scheme, file: path(file) }),
            (None, Some(user), Some(password)) if !user.0.contains(':') && !user.0.contains(char::is_control) => {
                return Some(Credentials::Basic { user: user.0.clone(), password_file: path(password) });
            }
            (None, Some(_), Some(_)) => ("has a user with a colon or a line end in it", "HTTP has no place for these"),
            (None, Some(_), None) => ("has a user without a password", "password_file names the file that holds it"),
            (None, None, Some(_)) => ("has a password without a user", "user says whose it is"),
            (Some(_), _, _) => ("has a user beside a token or key", "only one of them can be sent; remove the other"),
        };
        self.report(name.span, format!("the sink {} {message}", quoted(&name.value.0)), Some(help.to_owned()));
        None
    }
}

pub(super) fn bearer(file: Option<&FilePath>) -> Option<Credentials> {
    file.map(|file| Credentials::Token { scheme: TokenScheme::Bearer, file: path(file) })
}

pub(super) fn http(
    url: UrlSource,
    credentials: Option<Credentials>,
    ca: Option<&FilePath>,
    timeout: DurationText<100>,
) -> HttpDestination {
    HttpDestination { url, credentials, ca_file: ca.map(path), timeout: timeout.get() }
}

pub(super) fn path(file: &FilePath) -> PathBuf {
    PathBuf::from(&file.0)
}

/// As [`below`], where `path` may stand in the address already.
pub(super) fn endpoint(url: &HttpUrl, path: &str) -> String {
    let base = url.0.split_once('?').map_or(url.0.as_str(), |(base, _)| base);
    if base.ends_with(&format!("/{path}")) { url.0.clone() } else { below(url, path) }
}

/// An address below another; what stands behind its `?` stays there.
pub(super) fn below(url: &HttpUrl, rest: &str) -> String {
    let (base, query) = url.0.split_once('?').unwrap_or((&url.0, ""));
    let base = base.trim_end_matches('/');
    let joint = if rest.contains('?') { '&' } else { '?' };
    let query = if query.is_empty() { String::new() } else { format!("{joint}{query}") };
    format!("{base}/{rest}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_stands_there_already_is_not_added() {
        for url in ["http://h:3100/", "http://h:3100/loki/api/v1/push"] {
            let whole = endpoint(&HttpUrl(url.to_owned()), "loki/api/v1/push");
            assert_eq!(whole, "http://h:3100/loki/api/v1/push");
        }
    }

    #[test]
    fn what_an_address_ends_with_stays_its_own() {
        let of = |url: &str, rest| below(&HttpUrl(url.to_owned()), rest);
        assert_eq!(of("http://h:9200", "a/_bulk"), "http://h:9200/a/_bulk");
        assert_eq!(of("http://h/es/", "a?b=c"), "http://h/es/a?b=c");
        assert_eq!(of("http://h/es?k=v", "a?b=c"), "http://h/es/a?b=c&k=v");
        assert_eq!(of("http://h/?k=v", "a"), "http://h/a?k=v");
    }
}
