//! Whether a configuration is sound as a whole: what only the stages can judge, beside what the settings tell by
//! themselves. Nothing is started and nobody is called.

use std::collections::BTreeMap;

use super::contradictions::contradictions;
use super::{AppError, Files, dex_files, profiles, wiring};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::config::{Config, PartnerConfigs, Problems};
use crate::manifest::{StreamConfigs, stream_key};
use crate::outbound::{names_private, origin};
use crate::telemetry;

/// Looks at what the settings name: the files, the rules, the filter of the log.
///
/// # Errors
/// All that is wrong, each with its place.
pub fn check(config: &Config) -> Result<Vec<String>, Problems> {
    let (files, mut problems) = match wiring::files(config, dex_files::at_hand(config)) {
        Ok(files) => (Some(files), Problems::default()),
        Err(problems) => (None, problems),
    };
    for error in profiles(config).err().into_iter().flatten() {
        problems.add("fhir.profiles_dir", error.to_string());
    }
    if telemetry::check(&config.telemetry).is_err() {
        problems.add("telemetry.log_filter", "is not a level or a list of levels by module");
    }
    match files {
        Some(files) if problems.is_empty() => Ok(warnings(config, &files, SystemClock.now())),
        _ => Err(problems),
    }
}

/// Checks the settings that [`check`] can still make something of beside those that are broken already.
pub fn check_beside(config: &Config, problems: &mut Problems) {
    let Err(found) = check(config) else { return };
    for problem in &found {
        // A key that is broken is told once.
        if !problems.iter().any(|known| known.path == problem.path) {
            problems.push(problem.clone());
        }
    }
}

/// What is legal but surely not meant.
pub(super) fn warnings(config: &Config, files: &Files, now: Timestamp) -> Vec<String> {
    let mut warnings = files.dex.warnings();
    if files.dex.has_streams() {
        warnings.extend(of_streams(config, &files.dex.rules.streams));
    }
    warnings.extend(contradictions(config, &files.dex.rules.routing));
    warnings.extend(files.signatures.warnings(now));
    warnings.extend(of_partners(&config.partner));
    warnings
}

/// The keys that name data streams without rules: what would go there is refused (W-26).
fn of_streams(config: &Config, streams: &StreamConfigs) -> Vec<String> {
    let mapping = &config.manifest.fhir;
    let default = [("manifest.fhir".to_owned(), &mapping.data_stream_id, &mapping.data_stream_route)];
    let mapped = mapping.streams.iter().enumerate().map(|(index, stream)| {
        (format!("manifest.fhir.streams[{index}]"), &stream.data_stream_id, &stream.data_stream_route)
    });
    let forwarded = config.fhir.forward.iter().enumerate().map(|(index, rule)| {
        (format!("fhir.forward[{index}]"), &rule.data_stream_id, &rule.data_stream_route)
    });
    let named = default.into_iter().chain(mapped).chain(forwarded);
    let unknown = named.filter(|(_, id, route)| streams.find(id, route).is_none());
    let mut warnings: Vec<String> = unknown
        .map(|(key, id, route)| {
            format!("{key}: data stream {id}/{route} has no rules: its uploads are refused")
        })
        .collect();
    // A name cannot be taken apart again, for both halves may have separators.
    let plain = |name: &str| stream_key(name).replace('-', "_");
    for name in config.upload.stream_expiry.keys() {
        if !streams.names().any(|known| plain(known) == plain(name)) {
            warnings.push(format!("upload.stream_expiry_hours: no data stream is called {name}"));
        }
    }
    warnings
}

/// What is told of servers of partners by their keys.
fn of_partners(partners: &PartnerConfigs) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for (name, partner) in partners {
        for (key, url) in partner.urls_by_key() {
            if !partner.private_addresses && names_private(url) {
                warnings.push(format!(
                    "partner.{name}.{key}: names an address that is not public, and private_addresses is not set: \
                     it is never called"
                ));
            }
            // Several may have their tokens from one server.
            let Some(origin) = origin(url).filter(|_| key != "credentials.token_url") else { continue };
            let owner = owners.entry(origin).or_insert(name);
            if *owner != name {
                warnings.push(format!(
                    "partner.{name}.{key}: is on a server of partner.{owner} too: whatever names only its URL goes \
                     there with the credentials and the policy of partner.{owner}"
                ));
            }
        }
    }
    warnings
}

