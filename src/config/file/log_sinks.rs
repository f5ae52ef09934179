//! Sinks that store logs and search them, in the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::defaults;
use crate::config::scalar::{DataStream, DurationText, FilePath, Guid, HttpUrl, Sentence};

/// Elasticsearch or `OpenSearch`: each alert is a document of a data stream, with the alert's id and update as its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ElasticsearchSink")]
pub(in crate::config) struct ElasticsearchFile {
    /// The address of a node, or of what distributes requests to the nodes.
    #[schemars(extend("examples" = ["https://search.example:9200"]))]
    pub url: HttpUrl,
    /// The data stream. An index template must say that it is one: Elasticsearch has one for `logs-*-*`, `OpenSearch` has none.
    #[serde(default = "data_stream")]
    pub data_stream: DataStream,
    /// The user, for basic authentication; `password_file` belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Sentence>,
    /// The file of the user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<FilePath>,
    /// The file of an API key, as `encoded` in the answer that made it; in place of `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<FilePath>,
    /// A PEM file with the certificates that vouch for the server, in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<FilePath>,
    /// How long one request may take.
    #[serde(default = "timeout")]
    pub timeout: DurationText<100>,
}

fn data_stream() -> DataStream {
    DataStream(defaults::DATA_STREAM.to_owned())
}

pub(super) const fn timeout() -> DurationText<100> {
    DurationText::from_millis(defaults::SINK_TIMEOUT_MS)
}

/// Splunk's HTTP Event Collector: each alert is an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SplunkSink")]
pub(in crate::config) struct SplunkFile {
    /// The collector's address.
    #[schemars(extend("examples" = ["https://splunk.example:8088"]))]
    pub url: HttpUrl,
    /// The file of the collector's token.
    pub token_file: FilePath,
    /// Whether an alert counts as delivered only when an indexer acknowledged it; the token must have indexer acknowledgement.
    #[serde(default = "yes")]
    pub acknowledge: bool,
    /// What is not acknowledged within this time is sent again.
    #[serde(default = "ack_timeout")]
    pub ack_timeout: DurationText<100>,
    /// The channel, a GUID; without: a new one in each run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Guid>,
    /// The index; without: the token's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Sentence>,
    /// The source type.
    #[serde(default = "source_type")]
    pub source_type: Sentence,
    /// A PEM file with the certificates that vouch for the server, in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<FilePath>,
    /// How long one request may take.
    #[serde(default = "timeout")]
    pub timeout: DurationText<100>,
}

const fn yes() -> bool {
    true
}

const fn ack_timeout() -> DurationText<100> {
    DurationText::from_millis(defaults::SPLUNK_ACK_TIMEOUT_MS)
}

fn source_type() -> Sentence {
    Sentence(defaults::SPLUNK_SOURCE_TYPE.to_owned())
}

/// Grafana Loki: each alert is a line of the stream of its host, rule and severity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LokiSink")]
pub(in crate::config) struct LokiFile {
    /// Loki's address.
    #[schemars(extend("examples" = ["http://127.0.0.1:3100"]))]
    pub url: HttpUrl,
    /// The tenant, where Loki has several (`X-Scope-OrgID`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Sentence>,
    /// Whether the workload, the alert's id and other texts go along as structured metadata, which Loki takes from schema 13 on.
    #[serde(default = "yes")]
    pub structured_metadata: bool,
    /// The user, for basic authentication; `password_file` belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Sentence>,
    /// The file of the user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<FilePath>,
    /// The file of a token for `Authorization: Bearer`; in place of `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<FilePath>,
    /// A PEM file with the certificates that vouch for the server, in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<FilePath>,
    /// How long one request may take.
    #[serde(default = "timeout")]
    pub timeout: DurationText<100>,
}

/// A receiver of OpenTelemetry's protocol over HTTP, in JSON: each alert is a log record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "OtlpSink")]
pub(in crate::config) struct OtlpFile {
    /// Its address; `/v1/logs` is added where it does not stand there.
    #[schemars(extend("examples" = ["http://127.0.0.1:4318"]))]
    pub url: HttpUrl,
    /// The user, for basic authentication; `password_file` belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Sentence>,
    /// The file of the user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<FilePath>,
    /// The file of a token for `Authorization: Bearer`; in place of `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<FilePath>,
    /// A PEM file with the certificates that vouch for the server, in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<FilePath>,
    /// How long one request may take.
    #[serde(default = "timeout")]
    pub timeout: DurationText<100>,
}
