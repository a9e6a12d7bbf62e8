//! What a `next` link of ours carries for a page that lies upstream: the place of that page, sealed. A client can
//! neither read it nor make one, so that it cannot send the gateway anywhere, nor ask upstream for what it was not
//! given; and a cursor is good for the caller and the request that it was made for only.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hmac, rand};
use base64_simd::URL_SAFE_NO_PAD;

use super::View;

/// Longer ones are none of ours: links are bounded by [`Base`](crate::outbound::Base).
const LONGEST: usize = 8 * 1024;

/// Seals and opens cursors.
#[derive(Debug)]
pub(super) struct Cursors {
    key: RandomizedNonceKey,
}

/// The request that a cursor is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    /// A search for resources of a type.
    Search(&'a str),
    /// The history of a type, or of one resource.
    History(&'a str, Option<&'a str>),
}

/// No key could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub(crate) struct NoKey;

impl Cursors {
    /// With a key that follows from the secret and the server it is for: cursors outlive a restart, and instances with
    /// the same settings read each other's. Without a secret, cursors end with the process.
    pub(super) fn new(secret: Option<&[u8]>, server: &str) -> Result<Self, NoKey> {
        let mut key = [0; 32];
        match secret {
            Some(secret) => {
                let label = format!("cdex-gateway: cursors of the upstream server {server}");
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), label.as_bytes());
                key.copy_from_slice(tag.as_ref());
            }
            None => rand::fill(&mut key).map_err(|_| NoKey)?,
        }
        Ok(Self { key: RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(|_| NoKey)? })
    }

    /// The cursor for a place; `None` only if the system gives no random numbers.
    pub(super) fn seal(&self, place: &str, subject: Subject<'_>, view: &View<'_>) -> Option<String> {
        let mut sealed = place.as_bytes().to_vec();
        let nonce =
            self.key.seal_in_place_append_tag(Aad::from(belonging(subject, view)), &mut sealed).ok()?;
        sealed.extend_from_slice(nonce.as_ref());
        Some(URL_SAFE_NO_PAD.encode_to_string(sealed))
    }

    /// The place that a cursor stands for; `None` if it is not one of ours for this request and caller.
    pub(super) fn open(&self, cursor: &str, subject: Subject<'_>, view: &View<'_>) -> Option<String> {
        if cursor.len() > LONGEST {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode_to_vec(cursor).ok()?;
        let nonce = sealed.split_off(sealed.len().checked_sub(NONCE_LEN)?);
        let nonce = Nonce::try_assume_unique_for_key(&nonce).ok()?;
        let place = self.key.open_in_place(nonce, Aad::from(belonging(subject, view)), &mut sealed).ok()?;
        String::from_utf8(place.to_vec()).ok()
    }
}

/// What a cursor belongs to, each part with its length, so that no two read the same.
fn belonging(subject: Subject<'_>, view: &View<'_>) -> Vec<u8> {
    let (kind, resource_type, id) = match subject {
        Subject::Search(resource_type) => ("search", resource_type, None),
        Subject::History(resource_type, id) => ("history", resource_type, id),
    };
    let mut bytes = Vec::new();
    let access = view.access;
    for part in [Some(kind), Some(resource_type), id, Some(access.tenant()), access.owner(), view.patient] {
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part.unwrap_or_default().as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::auth::{Access, Caller};

    fn view<'a>(access: &'a Access, patient: Option<&'a str>) -> View<'a> {
        View { access, base: "http://gateway.test/fhir", patient, may_see: None }
    }

    fn cursors(secret: &str, server: &str) -> Cursors {
        Cursors::new(Some(secret.as_bytes()), server).expect("a key")
    }

    #[test]
    fn a_cursor_is_good_for_its_request_and_caller_alone() {
        let (caller, worker) = (Caller::anonymous().access(), Access::of_worker("default"));
        let own = view(&caller, None);
        let search = Subject::Search("Patient");
        let cursors = cursors("secret", "https://ehr.example.org/fhir");
        let cursor = cursors.seal("?_getpages=1", search, &own).expect("random numbers");
        assert_eq!(cursors.open(&cursor, search, &own).as_deref(), Some("?_getpages=1"));
        let others = [
            (Subject::Search("Condition"), own),
            (Subject::History("Patient", None), own),
            (search, view(&worker, None)),
            (search, view(&caller, Some("1"))),
        ];
        for (subject, view) in others {
            assert_eq!(cursors.open(&cursor, subject, &view), None, "{subject:?}");
        }
    }

    #[test]
    fn a_key_follows_from_the_secret_and_the_server() {
        let access = Caller::anonymous().access();
        let view = view(&access, None);
        let search = Subject::Search("Patient");
        let cursor = cursors("secret", "https://a").seal("/x", search, &view).expect("random numbers");
        assert_eq!(cursors("secret", "https://a").open(&cursor, search, &view).as_deref(), Some("/x"));
        assert_eq!(cursors("secret", "https://b").open(&cursor, search, &view), None);
        assert_eq!(cursors("other", "https://a").open(&cursor, search, &view), None);
        assert_eq!(Cursors::new(None, "https://a").expect("a key").open(&cursor, search, &view), None);
    }

    proptest! {
        #[test]
        fn what_was_changed_is_refused(place in ".{0,60}", at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let access = Caller::anonymous().access();
            let view = view(&access, Some("1"));
            let search = Subject::Search("Patient");
            let cursors = cursors("secret", "https://a");
            let cursor = cursors.seal(&place, search, &view).expect("random numbers");
            prop_assert_eq!(cursors.open(&cursor, search, &view), Some(place));
            let mut bytes = URL_SAFE_NO_PAD.decode_to_vec(&cursor).expect("it is base64");
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let changed = URL_SAFE_NO_PAD.encode_to_string(bytes);
            prop_assert_eq!(cursors.open(&changed, search, &view), None);
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".{0,80}") {
            let access = Caller::anonymous().access();
            prop_assert_eq!(cursors("secret", "https://a").open(&text, Subject::Search("Patient"), &view(&access, None)), None);
        }
    }
}
