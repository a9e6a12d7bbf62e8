//! What of a manifest goes with an object as its metadata. Both services alter or refuse what they cannot hold, S3 by
//! changing letters, Azure on the last call; so a manifest goes along whole and unaltered, or not at all and into a
//! sidecar (dex-upload W-33). Pure.

use serde_json::Value;

use crate::outbound::bucket::Labels;

/// The most that names and values of S3's metadata may have together, in bytes.
const S3_LIMIT: usize = 2 * 1024;
/// The same at Azure.
const AZURE_LIMIT: usize = 8 * 1024;
/// Our own labels, which go along whatever the manifest is: the delivery that made the object …
pub(super) const DELIVERY_ID: &str = "cdex_delivery_id";
/// … and the SHA-256 of its bytes, where that is known before the first of them is sent.
pub(super) const SHA256: &str = "cdex_sha256";
/// Bytes of our own labels; the delivery's may be followed by a number.
const OWN: usize = DELIVERY_ID.len() + 36 + 11 + SHA256.len() + 64;

/// Which service is to hold the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// S3: 2 KB.
    S3,
    /// Azure Blob Storage: 8 KB, and names must be C# identifiers.
    Azure,
}

/// The name under which all fields together are complained about.
pub(in crate::delivery::destination) const TOGETHER: &str = "metadata";

/// The fields that cannot be the metadata of an object as they are, each with the rule that it breaks; [`TOGETHER`] if
/// they are too many.
pub(crate) fn misfits<'f>(fields: &[(&'f str, &'f str)], holder: Holder) -> Vec<(&'f str, &'static str)> {
    let broken = |&(name, value): &(&'f str, &'f str)| Some((name, broken_rule((name, value), holder)?));
    let mut found: Vec<_> = fields.iter().filter_map(broken).collect();
    let length: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    let (limit, rule) = match holder {
        Holder::S3 => (S3_LIMIT, "objects there have at most 2 KB of metadata"),
        Holder::Azure => (AZURE_LIMIT, "objects there have at most 8 KB of metadata"),
    };
    if OWN + length > limit {
        found.push((TOGETHER, rule));
    }
    found
}

fn broken_rule((name, value): (&str, &str), holder: Holder) -> Option<&'static str> {
    if name == DELIVERY_ID || name == SHA256 {
        Some("the gateway gives objects this name itself")
    } else if !is_name(name, holder) {
        Some(match holder {
            Holder::S3 => {
                "names there are lower-case letters, digits, _ and -, and do not begin with a digit or -"
            }
            Holder::Azure => {
                "names there are lower-case letters, digits and _, and do not begin with a digit"
            }
        })
    } else {
        (!is_value(value)).then_some("values there are printable ASCII without blanks around them")
    }
}

/// Names are compared without case by both services and come back in lower case: only those are kept as they are.
fn is_name(name: &str, holder: Holder) -> bool {
    let is_known = |c: char| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || (c == '-' && holder == Holder::S3)
    };
    let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    begins_well && name.chars().all(is_known)
}

fn is_value(value: &str) -> bool {
    let is_printable = |c: char| c == ' ' || c.is_ascii_graphic();
    value.trim() == value && value.chars().all(is_printable)
}

/// The labels of an object: ours, and the manifest if it fits and is wanted there; `false` if it is not among them.
pub(super) fn labels(
    manifest: &[u8],
    holder: Holder,
    is_wanted: bool,
    own: impl IntoIterator<Item = (&'static str, String)>,
) -> (Labels, bool) {
    let mut metadata: Vec<(String, String)> =
        own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let fields = is_wanted.then(|| fields_that_fit(manifest, holder)).flatten();
    let is_whole = fields.is_some();
    metadata.extend(fields.into_iter().flatten());
    (Labels { media_type: None, metadata }, is_whole)
}

fn fields_that_fit(manifest: &[u8], holder: Holder) -> Option<Vec<(String, String)>> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(manifest) else { return None };
    let fields: Option<Vec<(String, String)>> = fields
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(value) => Some((name, value)),
            _ => None,
        })
        .collect();
    fields.filter(|fields| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        misfits(&fields, holder).is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w_33_what_a_service_would_alter_or_refuse_is_told_by_the_name_of_the_field() {
        let long = "x".repeat(3000);
        let cases: [(&str, &str, &[&str], &[&str]); 9] = [
            ("sender_id", "test sender", &[], &[]),
            ("empty", "", &[], &[]),
            ("with-hyphen", "x", &[], &["with-hyphen"]),
            ("Upper", "x", &["Upper"], &["Upper"]),
            ("1st", "x", &["1st"], &["1st"]),
            ("cdex_sha256", "x", &[SHA256], &[SHA256]),
            ("name", "nämé", &["name"], &["name"]),
            ("name", " x", &["name"], &["name"]),
            ("name", &long, &[TOGETHER], &[]),
        ];
        for (name, value, on_s3, on_azure) in cases {
            for (holder, expected) in [(Holder::S3, on_s3), (Holder::Azure, on_azure)] {
                let found = misfits(&[(name, value)], holder);
                let fields: Vec<&str> = found.iter().map(|(field, _)| *field).collect();
                assert_eq!(fields, expected, "{name}");
            }
        }
    }

    #[test]
    fn w_33_each_service_tells_its_own_rule() {
        let hyphen = [("with-hyphen", "x")];
        assert_eq!(misfits(&hyphen, Holder::S3), []);
        let [(_, rule)] = misfits(&hyphen, Holder::Azure)[..] else { panic!("it is taken") };
        assert!(rule.contains("digits and _"), "{rule}");
        let [(_, rule)] = misfits(&[("a", "\u{e9}")], Holder::S3)[..] else { panic!("it is taken") };
        assert!(rule.contains("ASCII"), "{rule}");
    }

    #[test]
    fn a_manifest_goes_along_whole_or_not_at_all() {
        let own = || [(DELIVERY_ID, "1".to_owned())];
        let ours = (DELIVERY_ID.to_owned(), "1".to_owned());
        let field = ("a".to_owned(), "b".to_owned());
        let cases: [(&[u8], bool, bool); 5] = [
            (br#"{"a":"b"}"#, true, true),
            (br#"{"a":"b"}"#, false, false),
            (br#"{"a":"b","c":"\u00e4"}"#, true, false),
            (br#"{"a":"b","c":1}"#, true, false),
            (b"[]", true, false),
        ];
        for (manifest, is_wanted, expected) in cases {
            let (labels, is_whole) = labels(manifest, Holder::Azure, is_wanted, own());
            assert_eq!(is_whole, expected);
            let all = if expected { vec![ours.clone(), field.clone()] } else { vec![ours.clone()] };
            assert_eq!(labels.metadata, all);
        }
    }
}
