//! Sinks that store logs and search them, in the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::defaults;
use crate::config::scalar::{DataStream, DurationText, FilePath, HttpUrl, Sentence};

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
