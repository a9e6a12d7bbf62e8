//! `[screening]`: what is looked at before something is delivered, and what follows from it.

use std::time::Duration;

use serde::Deserialize;

use super::{Problems, unit};

/// What is looked at, and what follows from it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreeningConfig {
    /// Media types that may be delivered, `image/*` for a family; all if empty.
    pub allow: Vec<String>,
    /// What becomes of bytes that are not what they are said to be, or not of an allowed type.
    pub on_mismatch: Reaction,
    /// What looks for malicious content: `none`, `clamd:HOST:PORT`, `clamd:/PATH` or `http(s)://URL`.
    pub scanner: String,
    /// What becomes of malicious content.
    pub on_infected: Reaction,
    /// How long the scanner may take: with clamd for each step, over HTTP for all.
    #[serde(rename = "scanner_timeout_secs", deserialize_with = "unit::seconds")]
    pub scanner_timeout: Duration,
}

/// What follows from something that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reaction {
    /// It is told, and delivered all the same.
    Note,
    /// It is told, and held until somebody asks for its delivery.
    Quarantine,
}

/// What looks for malicious content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScannerAddress<'a> {
    /// Nothing.
    None,
    /// clamd, at `host:port` or the path of its socket.
    Clamd(&'a str),
    /// A service at this URL.
    Http(&'a str),
}

impl ScreeningConfig {
    /// The scanner that `scanner` names; none of a form that there is not.
    pub fn scanner(&self) -> Option<ScannerAddress<'_>> {
        let text = self.scanner.as_str();
        match text.split_once(':') {
            None if text == "none" => Some(ScannerAddress::None),
            Some(("clamd", path)) if path.len() > 1 && path.starts_with('/') => {
                Some(ScannerAddress::Clamd(path))
            }
            Some(("clamd", address)) => {
                let (host, port) = address.rsplit_once(':')?;
                let is_right = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0);
                is_right.then_some(ScannerAddress::Clamd(address))
            }
            Some(("http" | "https", rest)) if rest.len() > 2 && rest.starts_with("//") => {
                Some(ScannerAddress::Http(text))
            }
            _ => None,
        }
    }

    pub(super) fn validate(&self, problems: &mut Problems) {
        for (index, allowed) in self.allow.iter().enumerate() {
            let is_type = allowed.split_once('/').is_some_and(|(family, name)| {
                !family.is_empty() && !name.is_empty() && !allowed.contains([';', ' ', ','])
            });
            if !is_type {
                problems.add(
                    &format!("screening.allow[{index}]"),
                    "must be a media type such as image/png or image/*",
                );
            }
        }
        if self.scanner().is_none() {
            problems.add(
                "screening.scanner",
                "must be none, clamd:HOST:PORT, clamd:/PATH or a URL of http or https",
            );
        }
        problems.refuse_zero("screening.scanner_timeout_secs", self.scanner_timeout.as_secs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scanner_is_named_in_one_of_four_ways() {
        use ScannerAddress::{Clamd, Http, None as Nothing};
        for (text, expected) in [
            ("none", Some(Nothing)),
            ("clamd:127.0.0.1:3310", Some(Clamd("127.0.0.1:3310"))),
            ("clamd:[::1]:3310", Some(Clamd("[::1]:3310"))),
            ("clamd:/run/clamd.sock", Some(Clamd("/run/clamd.sock"))),
            ("https://scan.example/v1", Some(Http("https://scan.example/v1"))),
            ("", None),
            ("clamd", None),
            ("clamd:", None),
            ("clamd:/", None),
            ("clamd:host", None),
            ("clamd:host:0", None),
            ("http:scan", None),
            ("icap://scan", None),
        ] {
            let config = ScreeningConfig {
                allow: Vec::new(),
                on_mismatch: Reaction::Note,
                scanner: text.to_owned(),
                on_infected: Reaction::Quarantine,
                scanner_timeout: Duration::from_secs(1),
            };
            assert_eq!(config.scanner(), expected, "{text}");
        }
    }
}
