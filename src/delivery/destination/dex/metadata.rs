//! What goes along with an upload to another DEX: our sender manifest, with what is to be different there, held to what
//! every DEX store can keep (dex-upload F-12).

use std::collections::BTreeSet;

use super::super::object::labels::TOGETHER;
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

/// What is said of a manifest that has more.
const TOO_LONG: &str = "it is 2 KB or longer";

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
    let fields = sent(known.iter(), changes, upload_id);
    let rules: BTreeSet<&str> = fields.iter().filter_map(broken_rule).collect();
    let broken: Vec<&str> = rules.into_iter().chain(is_long(&fields).then_some(TOO_LONG)).collect();
    if !broken.is_empty() {
        return Err(DeliveryError::Manifest(broken.join("; ")));
    }
    let fields: UploadMetadata = fields.iter().map(pair).collect();
    Ok(fields.to_header())
}

/// The fields of a manifest that cannot go along as they are, each with the rule that it breaks; [`TOGETHER`] if they
/// are too many (dex-upload W-33).
pub(crate) fn misfits<'f>(
    fields: &[(&'f str, &'f str)],
    changes: &[(String, String)],
) -> Vec<(&'f str, &'static str)> {
    let sent_on = fields.iter().filter(|(key, _)| !is_taken(key, changes));
    let mut found: Vec<_> = sent_on.filter_map(|field| Some((field.0, broken_rule(*field)?))).collect();
    // Every id is equally long.
    if is_long(&sent(fields.iter().copied(), changes, UploadId::new())) {
        found.push((TOGETHER, TOO_LONG));
    }
    found
}

/// Whether a field of the manifest does not go along as it is.
fn is_taken(key: &str, changes: &[(String, String)]) -> bool {
    ADDED.contains(&key) || changes.iter().any(|(changed, _)| changed == key)
}

fn pair((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// What goes along with an upload that has these fields.
fn sent<'f>(
    known: impl Iterator<Item = (&'f str, &'f str)>,
    changes: &[(String, String)],
    upload_id: UploadId,
) -> ManifestFields {
    let mut fields: ManifestFields = known.filter(|(key, _)| !is_taken(key, changes)).map(pair).collect();
    for (key, value) in changes.iter().filter(|(_, value)| !value.is_empty()) {
        fields.set(key, value);
    }
    for key in UNTRACKED {
        if fields.get(key).is_none() && !is_taken(key, changes) {
            fields.set(key, "null");
        }
    }
    if fields.get(OWN_ID).is_none() && !is_taken(OWN_ID, changes) {
        fields.set(OWN_ID, upload_id.to_string());
    }
    fields
}

/// The rule that a field breaks.
fn broken_rule((key, value): (&str, &str)) -> Option<&'static str> {
    let is_identifier = |key: &str| {
        let mut bytes = key.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let is_plain = |value: &str| value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if !is_identifier(key) {
        Some("a key is no identifier")
    } else if !is_plain(value) {
        Some("a value is not ASCII")
    } else if NAMES.contains(&key) && value.contains('/') {
        Some("a file name has a slash")
    } else {
        None
    }
}

/// Whether the fields are longer than what every store keeps.
fn is_long(fields: &ManifestFields) -> bool {
    fields.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() >= LIMIT_BYTES
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::delivery::Retry;
    use crate::upload::MetadataMode;

    fn told(manifest: &serde_json::Value, changes: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
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
        let pairs = told(&manifest, &changes).expect("it can be sent");
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
            ("a-Zoë", "Zoë", "a key is no identifier"),
        ] {
            let text = told(&json!({ key: value }), &[]).expect_err("it cannot be sent");
            assert_eq!(text, format!("the manifest cannot be sent to the target: {rule}"));
            assert!(told(&json!({ key: value }), &[(key, "")]).is_ok(), "without it, it can");
            let misfit = if rule == TOO_LONG { TOGETHER } else { key };
            let found = misfits(&[("fits", "x"), (key, value)], &[]);
            assert_eq!(found.iter().map(|(field, _)| *field).collect::<Vec<_>>(), [misfit], "W-33");
            assert!(misfits(&[(key, value)], &[(key.to_owned(), String::new())]).is_empty());
        }
    }
}
