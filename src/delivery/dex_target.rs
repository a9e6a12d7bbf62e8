//! `type: dex` of the delivery file: another DEX Upload API, or any tus 1.0.0 server, with how it is called and when a
//! delivery there counts as done.

use serde_yaml_ng::{Mapping, Value};

use super::config::{Entry, TargetConfig};
use crate::auth::{AccessToken, Credentials, DexLogin, Grant, SharedSecret};
use crate::config::Secret;
use crate::outbound::tus::Locations;
use crate::outbound::{Base, Reach, names_private};

/// Bytes in one PATCH unless the file says otherwise, and the bounds of what it may say. A chunk is held in memory.
const CHUNK_BYTES: (usize, std::ops::RangeInclusive<usize>) = (8 << 20, 64 << 10..=64 << 20);

/// Another DEX.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DexTarget {
    /// Where uploads are created.
    pub(crate) url: String,
    /// What `/{id}` is put behind to ask what became of an upload; none where that is not asked.
    pub(crate) info_url: Option<String>,
    /// Who we are there.
    pub(crate) login: DexCredential,
    /// Bytes in one PATCH.
    pub(crate) chunk_bytes: usize,
    /// How its `Location` is understood.
    pub(crate) locations: Locations,
    /// When a delivery is done.
    pub(crate) wait_for: WaitFor,
    /// The targets over there that must have it, where that is waited for; those that it names if empty.
    pub(crate) expected_targets: Vec<String>,
    /// Manifest fields that are another value there, or (empty) not sent.
    pub(crate) metadata: Vec<(String, String)>,
    /// Which addresses may be called.
    pub(crate) reach: Reach,
}

/// Who we are at another DEX.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DexCredential {
    /// Nobody.
    None,
    /// The bearer of a token that never changes.
    Token(Secret),
    /// A user with a password.
    Login(DexLogin),
    /// A client with a secret.
    Client(SharedSecret),
}

/// When a delivery to another DEX is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// When it has acknowledged every byte.
    Sent,
    /// When it also says `Complete`.
    Complete,
    /// When it has also delivered it.
    Delivered,
}

impl DexTarget {
    /// Who we are there, for the calls.
    pub(crate) fn credentials(&self) -> Credentials {
        match &self.login {
            DexCredential::None => Credentials::None,
            // The file is refused where the text is no token.
            DexCredential::Token(secret) => match AccessToken::new(secret.reveal()) {
                Some(token) => Credentials::Token(secret.clone(), token),
                None => Credentials::None,
            },
            DexCredential::Login(login) => Credentials::Granted(Grant::DexLogin(login.clone())),
            DexCredential::Client(client) => Credentials::Granted(Grant::SharedSecret(client.clone())),
        }
    }
}

/// Reads the keys of a target of this type.
pub(super) fn dex_target(entry: &mut Entry) -> TargetConfig {
    let url = web_url(entry, "url", true).unwrap_or_default();
    let wait_for = choice(
        entry,
        "wait_for",
        &[("sent", WaitFor::Sent), ("complete", WaitFor::Complete), ("delivered", WaitFor::Delivered)],
    );
    let wait_for = wait_for.unwrap_or(WaitFor::Complete);
    let info_url = web_url(entry, "info_url", false).or_else(|| info_beside(&url));
    if info_url.is_none() && wait_for != WaitFor::Sent && !url.is_empty() {
        entry.problem(
            "info_url",
            "is missing: url does not end with /upload or /files, and wait_for needs it",
        );
    }
    let locations = choice(
        entry,
        "location",
        &[("as-is", Locations::AsIs), ("rebase-host", Locations::RebaseHost), ("rebase", Locations::Rebase)],
    );
    let is_private = entry.flag("private_addresses").unwrap_or(false) || names_private(&url);
    TargetConfig::Dex(DexTarget {
        login: login(entry, &url),
        chunk_bytes: chunk_bytes(entry),
        locations: locations.unwrap_or_default(),
        expected_targets: texts(entry, "expected_targets"),
        metadata: metadata(entry),
        reach: if is_private { Reach::Everywhere } else { Reach::Public },
        url,
        info_url,
        wait_for,
    })
}

