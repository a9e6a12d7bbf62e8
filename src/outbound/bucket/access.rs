//! How Azure may read the source of a copy: whoever asks for a block from a URL must open that URL, too, even within
//! one account (Put Block From URL, Authorization).

use std::time::Duration;

use aws_lc_rs::hmac;
use object_store::azure::AzureCredential as Credential;

use super::settings::{AzureCredential, AzureSettings};
use crate::clock::{Clock as _, SystemClock, Timestamp};

/// How long the source may be read by its URL.
const OPEN: Duration = Duration::from_hours(1);
/// The version of the service whose signatures these are.
const VERSION: &str = "2021-08-06";
const NANOS: i64 = 1_000_000_000;

/// The header fields that name and open a source. `url` is that of the blob, `name` its name in the container.
pub(super) fn source_fields(
    settings: &AzureSettings,
    credential: &Credential,
    url: String,
    name: &str,
) -> Vec<(String, String)> {
    let source = |url| ("x-ms-copy-source".to_owned(), url);
    match (&settings.credential, credential) {
        (AzureCredential::SharedKey { storage_key, .. }, _) => {
            let key = base64_simd::STANDARD.decode_to_vec(storage_key.reveal()).unwrap_or_default();
            let end = Timestamp::from_nanos(SystemClock.now().after(OPEN).as_nanos() / NANOS * NANOS);
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
    let fields = ["r", "", end, &resource, "", "", "", VERSION, "b", "", "", "", "", "", "", ""];
    let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), fields.join("\n").as_bytes());
    let sig = base64_simd::STANDARD.encode_to_string(signed);
    let pairs = [("sp", "r"), ("se", end), ("sv", VERSION), ("sr", "b"), ("sig", &sig)];
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
