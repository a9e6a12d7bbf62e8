//! `[fhir.upstream]`: the FHIR server of an EHR, to which reads and searches of some resource types go.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::server::is_web_url;
use super::{Problems, Secret, unit};

/// Resource types that are never passed on: the gateway's own work is in them, or they are in no repository.
const OWN_TYPES: [&str; 8] = [
    "AuditEvent",
    "CapabilityStatement",
    "OperationDefinition",
    "OperationOutcome",
    "Parameters",
    "SearchParameter",
    "Subscription",
    "Task",
];

/// The largest answer that can be asked for.
const LARGEST_ANSWER: usize = 1 << 30;

/// Which resources are elsewhere, and how they are reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// The base URL of the server; without one nothing is passed on.
    pub url: Option<String>,
    /// The resource types that live there.
    pub types: Vec<String>,
    /// Where tokens are issued; unset, the server's `.well-known/smart-configuration` says it.
    pub token_url: Option<String>,
    /// The id under which the gateway is registered there.
    pub client_id: Option<String>,
    /// The private key that it is registered with, in PEM; absolute once loaded.
    pub key_file: Option<PathBuf>,
    /// The name of the key, where the registration has several.
    pub key_id: Option<String>,
    /// The scopes to ask for; [`UpstreamConfig::scope`] fills it in.
    pub scope: Option<String>,
    /// A token that never changes, instead of all that.
    pub static_token: Option<Secret>,
    /// Time for one interaction, the token included.
    #[serde(rename = "timeout_ms", deserialize_with = "unit::milliseconds")]
    pub timeout: Duration,
    /// The largest answer.
    pub max_answer_bytes: usize,
    /// Whether the names in `url` and `token_url` may lead to addresses that are not public.
    pub allow_private_addresses: bool,
}

impl UpstreamConfig {
    /// The scopes to ask for: those set, or reading and searching the types.
    pub fn scope(&self) -> String {
        self.scope.clone().unwrap_or_else(|| {
            let scopes: Vec<String> = self.types.iter().map(|name| format!("system/{name}.rs")).collect();
            scopes.join(" ")
        })
    }

    pub(super) fn validate(&self, problems: &mut Problems) {
        let url_rule =
            "must be http:// or https:// with a host, and perhaps a path; no user, query or fragment";
        for (name, url) in [("url", &self.url), ("token_url", &self.token_url)] {
            if url.as_deref().is_some_and(|url| !is_web_url(url)) {
                problems.add(&path(name), url_rule);
            }
        }
        self.validate_types(problems);
        self.validate_credentials(problems);
        let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        problems.refuse_zero(&path("timeout_ms"), millis);
        problems.refuse_outside(&path("max_answer_bytes"), self.max_answer_bytes, LARGEST_ANSWER);
    }

    /// Whether R4 has such types is checked where its types are known.
    fn validate_types(&self, problems: &mut Problems) {
        let is_used = !self.types.is_empty() || self.client_id.is_some() || self.static_token.is_some();
        match &self.url {
            None if is_used => problems.add(&path("url"), "is missing, and the rest of the section needs it"),
            Some(_) if self.types.is_empty() => problems.add(&path("types"), "names no resource type"),
            None | Some(_) => {}
        }
        let mut known = BTreeSet::new();
        for (index, name) in self.types.iter().enumerate() {
            let at = path(&format!("types[{index}]"));
            if OWN_TYPES.contains(&name.as_str()) {
                problems.add(&at, "is a resource type that the gateway keeps itself");
            }
            if !known.insert(name) {
                problems.add(&at, "is named twice");
            }
        }
    }

    fn validate_credentials(&self, problems: &mut Problems) {
        let of_client = [
            ("client_id", self.client_id.is_some()),
            ("key_file", self.key_file.is_some()),
            ("token_url", self.token_url.is_some()),
            ("key_id", self.key_id.is_some()),
            ("scope", self.scope.is_some()),
        ];
        let given = || of_client.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name);
        if let Some(token) = &self.static_token {
            for name in given() {
                problems.add(&path(name), "has no effect beside static_token");
            }
            let token = token.reveal();
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                problems.add(&path("static_token"), "must be visible ASCII characters without spaces");
            }
        } else if given().next().is_some() {
            for (name, is_given) in &of_client[..2] {
                if !is_given {
                    problems.add(&path(name), "is missing: client_id and key_file belong together");
                }
            }
        }
        for (name, text) in [("client_id", &self.client_id), ("key_id", &self.key_id), ("scope", &self.scope)]
        {
            if text.as_deref().is_some_and(str::is_empty) {
                problems.add(&path(name), "is empty");
            }
        }
    }

    pub(super) fn warn(&self, handler_timeout: Duration, warnings: &mut Vec<String>) {
        if self.url.is_some() && self.timeout >= handler_timeout {
            warnings.push(
                "fhir.upstream.timeout_ms: not shorter than server.handler_timeout_secs, which then decides"
                    .to_owned(),
            );
        }
        for (name, url) in [("url", &self.url), ("token_url", &self.token_url)] {
            if url.as_deref().is_some_and(is_unprotected) {
                warnings.push(format!(
                    "fhir.upstream.{name}: not https, so that patients' data and tokens go unprotected"
                ));
            }
        }
    }
}

