//! Sinks in the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PlacedSelector;
use super::log_sinks::{ElasticsearchFile, LokiFile, OtlpFile, SplunkFile, timeout};
use crate::alert::render::chat::Template;
use crate::alert::render::encoding::Encoding;
use crate::config::defaults;
use crate::config::located::Located;
use crate::config::scalar::{Bounded, DurationText, FilePath, HttpUrl, Sentence, SyslogAddress};
use crate::config::sinks::Updates;
use crate::detect::Severity;

/// Where alerts are delivered to, beside standard output. Exactly one place is given: `file`, `syslog` and so on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sink")]
pub(in crate::config) struct SinkFile {
    /// The lowest severity that it gets.
    #[serde(default = "lowest")]
    pub severity: Severity,
    /// The rules that it gets, as globs; without: all.
    #[serde(default)]
    #[schemars(extend("examples" = [["egress-*", "log-*"]]))]
    pub rules: Vec<Located<String>>,
    /// The workloads whose alerts it gets, by name, image, digest and labels; without: all alerts. Alerts about no workload, which are about the host
    /// or an address, go to sinks without this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [[{"labels": {"com.docker.compose.project": "shop"}}]]))]
    pub workloads: Vec<PlacedSelector>,
    /// The format; `alertmanager` and the templates of `webhook` have their own, as `otlp` has; `elasticsearch` and `opensearch` always get `ecs`.
    #[serde(default)]
    pub encoding: Encoding,
    /// Which updates it gets beside the first message of an alert: `all`, `rises` (of the severity), `none`. Without: `rises` for messages
    /// to people, else `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<Updates>,
    /// Lines of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSinkFile>,
    /// A syslog server or socket (RFC 5424).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<SyslogFile>,
    /// systemd's journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journald: Option<JournaldFile>,
    /// An address that takes HTTP POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookFile>,
    /// Prometheus' Alertmanager (API v2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<AlertmanagerFile>,
    /// Elasticsearch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elasticsearch: Option<ElasticsearchFile>,
    /// `OpenSearch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opensearch: Option<ElasticsearchFile>,
    /// Splunk's HTTP Event Collector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splunk: Option<SplunkFile>,
    /// Grafana Loki.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loki: Option<LokiFile>,
    /// A receiver of OpenTelemetry's protocol, such as its Collector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp: Option<OtlpFile>,
}

const fn lowest() -> Severity {
    Severity::Low
}

/// Lines of a file: one alert per line, each written and synced before it counts as delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FileSink")]
pub(in crate::config) struct FileSinkFile {
    /// The file. One that another program moves away is opened anew.
    #[schemars(extend("examples" = ["/var/log/hopwatch/alerts.jsonl"]))]
    pub path: FilePath,
    /// A new file begins at so many MiB.
    #[serde(default = "rotate_mib")]
    pub rotate_mib: Bounded<1, 65_536>,
    /// A new file begins after this time; without: never for its age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["1d"]))]
    pub rotate_after: Option<DurationText<60_000>>,
    /// Old files that are kept, as `alerts.jsonl.1` and so on.
    #[serde(default = "keep")]
    pub keep: Bounded<0, 1_000>,
}

const fn rotate_mib() -> Bounded<1, 65_536> {
    Bounded(defaults::SINK_ROTATE_MIB)
}

const fn keep() -> Bounded<0, 1_000> {
    Bounded(defaults::SINK_KEEP)
}

/// A syslog server or socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SyslogSink")]
pub(in crate::config) struct SyslogFile {
    /// Where: `udp://HOST:PORT`, `tcp://HOST:PORT`, `tls://HOST:PORT` or `unix:///PATH`. Datagrams are not confirmed by anybody.
    pub address: SyslogAddress,
    /// The facility's number; 13 is log audit, 16 local0.
    #[serde(default = "facility")]
    pub facility: Bounded<0, 23>,
    /// The private enterprise number of the structured data; 32473 is the one for examples.
    #[serde(default = "enterprise")]
    pub enterprise_number: Bounded<1, 4_294_967_295>,
    /// The longest message in bytes; a longer one is cut. Without: 1180 for `udp`, else 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Bounded<480, 1_048_576>>,
    /// Over `tcp`: messages end with a line end; without, their length stands before them (RFC 6587).
    #[serde(default)]
    pub newline: bool,
    /// A PEM file with the certificates that vouch for the server, in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<FilePath>,
}

const fn facility() -> Bounded<0, 23> {
    Bounded(defaults::SYSLOG_FACILITY)
}

const fn enterprise() -> Bounded<1, 4_294_967_295> {
    Bounded(defaults::ENTERPRISE_NUMBER)
}

/// systemd's journal: fields `HOPWATCH_*`, the whole alert in `HOPWATCH_JSON`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "JournaldSink")]
pub(in crate::config) struct JournaldFile {
    /// Its socket; without: `/run/systemd/journal/socket`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<FilePath>,
}

/// An address that takes HTTP POST. Redirects are not followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WebhookSink")]
pub(in crate::config) struct WebhookFile {
    /// The address; of one that is a secret write `url_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<HttpUrl>,
    /// The file that holds the address. Exactly one of both is given, but for `pagerduty`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_file: Option<FilePath>,
    /// Whose form the message has.
    #[serde(default)]
    pub template: Template,
    /// ntfy's topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Sentence>,
    /// The file of PagerDuty's integration key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<FilePath>,
    /// The file of a key; each request then carries `X-Hopwatch-Signature: t=SECONDS,v1=HEX`, the HMAC-SHA-256 of `SECONDS.BODY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<FilePath>,
    /// The file of a token for `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<FilePath>,
    /// A PEM file with the certificates that vouch for the server, in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<FilePath>,
    /// How long one request may take.
    #[serde(default = "timeout")]
    pub timeout: DurationText<100>,
}

/// Alertmanagers. Each gets every alert; they recognise it by its labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AlertmanagerSink")]
pub(in crate::config) struct AlertmanagerFile {
    /// Their addresses, all of them and not a load balancer's.
    #[schemars(extend("examples" = [["http://127.0.0.1:9093"]]))]
    pub urls: Located<Vec<HttpUrl>>,
    /// How often an open alert is sent again; at most a third of Alertmanager's `resolve_timeout`.
    #[serde(default = "resend")]
    pub resend: DurationText<1_000>,
    /// How long an alert without a new update stays open.
    #[serde(default = "keep_open")]
    pub keep_open: DurationText<1_000>,
    /// The file of a token for `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<FilePath>,
    /// A PEM file with the certificates that vouch for the server, in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<FilePath>,
    /// How long one request may take.
    #[serde(default = "timeout")]
    pub timeout: DurationText<100>,
}

const fn resend() -> DurationText<1_000> {
    DurationText::from_millis(defaults::ALERTMANAGER_RESEND_MS)
}

const fn keep_open() -> DurationText<1_000> {
    DurationText::from_millis(defaults::ALERTMANAGER_KEEP_OPEN_MS)
}
