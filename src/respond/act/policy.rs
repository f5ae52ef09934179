//! What the configuration says of responses, with what it protects by being what it is: hops, monitors, sinks.
//!
//! Contract: a sink whose address stands in a file is protected, too, where the file can be read. Limits: a sink that is reached by a name is known by the port that its container publishes.

use crate::config::{Config, Destination, HttpDestination, SyslogTransport, UrlSource};
use crate::respond::Policy;

/// Of a configuration.
pub fn policy_of(config: &Config) -> Policy {
    let response = &config.response;
    Policy {
        enabled: response.enabled,
        protected: response.protected.clone(),
        monitors: config.engine.monitors.clone(),
        hops: config.hops.values().cloned().collect(),
        sinks: config.sinks.iter().filter_map(|sink| receiver(&sink.to)).collect(),
        limit: response.limit,
        period: response.period,
        undo_after: response.undo_after,
    }
}

fn receiver(to: &Destination) -> Option<(String, u16)> {
    match to {
        Destination::Syslog(syslog) => match &syslog.transport {
            SyslogTransport::Udp(at) | SyslogTransport::Tcp(at) | SyslogTransport::Tls(at) => {
                Some((at.host.clone(), at.port))
            }
            SyslogTransport::Unix(_) => None,
        },
        to => to.http().and_then(of_url),
    }
}

fn of_url(http: &HttpDestination) -> Option<(String, u16)> {
    let url = match &http.url {
        UrlSource::Inline(url) => url.clone(),
        UrlSource::File(path) => std::fs::read_to_string(path).ok()?,
    };
    host_and_port(url.trim())
}

/// Of `https://user@host:port/path`.
fn host_and_port(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let usual = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => Some((host.to_owned(), port.parse().ok()?)),
        _ => Some((authority.to_owned(), usual)),
    }
}

#[cfg(test)]
mod tests {
    use super::host_and_port;

    #[test]
    fn the_receiver_of_an_address_is_found() {
        for (url, host, port) in [
            ("http://127.0.0.1:9093/api", "127.0.0.1", 9093),
            ("https://hooks.example/services/T1?x=a:b", "hooks.example", 443),
            ("http://user:secret@[2001:db8::1]:8080/", "[2001:db8::1]", 8080),
            ("http://[2001:db8::1]/", "[2001:db8::1]", 80),
        ] {
            assert_eq!(host_and_port(url), Some((host.to_owned(), port)), "{url}");
        }
    }
}