/// Whether what is sent there can be read on its way.
pub(super) fn is_unprotected(url: &str) -> bool {
    let own_machine = ["localhost", "127.", "[::1]"];
    url.strip_prefix("http://").is_some_and(|rest| !own_machine.iter().any(|host| rest.starts_with(host)))
}

fn path(key: &str) -> String {
    format!("fhir.upstream.{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(change: impl FnOnce(&mut UpstreamConfig)) -> Vec<String> {
        let mut config = UpstreamConfig {
            url: Some("https://ehr.example.org/fhir".to_owned()),
            types: vec!["Patient".to_owned(), "Condition".to_owned()],
            token_url: None,
            client_id: None,
            key_file: None,
            key_id: None,
            scope: None,
            static_token: None,
            timeout: Duration::from_secs(20),
            max_answer_bytes: 1 << 24,
            allow_private_addresses: false,
        };
        change(&mut config);
        let mut problems = Problems::default();
        config.validate(&mut problems);
        problems.iter().map(|problem| problem.path.trim_start_matches("fhir.upstream.").to_owned()).collect()
    }

    fn with_key(config: &mut UpstreamConfig) {
        config.client_id = Some("gateway".to_owned());
        config.key_file = Some("key.pem".into());
    }

    #[test]
    fn only_lines_that_others_can_read_are_warned_about() {
        for (url, is_told) in [
            ("https://ehr.example.org/fhir", false),
            ("http://127.0.0.1:8080/fhir", false),
            ("http://localhost/fhir", false),
            ("http://[::1]/fhir", false),
            ("http://ehr.example.org/fhir", true),
            ("http://10.1.2.3/fhir", true),
        ] {
            assert_eq!(is_unprotected(url), is_told, "{url}");
        }
    }

    #[test]
    fn whatever_is_wrong_is_told_with_its_key() {
        type Change = fn(&mut UpstreamConfig);
        let cases: &[(Change, &[&str])] = &[
            (|_| {}, &[]),
            (with_key, &[]),
            (|c| (c.static_token, c.types) = (Some(Secret::new("abc")), vec!["Binary".to_owned()]), &[]),
            (|c| (c.url, c.types) = (None, Vec::new()), &[]),
            (|c| c.url = None, &["url"]),
            (|c| c.url = Some("ehr.example.org".to_owned()), &["url"]),
            (|c| c.url = Some("https://ehr.example.org/?a=b".to_owned()), &["url"]),
            (|c| c.types.clear(), &["types"]),
            (
                |c| c.types = ["Task", "Patient", "Patient"].map(str::to_owned).into(),
                &["types[0]", "types[2]"],
            ),
            (
                |c| c.types = ["Subscription", "Parameters"].map(str::to_owned).into(),
                &["types[0]", "types[1]"],
            ),
            (|c| c.client_id = Some("gateway".to_owned()), &["key_file"]),
            (|c| c.key_file = Some("key.pem".into()), &["client_id"]),
            (|c| c.scope = Some("system/*.rs".to_owned()), &["client_id", "key_file"]),
            (|c| (with_key(c), c.token_url = Some("nowhere".to_owned())).1, &["token_url"]),
            (|c| (with_key(c), c.key_id = Some(String::new())).1, &["key_id"]),
            (|c| (with_key(c), c.static_token = Some(Secret::new("abc"))).1, &["client_id", "key_file"]),
            (|c| c.static_token = Some(Secret::new("a b")), &["static_token"]),
            (|c| c.static_token = Some(Secret::new("")), &["static_token"]),
            (|c| c.timeout = Duration::ZERO, &["timeout_ms"]),
            (|c| c.max_answer_bytes = 0, &["max_answer_bytes"]),
            (|c| c.max_answer_bytes = LARGEST_ANSWER + 1, &["max_answer_bytes"]),
        ];
        for (number, (change, paths)) in cases.iter().enumerate() {
            assert_eq!(section(change), *paths, "case {number}");
        }
    }
}
