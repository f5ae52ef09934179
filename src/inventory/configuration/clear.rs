//! Which settings may be shown, and what is left of the others.
//!
//! Contract: what is not on a list here is hashed. Of a command, the program and the names of its options are shown; of an address,
//! everything but credentials and query. Limits: [`MAX_ARGUMENTS`], [`MAX_VARIABLES`] and [`MAX_TEXT`]; beyond, arguments and variables are
//! left out, and a text is hashed. Design: a list of what is no secret, because a list of secrets is never complete.

use super::Scope;
use crate::input::{Setting, Variable};

/// Words of one command.
const MAX_ARGUMENTS: usize = 256;
/// Variables of one container.
const MAX_VARIABLES: usize = 1024;
/// Bytes of a value that is shown.
const MAX_TEXT: usize = 4096;

/// Proxies, as each program reads its own spelling of them.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "NO_PROXY"];

/// Variables whose values are paths or switches that decide which certificates are trusted.
const TRUST: [&str; 11] = [
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "GIT_SSL_NO_VERIFY",
    "NODE_EXTRA_CA_CERTS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "PIP_CERT",
    "PYTHONHTTPSVERIFY",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

/// Variables that switch telemetry, or say where it goes.
const TELEMETRY: [&str; 14] = [
    "DD_AGENT_HOST",
    "DD_TRACE_ENABLED",
    "ELASTIC_APM_ACTIVE",
    "ELASTIC_APM_ENABLED",
    "ELASTIC_APM_SERVER_URL",
    "LOGSPOUT",
    "NEW_RELIC_ENABLED",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_LOGS_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
];

/// Variables that make a program load code before its own.
const HOOKS: [&str; 7] =
    ["BASH_ENV", "JAVA_TOOL_OPTIONS", "LD_AUDIT", "LD_LIBRARY_PATH", "LD_PRELOAD", "NODE_OPTIONS", "PYTHONPATH"];

/// Options of log drivers that hold addresses, sizes and switches.
const LOG_OPTIONS: [&str; 24] = [
    "awslogs-endpoint",
    "awslogs-group",
    "awslogs-region",
    "awslogs-stream",
    "cache-disabled",
    "compress",
    "fluentd-address",
    "fluentd-async",
    "fluentd-async-connect",
    "gcp-project",
    "gelf-address",
    "gelf-compression-type",
    "loki-url",
    "max-buffer-size",
    "max-file",
    "max-size",
    "mode",
    "path",
    "splunk-index",
    "splunk-url",
    "splunk-verify-connection",
    "syslog-address",
    "syslog-facility",
    "syslog-format",
];

/// An environment, in its order: `NAME=VALUE` each.
pub fn variables<'a>(scope: Scope<'_>, lines: impl Iterator<Item = &'a str>) -> Vec<Variable> {
    let split = |line: &'a str| line.split_once('=').unwrap_or((line, ""));
    let variable =
        |(name, value): (&str, &str)| Variable { name: shortened(name), value: value_of(scope, name, value) };
    lines.take(MAX_VARIABLES).map(split).map(variable).collect()
}

/// Whether programs read a variable of this name as their proxy, or as the destinations without one: most in capitals or in small letters,
/// Python's urllib in any mixture.
pub fn is_proxy_variable(name: &str) -> bool {
    PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
}

/// Whether a variable of this name decides which certificates are trusted.
pub fn is_trust_variable(name: &str) -> bool {
    TRUST.contains(&name)
}

/// Whether a variable of this name switches telemetry, or says where it goes.
pub fn is_telemetry_variable(name: &str) -> bool {
    name.starts_with("OTEL_") || TELEMETRY.contains(&name)
}

/// Whether a variable of this name makes a program load code before its own.
pub fn is_hook_variable(name: &str) -> bool {
    HOOKS.contains(&name)
}

fn value_of(scope: Scope<'_>, name: &str, value: &str) -> Setting {
    let is_shown = is_proxy_variable(name) || is_trust_variable(name) || TELEMETRY.contains(&name);
    if is_shown { shown(scope, "environment", name, value) } else { scope.hide("environment", name, value) }
}

/// An option of a log driver.
pub fn log_option(scope: Scope<'_>, name: &str, value: &str) -> Setting {
    if LOG_OPTIONS.contains(&name) { shown(scope, "logging", name, value) } else { scope.hide("logging", name, value) }
}