impl From<Problems> for AppError {
    fn from(problems: Problems) -> Self {
        Self::Settings(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PartnerConfig;

    fn partner(fhir_base: &str, hosts: &[&str]) -> PartnerConfig {
        PartnerConfig {
            fhir_base: Some(fhir_base.to_owned()),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..PartnerConfig::default()
        }
    }

    type Named<'a> = &'a [(&'a str, PartnerConfig)];

    fn keys(partners: Named<'_>) -> Vec<String> {
        let partners = partners.iter().map(|(name, own)| ((*name).to_owned(), own.clone())).collect();
        let told = of_partners(&partners).into_iter();
        told.filter_map(|warning| warning.split(": ").next().map(str::to_owned)).collect()
    }

    #[test]
    fn servers_that_cannot_be_called_or_are_two_partners_are_told_with_their_keys() {
        let public = partner("https://a.example/fhir", &[]);
        let private = PartnerConfig { private_addresses: true, ..partner("http://10.0.0.1/fhir", &[]) };
        let with_tokens = |mut own: PartnerConfig| {
            own.credentials.token_url = Some("https://tokens.example/token".to_owned());
            own
        };
        let cases: [(Named<'_>, &[&str]); 6] = [
            (&[("a", public.clone()), ("b", partner("https://b.example", &[])), ("c", private)], &[]),
            (
                &[("a", partner("http://10.0.0.1/fhir", &["https://localhost"]))],
                &["partner.a.fhir_base", "partner.a.hosts[0]"],
            ),
            (
                &[("a", partner("https://[fd00::1]", &["https://127.1:8443"]))],
                &["partner.a.fhir_base", "partner.a.hosts[0]"],
            ),
            (
                &[("a", public.clone()), ("b", partner("https://b.example", &["https://A.example:443"]))],
                &["partner.b.hosts[0]"],
            ),
            (&[("a", partner("https://a.example/1", &["https://a.example"]))], &[]),
            (&[("a", with_tokens(public)), ("b", with_tokens(partner("https://b.example", &[])))], &[]),
        ];
        for (partners, expected) in cases {
            assert_eq!(keys(partners), expected, "{partners:?}");
        }
    }

    /// W-26: settings against streams, whatever the letter case.
    #[test]
    fn w_26_settings_that_name_a_data_stream_without_rules_are_told() {
        let mut config = Config::defaults_in(std::path::Path::new("/srv/gateway")).expect("they are sound");
        let streams = StreamConfigs::built_in();
        config.upload.stream_expiry.insert("CDEX_Attachment".to_owned(), std::time::Duration::ZERO);
        assert_eq!(of_streams(&config, &streams), Vec::<String>::new());
        config.manifest.fhir.data_stream_id = "other".to_owned();
        config.upload.stream_expiry.insert("cdex_attachments".to_owned(), std::time::Duration::ZERO);
        assert_eq!(
            of_streams(&config, &streams),
            [
                "manifest.fhir: data stream other/attachment has no rules: its uploads are refused",
                "upload.stream_expiry_hours: no data stream is called cdex_attachments",
            ]
        );
    }

    #[test]
    fn what_the_files_say_is_told_beside_what_is_broken_in_the_settings() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = Config::defaults_in(folder.path()).expect("the defaults are sound");
        assert_eq!(check(&config).expect("they are sound"), Vec::<String>::new());
        config.delivery.config_file = Some(folder.path().join("absent.yml"));
        config.fhir.profiles_dir = Some(folder.path().join("absent"));
        config.telemetry.log_filter = "=".to_owned();
        config.partner.insert(
            "a".to_owned(),
            PartnerConfig {
                credentials: crate::config::CredentialsConfig {
                    static_token: Some(crate::config::Secret::new("a\nb")),
                    ..Default::default()
                },
                ..PartnerConfig::default()
            },
        );
        let mut problems = Problems::default();
        problems.add("partner.a.credentials.static_token", "is told already");
        check_beside(&config, &mut problems);
        let mut places: Vec<&str> =
            problems.iter().map(|problem| problem.path.split(": ").next().unwrap_or_default()).collect();
        places.sort_unstable();
        assert_eq!(
            places,
            [
                "delivery.config_file",
                "fhir.profiles_dir",
                "partner.a.credentials.static_token",
                "telemetry.log_filter",
            ]
        );
    }
}
