//! `Upload-Concat` of a creation (tus 1.0.0, Concatenation): a part, or what is made of parts.

use axum::http::{HeaderMap, HeaderValue};

use super::error::TusError;
use crate::id::UploadId;

/// What a creation is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// An upload like any other.
    Whole,
    /// One that others will be made of.
    Partial,
    /// One that is made of others.
    Final {
        /// The others, in order.
        parts: Vec<UploadId>,
        /// The field as it was received.
        field: String,
    },
}

/// Reads the field; one that is not there or empty asks for nothing special.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Wanted, TusError> {
    let mut values = headers.get_all("upload-concat").iter().filter(|value| !value.is_empty());
    match (values.next().map(HeaderValue::to_str), values.next()) {
        (None, _) => Ok(Wanted::Whole),
        (Some(Ok(field)), None) => parse(field).ok_or(TusError::InvalidConcat),
        (Some(_), _) => Err(TusError::InvalidConcat),
    }
}

/// A part is named by its URL, absolute or not. Only the last segment counts: gateways in front of us rewrite the rest
/// (dex-upload F-03), and an id names an upload of the same caller or none.
pub(super) fn parse(field: &str) -> Option<Wanted> {
    if field == "partial" {
        return Some(Wanted::Partial);
    }
    let urls = field.strip_prefix("final;")?;
    let parts: Option<Vec<UploadId>> = urls.trim().split(' ').map(part).collect();
    Some(Wanted::Final { parts: parts?, field: field.to_owned() })
}

fn part(url: &str) -> Option<UploadId> {
    let (before, id) = url.rsplit_once('/')?;
    // The name of a host is no path, and a list with commas is no URL: of that the last part alone would count.
    let is_path = !before.is_empty() && !before.ends_with('/') && !before.contains(',');
    id.parse().ok().filter(|_| is_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-30
    #[test]
    fn parts_are_named_by_urls_of_any_form_in_their_order() {
        let (a, b) = (UploadId::new(), UploadId::new());
        let forms = [
            format!("final;/files/{a} /files/{b}"),
            format!("final;https://gateway.example/upload/files/{a} /upload/{b}"),
            format!("final; /upload/files/{a} http://[::1]:8080/files/{b} "),
        ];
        for field in forms {
            assert_eq!(
                parse(&field),
                Some(Wanted::Final { parts: vec![a, b], field: field.clone() }),
                "{field}"
            );
        }
        let repeated = format!("final;/files/{a} /files/{a}");
        assert!(matches!(parse(&repeated), Some(Wanted::Final { parts, .. }) if parts == [a, a]));
        assert_eq!(parse("partial"), Some(Wanted::Partial));
    }

    /// T-30
    #[test]
    fn anything_else_is_malformed() {
        let id = UploadId::new();
        for field in [
            "final",
            "final;",
            "final; ",
            "Partial",
            "partial;",
            "final;/files/",
            "final;/files/1",
            &format!("final;{id}"),
            &format!("final;//{id}"),
            &format!("final;/{id}"),
            &format!("final;/files/{id}/"),
            &format!("final;/files/{id}?x"),
            &format!("final;/files/{id}  /files/{id}"),
            &format!("final;/files/{id},/files/{id}"),
            &format!("final /files/{id}"),
        ] {
            assert_eq!(parse(field), None, "{field}");
        }
    }
}
