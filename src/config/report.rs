//! `[report]`: where reports are sent beside the database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::server::is_web_url;
use super::upstream::is_unprotected;
use super::{Problems, Secret, unit};

/// Where reports are sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportConfig {
    /// How often reports are looked for that a sink does not have.
    #[serde(rename = "poll_interval_ms", deserialize_with = "unit::milliseconds")]
    pub poll_interval: Duration,
    /// The sinks by name; each gets every report.
    #[serde(default)]
    pub sink: BTreeMap<String, SinkConfig>,
}

/// One sink. Which keys it needs depends on its type.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    /// What it is.
    #[serde(rename = "type")]
    pub sink_type: SinkType,
    /// The folder of a file sink, from the data folder on.
    pub folder: Option<PathBuf>,
    /// Where the endpoint, or the server of NATS, is.
    pub url: Option<String>,
    /// Whether the name in an endpoint's `url` may lead to an address that is not public.
    #[serde(default)]
    pub private_addresses: bool,
    /// The subject of the messages.
    pub subject: Option<String>,
    /// By what the other side knows us: a bearer token, or a token of NATS.
    pub token: Option<Secret>,
    /// Or, with NATS, a user …
    pub user: Option<String>,
    /// … and its password.
    pub password: Option<Secret>,
}

/// What a sink is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkType {
    /// Files of lines in a folder.
    File,
    /// An HTTP endpoint that reports are posted to.
    Http,
    /// A stream of NATS `JetStream`.
    Nats,
}

/// Where a sink is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkPlace<'a> {
    /// A folder.
    Folder(&'a Path),
    /// An endpoint.
    Endpoint {
        /// Its URL.
        url: &'a str,
    },
    /// A subject of NATS.
    Subject {
        /// The URL of the server.
        url: &'a str,
        /// The subject.
        subject: &'a str,
    },
}