/// Where a DEX tells what became of uploads that are created at `url` (dex-upload F-02, F-09).
fn info_beside(url: &str) -> Option<String> {
    let url = url.trim_end_matches('/');
    if let Some(before) = url.strip_suffix("/files") {
        return Some(format!("{before}/info"));
    }
    url.ends_with("/upload").then(|| format!("{url}/info"))
}

/// Who we are; at most one of the ways may be chosen.
fn login(entry: &mut Entry, url: &str) -> DexCredential {
    let given: Vec<&str> = ["static_token", "username", "client_id"]
        .into_iter()
        .filter(|key| entry.map.contains_key(*key))
        .collect();
    match given[..] {
        [] => DexCredential::None,
        ["static_token"] => {
            let token = entry.text("static_token");
            if !token.is_empty() && AccessToken::new(&token).is_none() {
                entry.problem("static_token", "cannot be sent in a header field");
            }
            DexCredential::Token(Secret::new(token))
        }
        ["username"] => {
            let beside = Base::parse(url).ok().map(|base| {
                let before = base.as_str().trim_end_matches("/files").trim_end_matches("/upload");
                format!("{before}/oauth")
            });
            let oauth_url = web_url(entry, "oauth_url", false).or(beside);
            DexCredential::Login(DexLogin {
                url: oauth_url.unwrap_or_default(),
                username: entry.text("username"),
                password: Secret::new(entry.text("password")),
            })
        }
        ["client_id"] => DexCredential::Client(SharedSecret {
            token_url: web_url(entry, "token_url", true).unwrap_or_default(),
            client_id: entry.text("client_id"),
            client_secret: Secret::new(entry.text("client_secret")),
            scope: entry.optional_text("scope"),
        }),
        [first, ..] => {
            for key in ["static_token", "username", "client_id"] {
                entry.map.remove(key);
            }
            entry.problem(first, "cannot stand beside static_token, username or client_id: choose one");
            DexCredential::None
        }
    }
}

fn web_url(entry: &mut Entry, key: &str, is_needed: bool) -> Option<String> {
    let url = if is_needed {
        Some(entry.text(key)).filter(|url| !url.is_empty())
    } else {
        entry.optional_text(key)
    };
    let url = url?;
    if Base::parse(&url).is_err() {
        entry.problem(key, "must be http:// or https:// with a host; no user, query or fragment");
        return None;
    }
    Some(url.trim_end_matches('/').to_owned())
}

fn choice<T: Copy>(entry: &mut Entry, key: &str, choices: &[(&str, T)]) -> Option<T> {
    let text = entry.optional_text(key)?;
    let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
    if chosen.is_none() {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        entry.problem(key, &format!("must be one of {}", names.join(", ")));
    }
    chosen
}

fn chunk_bytes(entry: &mut Entry) -> usize {
    let (default, bounds) = CHUNK_BYTES;
    let Some(text) = entry.optional_text("chunk_bytes") else { return default };
    let number = text.parse().ok().filter(|bytes| bounds.contains(bytes));
    if number.is_none() {
        let rule = format!("must be a number from {} to {}", bounds.start(), bounds.end());
        entry.problem("chunk_bytes", &rule);
    }
    number.unwrap_or(default)
}

fn texts(entry: &mut Entry, key: &str) -> Vec<String> {
    let list = match entry.map.remove(key) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Sequence(list)) => list,
        Some(_) => {
            entry.problem(key, "must be a list");
            return Vec::new();
        }
    };
    let texts: Vec<String> = list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect();
    if texts.len() != list.len() {
        entry.problem(key, "must be a list of texts");
    }
    texts
}

fn metadata(entry: &mut Entry) -> Vec<(String, String)> {
    let map = match entry.map.remove("metadata") {
        None | Some(Value::Null) => Mapping::new(),
        Some(Value::Mapping(map)) => map,
        Some(_) => {
            entry.problem("metadata", "must be a map");
            Mapping::new()
        }
    };
    let mut fields = Vec::new();
    for (key, value) in map {
        match (key.as_str(), value.as_str()) {
            (Some(key), Some(value)) => fields.push((key.to_owned(), value.to_owned())),
            _ => entry.problem("metadata", "must be a map of texts: put them in quotes"),
        }
    }
    fields
}

#[cfg(test)]
#[path = "dex_target_tests.rs"]
mod tests;
