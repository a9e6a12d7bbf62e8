//! One entry as bytes: numbers and lengths (little-endian), a check over everything, what is known of the upload as
//! JSON, its manifest, its bytes.
//!
//! The check begins with the salt of the volume that the entry lies in, which nobody else knows: old bytes of a
//! volume that is written anew, which a sender chose, are never taken for an entry.

use crate::digest::{Digest, Sha256};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::id::UploadId;
use crate::manifest::SenderManifest;
use crate::upload::{Door, Upload};

/// Bytes of the numbers and lengths before the check.
const NUMBERS: usize = 20;
/// Bytes before the head.
const FIXED: usize = NUMBERS + 32;

/// Random bytes of one use of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt(pub(super) [u8; 16]);

impl Salt {
    pub(super) fn new() -> Self {
        Self(Uuid::new_v4().into_bytes())
    }
}

/// What is written about an upload beside its manifest and its bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    id: UploadId,
    tenant: String,
    owner: String,
    length: u64,
    created_at: i64,
    completed_at: Option<i64>,
    expires_at: Option<i64>,
}

/// Appends an entry to `into`. An upload that is complete has its SHA-256 and all of its `bytes`, another has none.
pub(super) fn encode(into: &mut Vec<u8>, salt: Salt, number: u64, upload: &Upload, bytes: &[u8]) {
    let head = Head {
        id: upload.id,
        tenant: upload.tenant.clone(),
        owner: upload.owner.clone(),
        length: upload.length.unwrap_or_default(),
        created_at: upload.created_at.as_nanos(),
        completed_at: upload.completed_at.map(Timestamp::as_nanos),
        expires_at: upload.expires_at.map(Timestamp::as_nanos),
    };
    let head = serde_json::to_vec(&head).expect("texts and numbers are always JSON");
    let manifest = upload.manifest.to_json();
    let start = into.len();
    into.extend_from_slice(&number.to_le_bytes());
    for part in [&head, &manifest, bytes] {
        let length = u32::try_from(part.len()).expect("entries are small");
        into.extend_from_slice(&length.to_le_bytes());
    }
    let check = check(salt, &into[start..], (&head, &manifest), upload.sha256.as_ref());
    into.extend_from_slice(&check);
    for part in [&head, &manifest, bytes] {
        into.extend_from_slice(part);
    }
}

/// The most bytes that an entry can take.
pub(super) fn most_bytes(upload: &Upload, bytes: &[u8]) -> usize {
    // JSON may need six characters for one of a text.
    FIXED
        + 512
        + 6 * (upload.tenant.len() + upload.owner.len())
        + upload.manifest.to_json().len()
        + bytes.len()
}

/// What some bytes begin with.
#[derive(Debug)]
pub(super) enum Decoded {
    /// An entry, and how many bytes it takes.
    Entry { number: u64, upload: Box<Upload>, bytes: Bytes, length: usize },
    /// Nothing, or an entry that did not come here whole.
    End,
    /// An entry of ours that this version cannot read, and how many bytes it takes.
    Unknown { number: u64, length: usize },
}

/// Reads what `from` begins with.
pub(super) fn decode(salt: Salt, from: &[u8]) -> Decoded {
    let Some(parts) = Parts::of(salt, from) else { return Decoded::End };
    let length = FIXED + parts.head.len() + parts.manifest.len() + parts.bytes.len();
    let bytes = Bytes::copy_from_slice(parts.bytes);
    match parts.upload() {
        Some(upload) => Decoded::Entry { number: parts.number, upload: Box::new(upload), bytes, length },
        None => Decoded::Unknown { number: parts.number, length },
    }
}

/// An entry that agrees with its check.
struct Parts<'a> {
    number: u64,
    head: &'a [u8],
    manifest: &'a [u8],
    bytes: &'a [u8],
    sha256: Option<[u8; 32]>,
}

