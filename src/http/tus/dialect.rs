//! Which protocol a request speaks: tus 1.0.0, or the IETF draft "Resumable Uploads for HTTP" in one of the versions
//! that clients speak (dex-upload 2.7). The draft's own fields are read and written here.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::error::TusError;

/// The version of tus spoken here.
pub(super) const VERSION: &str = "1.0.0";
const INTEROP: HeaderName = HeaderName::from_static("upload-draft-interop-version");

/// How the request is to be understood, and the answer to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// tus 1.0.0.
    Tus,
    /// A version of the draft.
    Draft(Draft),
}

/// A version of the draft: 3 is draft 01, 4 is 02, 5 is 03, 6 is 04 and 05.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Draft {
    version: u8,
}

impl Dialect {
    /// Who says `Tus-Resumable` means tus, whatever else the request says: CDC's own page sends both. A HEAD may do
    /// without, as with tusd; whatever changes something may not (tus 1.0.0, Tus-Resumable).
    pub(super) fn of(headers: &HeaderMap, method: &Method) -> Result<Self, TusError> {
        // Who says two versions means none.
        let mut versions = headers.get_all("tus-resumable").iter();
        match (versions.next(), Draft::of(headers)) {
            (Some(version), _) if version == VERSION && versions.all(|other| other == VERSION) => {
                Ok(Self::Tus)
            }
            (None, Some(draft)) => Ok(Self::Draft(draft)),
            (None, None) if matches!(*method, Method::HEAD | Method::GET) => Ok(Self::Tus),
            (Some(_), _) | (None, None) => Err(Self::refusal(headers)),
        }
    }

    /// Why a request is in no version that is spoken here.
    pub(super) fn refusal(headers: &HeaderMap) -> TusError {
        if headers.contains_key(INTEROP) && !headers.contains_key("tus-resumable") {
            TusError::UnsupportedDraft
        } else {
            TusError::UnsupportedVersion
        }
    }
}

impl Draft {
    /// The version that the request is written in, if we know it.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let version = headers.get(INTEROP)?.as_bytes();
        let known = [(&b"3"[..], 3), (b"4", 4), (b"5", 5), (b"6", 6)];
        known.into_iter().find(|(name, _)| *name == version).map(|(_, version)| Self { version })
    }

    /// Whether lengths and limits are told too, and a piece has a media type of its own.
    pub(super) fn tells_lengths(self) -> bool {
        self.version >= 6
    }

    /// Whether the upload ends with this request. As with tusd, one that does not say goes on.
    pub(super) fn is_complete(self, headers: &HeaderMap) -> Result<bool, TusError> {
        let Some(value) = headers.get(self.completeness()) else { return Ok(false) };
        let said = parse_boolean(value.as_bytes()).ok_or(TusError::InvalidCompleteness)?;
        Ok(said != self.is_negated())
    }

    /// Says in an answer whether the upload is complete, and in which version that is meant.
    pub(super) fn tell(self, headers: &mut HeaderMap, is_complete: bool) {
        let value = if is_complete == self.is_negated() { "?0" } else { "?1" };
        headers.insert(self.completeness(), HeaderValue::from_static(value));
    }

    /// Says in which version an answer is meant.
    pub(super) fn tell_version(self, headers: &mut HeaderMap) {
        headers.insert(INTEROP, HeaderValue::from(u16::from(self.version)));
    }

    /// Says how long uploads may be, where the version has a word for it.
    pub(super) fn tell_limit(self, headers: &mut HeaderMap, most: u64) {
        let limit = HeaderValue::try_from(format!("max-size={most}, min-size=0"));
        if let (true, Ok(limit)) = (self.tells_lengths(), limit) {
            headers.insert("upload-limit", limit);
        }
    }

    /// Whether a request asks for an offset and tells one, or more, which the draft forbids from version 5 on.
    pub(super) fn forbids_in_head(self, headers: &HeaderMap) -> bool {
        let told = headers.contains_key("upload-offset") || headers.contains_key(self.completeness());
        self.version >= 5 && told
    }

    fn is_negated(self) -> bool {
        self.version == 3
    }

    fn completeness(self) -> HeaderName {
        HeaderName::from_static(if self.is_negated() { "upload-incomplete" } else { "upload-complete" })
    }
}

/// A Boolean of RFC 8941; parameters mean nothing to us.
pub(super) fn parse_boolean(field: &[u8]) -> Option<bool> {
    let field = field.trim_ascii();
    let (item, parameters) = field.split_at_checked(2)?;
    let said = match item {
        b"?1" => true,
        b"?0" => false,
        _ => return None,
    };
    (parameters.is_empty() || parameters.starts_with(b";")).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields = &'static [(&'static str, &'static str)];

    fn headers(fields: Fields) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn who_says_tus_resumable_means_tus() {
        let draft = |version| Some(Dialect::Draft(Draft { version }));
        let cases: [(Fields, Method, Option<Dialect>); 11] = [
            (
                &[("tus-resumable", "1.0.0"), ("upload-draft-interop-version", "5")],
                Method::POST,
                Some(Dialect::Tus),
            ),
            (&[("tus-resumable", "0.2.2"), ("upload-draft-interop-version", "5")], Method::POST, None),
            (&[("tus-resumable", "1.0.0"), ("tus-resumable", "1.0.0")], Method::POST, Some(Dialect::Tus)),
            (&[("tus-resumable", "1.0.0"), ("tus-resumable", "0.2.2")], Method::HEAD, None),
            (&[("upload-draft-interop-version", "3")], Method::POST, draft(3)),
            (&[("upload-draft-interop-version", "6")], Method::HEAD, draft(6)),
            (&[("upload-draft-interop-version", "2")], Method::POST, None),
            (&[("upload-draft-interop-version", "7")], Method::PATCH, None),
            (&[], Method::POST, None),
            (&[], Method::DELETE, None),
            (&[], Method::HEAD, Some(Dialect::Tus)),
        ];
        for (fields, method, expected) in cases {
            assert_eq!(Dialect::of(&headers(fields), &method).ok(), expected, "{method} {fields:?}");
        }
    }

    #[test]
    fn each_version_has_its_own_word_for_the_end() {
        let cases: [(u8, Fields, Option<bool>); 9] = [
            (3, &[("upload-incomplete", "?0")], Some(true)),
            (3, &[("upload-incomplete", "?1")], Some(false)),
            (3, &[("upload-complete", "?1")], Some(false)),
            (4, &[("upload-complete", "?1")], Some(true)),
            (5, &[("upload-complete", " ?0;a=b ")], Some(false)),
            (6, &[], Some(false)),
            (6, &[("upload-complete", "1")], None),
            (6, &[("upload-complete", "?2")], None),
            (6, &[("upload-complete", "?1x")], None),
        ];
        for (version, fields, expected) in cases {
            let said = Draft { version }.is_complete(&headers(fields)).ok();
            assert_eq!(said, expected, "{version}: {fields:?}");
        }
        for (version, name, value) in [(3, "upload-incomplete", "?0"), (4, "upload-complete", "?1")] {
            let mut answer = HeaderMap::new();
            Draft { version }.tell(&mut answer, true);
            assert_eq!(answer.get(name).map(HeaderValue::as_bytes), Some(value.as_bytes()));
        }
    }
}
