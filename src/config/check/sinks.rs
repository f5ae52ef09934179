//! Sinks: exactly one place each, and what that place needs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::http::{bearer, http, path};
use super::{Check, selectors};
use crate::alert::render::chat::Template;
use crate::config::defaults;
use crate::config::file::{AlertmanagerFile, FileSinkFile, PlacedSelector, SinkFile, SyslogFile, WebhookFile};
use crate::config::located::Located;
use crate::config::problem::{quoted, suggestion};
use crate::config::scalar::{Bounded, DurationText, Label};
use crate::config::sinks::{
    AlertmanagerDestination, Destination, FileDestination, SinkConfig, SyslogDestination, SyslogTransport, Updates,
    UrlSource, WebhookDestination,
};
use crate::detect::rules;
use crate::path::checked_glob;

/// MiB to bytes.
const MIB: u64 = 1 << 20;
/// What a sink can have one of.
const PLACES: &str = "file, syslog, journald, webhook, alertmanager, elasticsearch, opensearch, splunk, loki and otlp";
/// Where PagerDuty takes events.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

impl Check<'_> {
    pub(super) fn sinks(&mut self, file: &BTreeMap<Located<Label>, Located<SinkFile>>) -> Vec<SinkConfig> {
        file.iter().flat_map(|(name, sink)| self.sink(name, sink)).collect()
    }

    /// One for each receiver, since each has its own progress.
    fn sink(&mut self, name: &Located<Label>, sink: &Located<SinkFile>) -> Vec<SinkConfig> {
        let file = &sink.value;
        if places(file) != 1 && self.is_whole(sink) {
            let message = format!("the sink {} must have exactly one place to deliver to", quoted(&name.value.0));
            let help = format!("give one of {PLACES}");
            self.report(name.span, message, Some(help));
        }
        let rules = file.rules.iter().filter_map(|rule| self.rule_glob(rule)).collect::<Vec<_>>();
        file.workloads.iter().for_each(|selector| self.is_known_to_alerts(selector));
        let encoding = self.encoding(name, file);
        let destinations = self.destinations_of(name, file);
        let count = destinations.len();
        let named = |at: usize| if count == 1 { name.value.0.clone() } else { format!("{}-{}", name.value.0, at + 1) };
        let one = |(at, to): (usize, Destination)| SinkConfig {
            name: named(at),
            severity: file.severity,
            rules: rules.clone(),
            workloads: selectors(&file.workloads),
            encoding,
            updates: file.updates.unwrap_or_else(|| usual_updates(&to)),
            to,
        };
        destinations.into_iter().enumerate().map(one).collect()
    }

    fn destinations_of(&mut self, name: &Located<Label>, file: &SinkFile) -> Vec<Destination> {
        if let Some(lines) = &file.file {
            return vec![Destination::File(lines_of(lines))];
        }
        if let Some(syslog) = &file.syslog {
            return vec![Destination::Syslog(syslog_of(syslog))];
        }
        if let Some(journal) = &file.journald {
            let socket = journal.socket.as_ref().map_or_else(|| PathBuf::from(defaults::JOURNAL_SOCKET), path);
            return vec![Destination::Journald { socket }];
        }
        if let Some(webhook) = &file.webhook {
            return self.webhook(name, webhook).into_iter().map(Destination::Webhook).collect();
        }
        if let Some(to) = self.log_sink(name, file) {
            return vec![to];
        }
        file.alertmanager.iter().flat_map(|file| self.alertmanager(file)).map(Destination::Alertmanager).collect()
    }

    fn is_known_to_alerts(&mut self, selector: &PlacedSelector) {
        if !selector.value.is_by_description_alone() {
            let help = "an alert has the workload's name, image, digest and labels: select by these".to_owned();
            self.report(selector.span, "a sink cannot select by network or addresses".to_owned(), Some(help));
        }
    }

    fn rule_glob(&mut self, rule: &Located<String>) -> Option<globset::GlobMatcher> {
        let glob = checked_glob(&rule.value).ok().map(|glob| glob.compile_matcher());
        let fits = glob.as_ref().is_some_and(|glob| rules::ALL.iter().any(|known| glob.is_match(known.name)));
        if !fits {
            let known: Vec<_> = rules::ALL.iter().map(|rule| rule.name).collect();
            let help = suggestion(&rule.value, &known, "rules");
            self.report(rule.span, format!("no rule is called {}", quoted(&rule.value)), help);
        }
        glob.filter(|_| fits)
    }

    fn webhook(&mut self, name: &Located<Label>, file: &WebhookFile) -> Option<WebhookDestination> {
        let url = match (&file.url, &file.url_file) {
            (Some(url), None) => Some(UrlSource::Inline(url.0.clone())),
            (None, Some(from)) => Some(UrlSource::File(path(from))),
            (None, None) if file.template == Template::Pagerduty => Some(UrlSource::Inline(PAGERDUTY.to_owned())),
            _ => None,
        };
        let (lacks, help) = match (&url, file.template) {
            (None, _) => ("exactly one of url and url_file", "an address that is a secret belongs into url_file"),
            (_, Template::Pagerduty) if file.key_file.is_none() => {
                ("key_file", "PagerDuty's integration key stands in it")
            }
            (_, Template::Ntfy) if file.topic.is_none() => ("topic", "ntfy publishes to a topic"),
            _ => ("", ""),
        };
        if !lacks.is_empty() {
            let message = format!("the sink {} needs {lacks}", quoted(&name.value.0));
            self.report(name.span, message, Some(help.to_owned()));
        }
        Some(WebhookDestination {
            http: http(url?, bearer(file.token_file.as_ref()), file.ca_file.as_ref(), file.timeout),
            template: file.template,
            topic: file.topic.as_ref().map(|topic| topic.0.clone()),
            key_file: file.key_file.as_ref().map(path),
            secret_file: file.secret_file.as_ref().map(path),
        })
    }

    fn alertmanager(&mut self, file: &AlertmanagerFile) -> Vec<AlertmanagerDestination> {
        if file.urls.value.is_empty() && self.is_whole(&file.urls) {
            let help = Some("write one like http://127.0.0.1:9093".to_owned());
            self.report(file.urls.span, "no Alertmanager is named".to_owned(), help);
        }
        let one = |url: &crate::config::scalar::HttpUrl| {
            let url = UrlSource::Inline(format!("{}/api/v2/alerts", url.0.trim_end_matches('/')));
            AlertmanagerDestination {
                http: http(url, bearer(file.token_file.as_ref()), file.ca_file.as_ref(), file.timeout),
                resend: file.resend.get(),
                keep_open: file.keep_open.get().max(Duration::from_secs(1)),
            }
        };
        file.urls.value.iter().map(one).collect()
    }
}

