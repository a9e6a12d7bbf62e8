//! `[partner.NAME]`: one organisation that calls or is called.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::policy::PartnerPolicyConfig;
use super::server::is_web_url;
use super::{Problems, Secret, Validation};

/// All partners, by a name of the operator's choice.
pub type PartnerConfigs = BTreeMap<String, PartnerConfig>;

/// One partner.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartnerConfig {
    /// The client that its tokens name.
    pub client_id: Option<String>,
    /// How strictly its resources are held to the rules; as `fhir.validation` says without it.
    pub validation: Option<Validation>,
    /// Business identifiers of the organisation, as `system|value`.
    pub identifiers: Vec<String>,
    /// The base URL of its FHIR server.
    pub fhir_base: Option<String>,
    /// Where it takes `$submit-attachment`; without one its `.well-known/davinci-configuration` says it.
    pub submit_url: Option<String>,
    /// Further servers that may be called on its behalf, as `https://host` or `https://host:port`.
    pub hosts: Vec<String>,
    /// Whether the names of its servers may lead to addresses that are not public.
    pub private_addresses: bool,
    /// Who we are when we call it.
    pub credentials: CredentialsConfig,
    /// What is agreed with it, where it is something else than `[policy]` says.
    pub policy: PartnerPolicyConfig,
}

/// Who we are when we call a partner: a client of SMART Backend Services, or the bearer of a token; nobody if empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CredentialsConfig {
    /// Where tokens are issued; unset, the `.well-known/smart-configuration` of `fhir_base` says it.
    pub token_url: Option<String>,
    /// The id under which the gateway is registered there.
    pub client_id: Option<String>,
    /// The private key that it is registered with, in PEM; absolute once loaded.
    pub key_file: Option<PathBuf>,
    /// The name of the key, where the registration has several.
    pub key_id: Option<String>,
    /// The scopes to ask for.
    pub scope: Option<String>,
    /// A token that never changes, instead of all that.
    pub static_token: Option<Secret>,
}

impl PartnerConfig {
    /// Every URL by which the partner may be called.
    pub fn urls(&self) -> impl Iterator<Item = &String> {
        self.fhir_base.iter().chain(&self.submit_url).chain(&self.hosts).chain(&self.credentials.token_url)
    }

    /// The same, each with its key below that of the partner.
    pub fn urls_by_key(&self) -> impl Iterator<Item = (String, &String)> {
        let hosts = (0..self.hosts.len()).map(|index| format!("hosts[{index}]"));
        let of = |url: &Option<String>, key: &str| url.is_some().then(|| key.to_owned());
        let before = of(&self.fhir_base, "fhir_base").into_iter().chain(of(&self.submit_url, "submit_url"));
        let keys = before.chain(hosts).chain(of(&self.credentials.token_url, "credentials.token_url"));
        keys.zip(self.urls())
    }

    /// Makes relative paths absolute.
    pub(super) fn resolve(&mut self) {
        if let Some(path) = &mut self.credentials.key_file
            && let Ok(absolute) = std::path::absolute(&*path)
        {
            *path = absolute;
        }
        if let Some(trust) = &mut self.policy.trust {
            trust.resolve();
        }
    }

    fn validate(&self, path: &str, problems: &mut Problems) {
        for (name, url) in [
            ("fhir_base", &self.fhir_base),
            ("submit_url", &self.submit_url),
            ("credentials.token_url", &self.credentials.token_url),
        ] {
            if url.as_deref().is_some_and(|url| !is_web_url(url)) {
                problems.add(&format!("{path}.{name}"), "must be http:// or https:// with a host; no user");
            }
        }
        for (index, host) in self.hosts.iter().enumerate() {
            let is_origin = is_web_url(host) && host.matches('/').count() == 2;
            if !is_origin {
                problems.add(&format!("{path}.hosts[{index}]"), "must be https://host or https://host:port");
            }
        }
        for (index, identifier) in self.identifiers.iter().enumerate() {
            if identifier.split_once('|').is_none_or(|(_, value)| value.is_empty()) {
                problems.add(&format!("{path}.identifiers[{index}]"), "must be system|value");
            }
        }
        if let Some(trust) = &self.policy.trust {
            trust.validate(&format!("{path}.policy.trust"), problems);
        }
        if let Some(polling) = &self.policy.polling {
            polling.validate(&format!("{path}.policy.polling"), problems);
        }
        let credentials = &self.credentials;
        if credentials.client_id.is_some() != credentials.key_file.is_some() {
            problems.add(&format!("{path}.credentials"), "client_id and key_file belong together");
        }
        if credentials.client_id.is_some() && credentials.static_token.is_some() {
            problems.add(&format!("{path}.credentials"), "client_id has no effect beside static_token");
        }
        let is_client = credentials.client_id.is_some() && credentials.key_file.is_some();
        if is_client && credentials.token_url.is_none() && self.fhir_base.is_none() {
            problems.add(
                &format!("{path}.credentials"),
                "needs token_url or fhir_base to find where tokens are issued",
            );
        }
    }
}

pub(super) fn validate(partners: &PartnerConfigs, problems: &mut Problems) {
    let mut known = BTreeMap::new();
    for (name, partner) in partners {
        let path = format!("partner.{name}");
        partner.validate(&path, problems);
        let Some(client_id) = &partner.client_id else { continue };
        let path = format!("{path}.client_id");
        if client_id.is_empty() {
            problems.add(&path, "is empty");
        } else if let Some(other) = known.insert(client_id, name) {
            problems.add(&path, format!("is that of partner.{other} too"));
        }
    }
}
