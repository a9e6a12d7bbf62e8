//! What goes along with an upload to another DEX: our sender manifest, with what is to be different there, held to what
//! every DEX store can keep (dex-upload F-12).

use crate::delivery::DeliveryError;
use crate::id::UploadId;
use crate::manifest::ManifestFields;
use crate::upload::UploadMetadata;

/// What the server at either side adds by itself.
const ADDED: [&str; 2] = ["dex_ingest_datetime", "upload_id"];

/// Our own id, by which the upload is found in both systems (dex-upload F-10).
const OWN_ID: &str = "meta_ext_uploadid";

/// Fields that say `null` where they are not tracked.
const UNTRACKED: [&str; 2] = ["data_producer_id", "jurisdiction"];

/// The keys that can name the file.
const NAMES: [&str; 4] = ["filename", "original_filename", "meta_ext_filename", "received_filename"];

/// S3 takes less than so many bytes of metadata.
const LIMIT_BYTES: usize = 2 * 1024;

/// `Upload-Metadata` for a manifest; an empty value in `changes` takes a field away.
///
/// # Errors
/// [`DeliveryError::Manifest`] names every rule that is broken, and no key or value.
pub(super) fn header(
    manifest: &[u8],
    changes: &[(String, String)],
    upload_id: UploadId,
) -> Result<String, DeliveryError> {
    let known: ManifestFields = serde_json::from_slice(manifest)
        .map_err(|_| DeliveryError::Manifest("it cannot be read".to_owned()))?;
    let is_taken = |key: &str| ADDED.contains(&key) || changes.iter().any(|(changed, _)| changed == key);
    let kept = known.iter().filter(|(key, _)| !is_taken(key));
    let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let mut fields: ManifestFields = kept.map(pair).collect();
    for (key, value) in changes.iter().filter(|(_, value)| !value.is_empty()) {
        fields.set(key, value);
    }
    for key in UNTRACKED {
        if fields.get(key).is_none() && !is_taken(key) {
            fields.set(key, "null");
        }
    }
    if fields.get(OWN_ID).is_none() && !is_taken(OWN_ID) {
        fields.set(OWN_ID, upload_id.to_string());
    }
    let broken = broken_rules(&fields);
    if !broken.is_empty() {
        return Err(DeliveryError::Manifest(broken.join("; ")));
    }
    let fields: UploadMetadata = fields.iter().map(pair).collect();
    Ok(fields.to_header())
}

fn broken_rules(fields: &ManifestFields) -> Vec<&'static str> {
    let is_identifier = |key: &str| {
        let mut bytes = key.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let is_plain = |value: &str| value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let is_name = |key: &str, value: &str| NAMES.contains(&key) && value.contains('/');
    let rules = [
        ("a key is no identifier", fields.iter().any(|(key, _)| !is_identifier(key))),
        ("a value is not ASCII", fields.iter().any(|(_, value)| !is_plain(value))),
        ("a file name has a slash", fields.iter().any(|(key, value)| is_name(key, value))),
        (
            "it is 2 KB or longer",
            fields.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() >= LIMIT_BYTES,
        ),
    ];
    rules.into_iter().filter(|(_, is_broken)| *is_broken).map(|(rule, _)| rule).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::delivery::Retry;
    use crate::upload::MetadataMode;

    fn sent(manifest: &serde_json::Value, changes: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        let changes: Vec<(String, String)> =
            changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let header = header(manifest.to_string().as_bytes(), &changes, UploadId::new());
        let header = header.map_err(|error| {
            assert_eq!(error.retry(), Retry::Never);
            error.to_string()
        })?;
        let read = UploadMetadata::parse(header.as_bytes(), MetadataMode::Strict).expect("it can be read");
        Ok(read.into_pairs())
    }

    /// F-10, F-12
    #[test]
    fn f_12_the_manifest_goes_along_without_what_the_server_adds_and_with_our_id() {
        let manifest = json!({
            "data_stream_id": "a", "sender_id": "b", "empty": "", "dex_ingest_datetime": "x", "upload_id": "y"
        });
        let changes = [("data_stream_id", "c"), ("empty", ""), ("data_stream_route", "d")];
        let pairs = sent(&manifest, &changes).expect("it can be sent");
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (&**key, &**value)).collect();
        let [rest @ .., (own, id)] = &pairs[..] else { panic!("nothing is sent") };
        assert_eq!(
            rest,
            [
                ("sender_id", "b"),
                ("data_stream_id", "c"),
                ("data_stream_route", "d"),
                ("data_producer_id", "null"),
                ("jurisdiction", "null")
            ]
        );
        assert!(*own == OWN_ID && id.parse::<UploadId>().is_ok());
    }

    /// F-12
    #[test]
    fn f_12_what_a_dex_store_cannot_keep_is_not_sent_and_not_told() {
        let long = "x".repeat(LIMIT_BYTES);
        for (key, value, rule) in [
            ("meta-ext", "a", "a key is no identifier"),
            ("1a", "a", "a key is no identifier"),
            ("name", "Zoë", "a value is not ASCII"),
            ("name", "a\nb", "a value is not ASCII"),
            ("received_filename", "a/b", "a file name has a slash"),
            ("a", long.as_str(), "it is 2 KB or longer"),
            ("a-Zoë", "Zoë", "a key is no identifier; a value is not ASCII"),
        ] {
            let told = sent(&json!({ key: value }), &[]).expect_err("it cannot be sent");
            assert_eq!(told, format!("the manifest cannot be sent to the target: {rule}"));
            assert!(sent(&json!({ key: value }), &[(key, "")]).is_ok(), "without it, it can");
        }
    }
}