impl<'a> Parts<'a> {
    fn of(salt: Salt, from: &'a [u8]) -> Option<Self> {
        let (numbers, rest) = from.split_at_checked(NUMBERS)?;
        let (claimed, rest) = rest.split_at_checked(32)?;
        let number = u64::from_le_bytes(numbers[..8].try_into().ok()?);
        let length = |at: usize| -> Option<usize> {
            u32::from_le_bytes(numbers[at..at + 4].try_into().ok()?).try_into().ok()
        };
        let (head, rest) = rest.split_at_checked(length(8)?)?;
        let (manifest, rest) = rest.split_at_checked(length(12)?)?;
        let (bytes, _) = rest.split_at_checked(length(16)?)?;
        let sha256: Option<[u8; 32]> = (!bytes.is_empty()).then(|| Sha256::digest(bytes).into());
        let agrees = check(salt, numbers, (head, manifest), sha256.as_ref()) == claimed;
        agrees.then_some(Self { number, head, manifest, bytes, sha256 })
    }

    fn upload(&self) -> Option<Upload> {
        let head: Head = serde_json::from_slice(self.head).ok()?;
        let manifest = SenderManifest::from_json(self.manifest).ok()?;
        let at = Timestamp::from_nanos;
        let owner = (&*head.tenant, &*head.owner);
        let mut upload =
            Upload::new(owner, head.id, Door::Tus, Some(head.length), manifest, at(head.created_at));
        upload.expires_at = head.expires_at.map(at);
        match (self.sha256, head.completed_at) {
            (None, None) => Some(upload),
            (Some(sha256), Some(completed_at)) => {
                Some(upload.completed(head.length, sha256, at(completed_at)))
            }
            _ => None,
        }
    }
}

fn check(salt: Salt, numbers: &[u8], (head, manifest): (&[u8], &[u8]), bytes: Option<&[u8; 32]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [&salt.0[..], numbers, head, manifest, bytes.map_or(&[][..], |sha256| sha256)] {
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::manifest::ManifestFields;

    pub(in crate::upload::journal) fn upload(owner: &str, length: u64) -> Upload {
        let fields =
            [("data_stream_id", "cdex"), ("data_stream_route", "attachment"), ("sender_id", "\u{e9}\"")];
        let fields: ManifestFields = fields.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let manifest = serde_json::to_vec(&fields).expect("JSON");
        let manifest = SenderManifest::from_json(&manifest).expect("a manifest");
        let now = Timestamp::from_nanos(1_700_000_000_123_456_789);
        let mut upload = Upload::new(("t", owner), UploadId::new(), Door::Tus, Some(length), manifest, now);
        upload.expires_at = Some(Timestamp::from_nanos(i64::MAX));
        upload
    }

    pub(in crate::upload::journal) fn whole(owner: &str, bytes: &[u8]) -> Upload {
        let now = Timestamp::from_nanos(1_700_000_000_987_654_321);
        upload(owner, bytes.len() as u64).completed(bytes.len() as u64, Sha256::digest(bytes).into(), now)
    }

    proptest! {
        #[test]
        fn an_entry_comes_back_and_a_damaged_one_does_not(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            owner in ".{0,20}",
            number: u64,
            flipped: prop::sample::Index,
            cut: prop::sample::Index,
        ) {
            let salt = Salt::new();
            let upload = if bytes.is_empty() { upload(&owner, 7) } else { whole(&owner, &bytes) };
            let mut written = Vec::new();
            encode(&mut written, salt, number, &upload, &bytes);
            prop_assert!(written.len() <= most_bytes(&upload, &bytes));
            match decode(salt, &written) {
                Decoded::Entry { number: read_number, upload: read, bytes: read_bytes, length } => {
                    prop_assert_eq!((read_number, length), (number, written.len()));
                    prop_assert_eq!(&*read_bytes, &bytes);
                    prop_assert_eq!(format!("{read:?}"), format!("{upload:?}"));
                }
                other => prop_assert!(false, "{other:?}"),
            }
            let is_end = |salt, from: &[u8]| matches!(decode(salt, from), Decoded::End);
            prop_assert!(is_end(Salt::new(), &written), "the salt is another");
            prop_assert!(is_end(salt, &written[..cut.index(written.len())]), "the end is missing");
            let at = flipped.index(written.len());
            written[at] ^= 1;
            prop_assert!(is_end(salt, &written), "byte {} is another", at);
        }
    }
}