impl SinkConfig {
    /// Where it is; nothing if a key is missing that its type needs.
    pub fn place(&self) -> Option<SinkPlace<'_>> {
        let url = self.url.as_deref();
        Some(match self.sink_type {
            SinkType::File => SinkPlace::Folder(self.folder.as_deref()?),
            SinkType::Http => SinkPlace::Endpoint { url: url? },
            SinkType::Nats => SinkPlace::Subject { url: url?, subject: self.subject.as_deref()? },
        })
    }

    fn validate(&self, at: &str, problems: &mut Problems) {
        let given = [
            ("folder", self.folder.is_some()),
            ("url", self.url.is_some()),
            ("private_addresses", self.private_addresses),
            ("subject", self.subject.is_some()),
            ("token", self.token.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
        ];
        let (needed, possible): (&[&str], &[&str]) = match self.sink_type {
            SinkType::File => (&["folder"], &["folder"]),
            SinkType::Http => (&["url"], &["url", "token", "private_addresses"]),
            SinkType::Nats => (&["url", "subject"], &["url", "subject", "token", "user", "password"]),
        };
        for (key, is_given) in given {
            if !is_given && needed.contains(&key) {
                problems.add(&format!("{at}.{key}"), "is missing");
            } else if is_given && !possible.contains(&key) {
                problems.add(&format!("{at}.{key}"), "has no effect on a sink of this type");
            }
        }
        if self.folder.as_deref().is_some_and(|folder| folder.as_os_str().is_empty()) {
            problems.add(&format!("{at}.folder"), "is empty");
        }
        match (self.sink_type, self.url.as_deref()) {
            (SinkType::Http, Some(url)) if !is_web_url(url) => {
                problems.add(
                    &format!("{at}.url"),
                    "must be http:// or https:// with a host, and perhaps a path; no user, query or fragment",
                );
            }
            (SinkType::Nats, Some(url)) if !is_nats_url(url) => {
                problems.add(&format!("{at}.url"), "must be nats://HOST:PORT or tls://HOST:PORT");
            }
            _ => {}
        }
        if self.subject.as_deref().is_some_and(|subject| !is_subject(subject)) {
            problems.add(
                &format!("{at}.subject"),
                "must be words of visible ASCII characters with dots between them, without * and >",
            );
        }
        let is_visible = |secret: &Secret| {
            let text = secret.reveal();
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if self.token.as_ref().is_some_and(|token| !is_visible(token)) {
            problems.add(&format!("{at}.token"), "must be visible ASCII characters without spaces");
        }
        if self.user.is_some() != self.password.is_some() {
            let missing = if self.user.is_some() { "password" } else { "user" };
            problems.add(&format!("{at}.{missing}"), "is missing: user and password belong together");
        }
        if self.user.is_some() && self.token.is_some() {
            problems.add(&format!("{at}.token"), "has no effect beside user");
        }
    }
}

impl ReportConfig {
    pub(super) fn validate(&self, problems: &mut Problems) {
        let millis = u64::try_from(self.poll_interval.as_millis()).unwrap_or(u64::MAX);
        problems.refuse_zero("report.poll_interval_ms", millis);
        for (name, sink) in &self.sink {
            let at = format!("report.sink.{name}");
            let is_name = (1..=64).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
            if !is_name {
                problems.add(&at, "must have a name of 1 to 64 characters of a-z, 0-9, '-' and '_'");
            }
            sink.validate(&at, problems);
        }
        let mut folders = BTreeMap::new();
        for (name, sink) in &self.sink {
            let Some(folder) = &sink.folder else { continue };
            if folders.insert(folder, name).is_some() {
                let rule = "is the folder of another sink too: a line of both would be taken for one";
                problems.add(&format!("report.sink.{name}.folder"), rule);
            }
        }
    }

    pub(super) fn warn(&self, warnings: &mut Vec<String>) {
        for (name, sink) in &self.sink {
            if sink.sink_type == SinkType::Http && sink.url.as_deref().is_some_and(is_unprotected) {
                warnings.push(format!(
                    "report.sink.{name}.url: not https, so that reports and the token go unprotected"
                ));
            }
        }
    }

    /// Places the folders of sinks below the data folder.
    pub(super) fn resolve(&mut self, data_dir: &Path) {
        for sink in self.sink.values_mut() {
            if let Some(folder) = sink.folder.as_mut().filter(|folder| !folder.as_os_str().is_empty()) {
                *folder = data_dir.join(&*folder);
            }
        }
    }
}

fn is_nats_url(text: &str) -> bool {
    let rest = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://"));
    rest.and_then(|rest| rest.rsplit_once(':')).is_some_and(|(host, port)| {
        !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_[]:".contains(&b))
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn is_subject(text: &str) -> bool {
    text.split('.')
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic() && !b"*>".contains(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(sinks: &str) -> Vec<String> {
        let config: ReportConfig =
            serde_json::from_str(&format!(r#"{{"poll_interval_ms": 1, "sink": {sinks}}}"#))
                .expect("the form of the section");
        let mut problems = Problems::default();
        config.validate(&mut problems);
        problems.iter().map(|problem| problem.path.trim_start_matches("report.sink.").to_owned()).collect()
    }

    #[test]
    fn whatever_is_wrong_with_a_sink_is_told_with_its_key() {
        let cases: &[(&str, &[&str])] = &[
            ("{}", &[]),
            (r#"{"a": {"type": "file", "folder": "reports"}}"#, &[]),
            (r#"{"a": {"type": "http", "url": "https://ps.example/reports", "token": "t"}}"#, &[]),
            (r#"{"a": {"type": "nats", "url": "nats://[::1]:4222", "subject": "dex.reports"}}"#, &[]),
            (
                r#"{"a": {"type": "nats", "url": "tls://n:1", "subject": "r", "user": "u", "password": "p"}}"#,
                &[],
            ),
            (r#"{"a": {"type": "file"}}"#, &["a.folder"]),
            (
                r#"{"a": {"type": "file", "folder": "", "url": "x", "token": "t"}}"#,
                &["a.url", "a.token", "a.folder"],
            ),
            (r#"{"a": {"type": "http"}}"#, &["a.url"]),
            (r#"{"a": {"type": "http", "url": "https://u@h/", "subject": "s"}}"#, &["a.subject", "a.url"]),
            (r#"{"a": {"type": "http", "url": "http://h", "token": "a b"}}"#, &["a.token"]),
            (r#"{"a": {"type": "nats"}}"#, &["a.url", "a.subject"]),
            (r#"{"a": {"type": "nats", "url": "nats://h", "subject": "a..b"}}"#, &["a.url", "a.subject"]),
            (
                r#"{"a": {"type": "nats", "url": "nats://u:p@h:1", "subject": "a.>"}}"#,
                &["a.url", "a.subject"],
            ),
            (
                r#"{"a": {"type": "nats", "url": "nats://h:1", "subject": "s", "user": "u", "token": "t"}}"#,
                &["a.password", "a.token"],
            ),
            (r#"{"A b": {"type": "file", "folder": "reports"}}"#, &["A b"]),
            (
                r#"{"a": {"type": "file", "folder": "x"}, "b": {"type": "file", "folder": "x"}}"#,
                &["b.folder"],
            ),
        ];
        for (sinks, expected) in cases {
            assert_eq!(problems(sinks), *expected, "{sinks}");
        }
    }
}