pub(super) fn shown(scope: Scope<'_>, field: &str, name: &str, value: &str) -> Setting {
    if value.len() > MAX_TEXT { scope.hide(field, name, value) } else { Setting::Clear(without_credentials(value)) }
}

/// An address or a list of names without user, password, query and fragment. Everything before the last `@` goes, also where that
/// `@` is not where a URL has it: what looks odd may be a password with a slash in it.
pub fn without_credentials(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, after)| after);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    if scheme.is_empty() || scheme.contains('@') { rest.to_owned() } else { format!("{scheme}://{rest}") }
}

/// A command: its program and the names of its options in clear, everything else hashed.
pub fn command<'a>(scope: Scope<'_>, field: &str, words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut all = Vec::new();
    for (number, word) in words.take(MAX_ARGUMENTS).enumerate() {
        let hide = |name: &str, value: &str| scope.hide(field, name, value).to_string();
        let text = match (number, option_name(word)) {
            (0, _) => shortened(word),
            (_, Some(name)) if name.len() == word.len() => name.to_owned(),
            (_, Some(name)) => {
                let value = word.get(name.len()..).unwrap_or_default();
                let (equals, value) = value.strip_prefix('=').map_or(("", value), |value| ("=", value));
                format!("{name}{equals}{}", hide(name, value))
            }
            (number, None) => hide(&number.to_string(), word),
        };
        all.push(text);
    }
    all
}

/// The name of an option: `--password` of `--password=x`, `-p` of `-px`. A word that is no option has none.
pub fn option_name(word: &str) -> Option<&str> {
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let name = word.split('=').next().unwrap_or_default();
    if let Some(long) = name.strip_prefix("--") {
        return (long.len() <= 64 && is_name(long)).then_some(name);
    }
    let letter = name.strip_prefix('-')?.chars().next().filter(char::is_ascii_alphanumeric);
    letter.and_then(|_| name.get(..2))
}

/// The first [`MAX_TEXT`] bytes, at a character.
fn shortened(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::configuration::HashKey;

    const NONE: Scope<'_> = Scope { key: None, service: "web" };

    #[test]
    fn credentials_never_stay() {
        for (text, left) in [
            ("http://user:secret@proxy:3128", "http://proxy:3128"),
            ("user:secret@proxy:3128", "proxy:3128"),
            ("http://user:sec/ret@proxy:3128/", "http://proxy:3128/"),
            ("http://user:sec@ret@proxy", "http://proxy"),
            ("https://logs.example/push?token=secret#secret", "https://logs.example/push"),
            ("secret://x@y", "secret://y"),
            ("secret@x://y", "y"),
            ("localhost,.internal,10.0.0.0/8", "localhost,.internal,10.0.0.0/8"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(text), left, "{text}");
        }
    }

    #[test]
    fn a_command_shows_its_program_and_option_names() {
        let key = HashKey::new([7; 32]);
        let scope = Scope { key: Some(&key), service: "db" };
        let words = ["mysqld", "--user=root", "-psecret", "--verbose", "secret", "-x", "--odd secret", "-", "--"];
        let text = command(scope, "command", words.into_iter());
        assert_eq!(text.len(), words.len());
        assert!(!text.iter().any(|word| word.contains("secret") || word.contains("root")), "{text:?}");
        assert_eq!(&text[..1], ["mysqld"]);
        assert!(text[1].starts_with("--user=hk") && text[2].starts_with("-phk") && text[3] == "--verbose", "{text:?}");
        assert_ne!(text[4], command(scope, "command", ["mysqld", "", "", "", "other"].into_iter())[4]);
    }

    #[test]
    fn variables_keep_their_order_and_the_first_counts() {
        let all = variables(NONE, ["A=1", "no_proxy=*", "No_Proxy=*", "no_proxy=x", "BARE"].into_iter());
        let names: Vec<&str> = all.iter().map(|variable| variable.name.as_str()).collect();
        assert_eq!(names, ["A", "no_proxy", "No_Proxy", "no_proxy", "BARE"]);
        assert_eq!(all[1].value, Setting::Clear("*".into()));
        assert_eq!(all[2].value, Setting::Clear("*".into()), "Python reads every spelling");
        assert_eq!(all[0].value, Setting::Present);
    }
}
