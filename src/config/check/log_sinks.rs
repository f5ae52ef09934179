//! Sinks that store logs: where exactly they take alerts, and in which form.

use super::Check;
use super::http::{Access, below, endpoint, http, path};
use crate::alert::render::encoding::Encoding;
use crate::config::file::{ElasticsearchFile, LokiFile, OtlpFile, SinkFile, SplunkFile};
use crate::config::located::Located;
use crate::config::problem::quoted;
use crate::config::scalar::Label;
use crate::config::sinks::{
    Credentials, Destination, ElasticsearchDestination, LokiDestination, OtlpDestination, SplunkDestination,
    TokenScheme, UrlSource,
};

/// What of an answer is read: without it, each item repeats the index and its shards.
const BULK: &str = "_bulk?filter_path=errors,items.*.status,items.*._id,items.*.error.type,items.*.error.reason,\
                    items.*.failure_store";

impl Check<'_> {
    /// The place, where it is one of these.
    pub(super) fn log_sink(&mut self, name: &Located<Label>, file: &SinkFile) -> Option<Destination> {
        if let Some(file) = &file.elasticsearch {
            return Some(Destination::Elasticsearch(self.elasticsearch(name, file)));
        }
        if let Some(file) = &file.opensearch {
            return Some(Destination::Opensearch(self.elasticsearch(name, file)));
        }
        if let Some(file) = &file.splunk {
            return Some(Destination::Splunk(splunk(file)));
        }
        if let Some(file) = &file.loki {
            return Some(Destination::Loki(self.loki(name, file)));
        }
        file.otlp.as_ref().map(|file| Destination::Otlp(self.otlp(name, file)))
    }

    fn elasticsearch(&mut self, name: &Located<Label>, file: &ElasticsearchFile) -> ElasticsearchDestination {
        let access = Access::new(
            (TokenScheme::ApiKey, file.api_key_file.as_ref()),
            file.user.as_ref(),
            file.password_file.as_ref(),
        );
        let credentials = self.credentials(name, &access);
        let url = UrlSource::Inline(below(&file.url, &format!("{}/{BULK}", file.data_stream.0)));
        ElasticsearchDestination { http: http(url, credentials, file.ca_file.as_ref(), file.timeout) }
    }

    fn loki(&mut self, name: &Located<Label>, file: &LokiFile) -> LokiDestination {
        let access = Access::new(
            (TokenScheme::Bearer, file.token_file.as_ref()),
            file.user.as_ref(),
            file.password_file.as_ref(),
        );
        let credentials = self.credentials(name, &access);
        if file.tenant.as_ref().is_some_and(|tenant| !tenant.0.chars().all(|c| c.is_ascii_graphic())) {
            let message = format!("the sink {} has a tenant that no header can hold", quoted(&name.value.0));
            self.report(name.span, message, Some("write it without blanks, in ASCII".to_owned()));
        }
        let url = UrlSource::Inline(endpoint(&file.url, "loki/api/v1/push"));
        LokiDestination {
            http: http(url, credentials, file.ca_file.as_ref(), file.timeout),
            tenant: file.tenant.as_ref().map(|tenant| tenant.0.clone()),
            structured_metadata: file.structured_metadata,
        }
    }

    fn otlp(&mut self, name: &Located<Label>, file: &OtlpFile) -> OtlpDestination {
        let access = Access::new(
            (TokenScheme::Bearer, file.token_file.as_ref()),
            file.user.as_ref(),
            file.password_file.as_ref(),
        );
        let credentials = self.credentials(name, &access);
        let url = UrlSource::Inline(endpoint(&file.url, "v1/logs"));
        OtlpDestination { http: http(url, credentials, file.ca_file.as_ref(), file.timeout) }
    }

    /// The format that a sink has whatever is written, where it has one.
    pub(super) fn encoding(&mut self, name: &Located<Label>, file: &SinkFile) -> Encoding {
        if file.elasticsearch.is_none() && file.opensearch.is_none() {
            return file.encoding;
        }
        if !matches!(file.encoding, Encoding::Hopwatch | Encoding::Ecs) {
            let message = format!("the sink {} cannot have this encoding", quoted(&name.value.0));
            let help = "elasticsearch and opensearch get ecs, whose @timestamp a data stream needs; remove encoding";
            self.report(name.span, message, Some(help.to_owned()));
        }
        Encoding::Ecs
    }
}

/// The event collector has an address for events and one for their acknowledgement.
fn splunk(file: &SplunkFile) -> SplunkDestination {
    let credentials = Credentials::Token { scheme: TokenScheme::Splunk, file: path(&file.token_file) };
    let events = UrlSource::Inline(below(&file.url, "services/collector/event"));
    SplunkDestination {
        http: http(events, Some(credentials), file.ca_file.as_ref(), file.timeout),
        ack_url: below(&file.url, "services/collector/ack"),
        acknowledge: file.acknowledge.then(|| file.ack_timeout.get()),
        channel: file.channel.as_ref().map(|channel| channel.0.clone()),
        index: file.index.as_ref().map(|index| index.0.clone()),
        source_type: file.source_type.0.clone(),
    }
}