/// How many places are given.
fn places(file: &SinkFile) -> usize {
    let given = [
        file.file.is_some(),
        file.syslog.is_some(),
        file.journald.is_some(),
        file.webhook.is_some(),
        file.alertmanager.is_some(),
        file.elasticsearch.is_some(),
        file.opensearch.is_some(),
        file.splunk.is_some(),
        file.loki.is_some(),
        file.otlp.is_some(),
    ];
    given.into_iter().filter(|given| *given).count()
}

/// People are told what is new and what is worse.
fn usual_updates(to: &Destination) -> Updates {
    match to {
        Destination::Webhook(webhook) => match webhook.template {
            Template::Slack | Template::Teams | Template::Ntfy => Updates::Rises,
            Template::Plain | Template::Pagerduty => Updates::All,
        },
        _ => Updates::All,
    }
}

fn lines_of(file: &FileSinkFile) -> FileDestination {
    FileDestination {
        path: path(&file.path),
        rotate_bytes: file.rotate_mib.0 * MIB,
        rotate_after: file.rotate_after.map(DurationText::get),
        keep: file.keep.small(),
    }
}

fn syslog_of(file: &SyslogFile) -> SyslogDestination {
    let transport = file.address.transport.clone();
    let usual =
        if matches!(transport, SyslogTransport::Udp(_)) { defaults::SYSLOG_DATAGRAM } else { defaults::SYSLOG_MESSAGE };
    SyslogDestination {
        transport,
        facility: u8::try_from(file.facility.0).unwrap_or(u8::MAX),
        enterprise: file.enterprise_number.small(),
        max_bytes: file.max_bytes.map_or(usual, Bounded::size),
        newline: file.newline,
        ca_file: file.ca_file.as_ref().map(path),
    }
}
