//! How Azure may read the source of a copy: whoever asks for a block from a URL must open that URL, too, even within
//! one account (Put Block From URL, Authorization).

use std::time::Duration;

use aws_lc_rs::hmac;
use object_store::azure::AzureCredential as Credential;

use super::settings::{AzureCredential, AzureSettings};
use crate::clock::Timestamp;

/// How long the source may be read by its URL: longer than any call, as our clock may be behind.
const OPEN: Duration = Duration::from_hours(1);
/// The version whose signatures these are, as the client crate asks for in every call.
const VERSION: &str = "2023-11-03";
const NANOS: i64 = 1_000_000_000;

/// The header fields that name and open a source. `url` is that of the blob, `name` its name in the container.
pub(super) fn source_fields(
    settings: &AzureSettings,
    credential: &Credential,
    (url, name): (String, &str),
    now: Timestamp,
) -> Vec<(String, String)> {
    let source = |url| ("x-ms-copy-source".to_owned(), url);
    match (&settings.credential, credential) {
        (AzureCredential::SharedKey { storage_key, .. }, _) => {
            let key = base64_simd::STANDARD.decode_to_vec(storage_key.reveal()).unwrap_or_default();
            let end = Timestamp::from_nanos(now.after(OPEN).as_nanos() / NANOS * NANOS);
            vec![source(format!("{url}?{}", signature(settings, &key, &end.to_string(), name)))]
        }
        (AzureCredential::ServicePrincipal { .. }, Credential::BearerToken(token)) => {
            vec![source(url), ("x-ms-copy-source-authorization".to_owned(), format!("Bearer {token}"))]
        }
        (AzureCredential::ServicePrincipal { .. }, _) => vec![source(url)],
    }
}

/// A service SAS that lets its holder read one blob until `end`. It has no beginning: our clock may be ahead.
fn signature(settings: &AzureSettings, key: &[u8], end: &str, name: &str) -> String {
    // The names in what is signed are not encoded, whatever they are made of.
    let resource = format!("/blob/{}/{}/{name}", settings.account(), settings.container);
    // Permissions, start, end, resource, identifier, address, protocol, version, kind, snapshot, encryption scope, and
    // five fields of answers (Create a service SAS, version 2020-12-06 and later).
    let is_secret = settings.endpoint.starts_with("https://");
    let protocol = if is_secret { "https" } else { "" };
    let fields = ["r", "", end, &resource, "", "", protocol, VERSION, "b", "", "", "", "", "", "", ""];
    let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), fields.join("\n").as_bytes());
    let sig = base64_simd::STANDARD.encode_to_string(signed);
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs([("sp", "r"), ("se", end), ("sv", VERSION), ("sr", "b"), ("sig", &sig)]);
    if is_secret {
        query.append_pair("spr", protocol);
    }
    query.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    const URL: &str = "https://lake.blob.core.windows.net/in/a%20b";
    const NOW: Timestamp = Timestamp::from_nanos(1_746_453_802_123_456_700);

    fn fields(credential: AzureCredential, of_client: &Credential) -> Vec<(String, String)> {
        let endpoint = "https://lake.blob.core.windows.net".to_owned();
        let settings = AzureSettings { endpoint, container: "in".to_owned(), credential };
        source_fields(&settings, of_client, (URL.to_owned(), "a b"), NOW)
    }

    /// Azurite checks the signature itself in the tests of buckets; here is what it cannot see.
    #[test]
    fn a_shared_key_signs_a_url_that_reads_one_blob_for_an_hour_over_tls() {
        let credential = AzureCredential::SharedKey {
            storage_account: "lake".to_owned(),
            storage_key: Secret::new("AAAA"),
        };
        let fields = fields(credential, &Credential::BearerToken("unused".to_owned()));
        let [(name, url)] = &fields[..] else { panic!("{fields:?}") };
        assert_eq!(name, "x-ms-copy-source");
        let (blob, query) = url.split_once('?').expect("it has a signature");
        assert_eq!(blob, URL);
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let of = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!((of("sp"), of("sr"), of("spr"), of("st")), (Some("r"), Some("b"), Some("https"), None));
        assert_eq!(of("se"), Some("2025-05-05T15:03:22Z"));
    }

    #[test]
    fn a_principal_shows_its_token() {
        let credential = AzureCredential::ServicePrincipal {
            tenant_id: "t".to_owned(),
            client_id: "c".to_owned(),
            client_secret: Secret::new("s"),
        };
        let told = fields(credential, &Credential::BearerToken("token".to_owned()));
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected =
            [field("x-ms-copy-source", URL), field("x-ms-copy-source-authorization", "Bearer token")];
        assert_eq!(told, expected);
    }
}
