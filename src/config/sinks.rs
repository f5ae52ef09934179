//! Where alerts are delivered to, checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::render::chat::Template;
use crate::alert::render::encoding::Encoding;
use crate::detect::Severity;
use crate::path::Selector;

/// One sink.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    /// Its name, in logs, metrics and the outbox.
    pub name: String,
    /// The lowest severity that it gets.
    pub severity: Severity,
    /// The rules that it gets; empty: all.
    pub rules: Vec<globset::GlobMatcher>,
    /// The workloads whose alerts it gets; empty: all alerts.
    pub workloads: Vec<Selector>,
    /// The format.
    pub encoding: Encoding,
    /// Which updates it gets.
    pub updates: Updates,
    /// Where to.
    pub to: Destination,
}

impl PartialEq for SinkConfig {
    fn eq(&self, other: &Self) -> bool {
        let Self { name, severity, rules, workloads, encoding, updates, to } = self;
        let globs = |of: &[globset::GlobMatcher]| of.iter().map(|glob| glob.glob().clone()).collect::<Vec<_>>();
        (name, severity, workloads, encoding, updates, to)
            == (&other.name, &other.severity, &other.workloads, &other.encoding, &other.updates, &other.to)
            && globs(rules) == globs(&other.rules)
    }
}

/// Which updates of an alert a sink gets, beside the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Updates {
    /// Each.
    All,
    /// Those that raise the severity.
    Rises,
    /// None.
    None,
}

/// Where a sink delivers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Lines of a file.
    File(FileDestination),
    /// A syslog server or socket.
    Syslog(SyslogDestination),
    /// systemd's journal.
    Journald {
        /// Its socket.
        socket: PathBuf,
    },
    /// An address that takes HTTP POST.
    Webhook(WebhookDestination),
    /// One Alertmanager.
    Alertmanager(AlertmanagerDestination),
    /// A data stream of Elasticsearch.
    Elasticsearch(ElasticsearchDestination),
    /// A data stream of `OpenSearch`.
    Opensearch(ElasticsearchDestination),
    /// Splunk's HTTP Event Collector.
    Splunk(SplunkDestination),
    /// Grafana Loki.
    Loki(LokiDestination),
    /// A receiver of OpenTelemetry's protocol.
    Otlp(OtlpDestination),
}

/// Lines of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDestination {
    /// The file.
    pub path: PathBuf,
    /// A new file begins at so many bytes.
    pub rotate_bytes: u64,
    /// Or after this time.
    pub rotate_after: Option<Duration>,
    /// Old files that are kept.
    pub keep: u32,
}

/// How a syslog message travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogTransport {
    /// A datagram socket of this host.
    Unix(PathBuf),
    /// One datagram a message, which nobody confirms.
    Udp(HostAndPort),
    /// A connection; messages with their length (RFC 6587), or with a line end.
    Tcp(HostAndPort),
    /// TLS (RFC 5425).
    Tls(HostAndPort),
}

/// A host's name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAndPort {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl HostAndPort {
    /// Resolved now; the resolver may take its time.
    pub fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        let found: Vec<_> = std::net::ToSocketAddrs::to_socket_addrs(&(self.host.as_str(), self.port))?.collect();
        if found.is_empty() { Err(std::io::Error::other("the name has no address")) } else { Ok(found) }
    }
}

/// A syslog server or socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogDestination {
    /// How to get there.
    pub transport: SyslogTransport,
    /// The facility's number.
    pub facility: u8,
    /// The enterprise number of the structured data.
    pub enterprise: u32,
    /// The longest message, in bytes.
    pub max_bytes: usize,
    /// Over TCP, messages end with a line end instead of having a length.
    pub newline: bool,
    /// Certificates that vouch for the server, instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// What every HTTP receiver has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpDestination {
    /// Its address, or the file that holds it.
    pub url: UrlSource,
    /// Who hopwatch is.
    pub credentials: Option<Credentials>,
    /// Certificates that vouch for the server, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take.
    pub timeout: Duration,
}

/// What stands in `Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A token.
    Token {
        /// The word before it.
        scheme: TokenScheme,
        /// The file that holds it.
        file: PathBuf,
    },
    /// A user and a password.
    Basic {
        /// The user.
        user: String,
        /// The file that holds the password.
        password_file: PathBuf,
    },
}

/// The word before a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenScheme {
    /// The usual one.
    Bearer,
    /// Elasticsearch's.
    ApiKey,
    /// Splunk's.
    Splunk,
}

impl TokenScheme {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::ApiKey => "ApiKey",
            Self::Splunk => "Splunk",
        }
    }
}

/// An address that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlSource {
    /// In the configuration.
    Inline(String),
    /// In a file.
    File(PathBuf),
}

/// An address that takes HTTP POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookDestination {
    /// Where.
    pub http: HttpDestination,
    /// The form of the message.
    pub template: Template,
    /// ntfy's topic.
    pub topic: Option<String>,
    /// The file of PagerDuty's integration key.
    pub key_file: Option<PathBuf>,
    /// The file of the key of the HMAC signature.
    pub secret_file: Option<PathBuf>,
}

/// One Alertmanager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertmanagerDestination {
    /// Where.
    pub http: HttpDestination,
    /// How often open alerts are sent again.
    pub resend: Duration,
    /// How long an alert without a new update stays open.
    pub keep_open: Duration,
}

/// A data stream of Elasticsearch or `OpenSearch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElasticsearchDestination {
    /// Where, up to what of an answer is wanted.
    pub http: HttpDestination,
}

/// Splunk's HTTP Event Collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplunkDestination {
    /// Where events go.
    pub http: HttpDestination,
    /// Where acknowledgements are asked for.
    pub ack_url: String,
    /// How long an acknowledgement is waited for; none: it is not asked for.
    pub acknowledge: Option<Duration>,
    /// The channel; none: a new one in each run.
    pub channel: Option<String>,
    /// The index; none: the token's.
    pub index: Option<String>,
    /// The source type.
    pub source_type: String,
}

/// Grafana Loki.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LokiDestination {
    /// Where.
    pub http: HttpDestination,
    /// The tenant.
    pub tenant: Option<String>,
    /// Whether texts go along as structured metadata.
    pub structured_metadata: bool,
}

/// A receiver of OpenTelemetry's protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpDestination {
    /// Where.
    pub http: HttpDestination,
}

impl Destination {
    /// What every HTTP receiver has, where it is one.
    pub const fn http(&self) -> Option<&HttpDestination> {
        match self {
            Self::Webhook(to) => Some(&to.http),
            Self::Alertmanager(to) => Some(&to.http),
            Self::Elasticsearch(to) | Self::Opensearch(to) => Some(&to.http),
            Self::Splunk(to) => Some(&to.http),
            Self::Loki(to) => Some(&to.http),
            Self::Otlp(to) => Some(&to.http),
            Self::File(_) | Self::Syslog(_) | Self::Journald { .. } => None,
        }
    }
}
