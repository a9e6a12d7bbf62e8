//! `Upload-Concat` of a creation (tus 1.0.0, Concatenation): a part, or what is made of parts.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, header};

use super::DoorState;
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
pub(super) fn wanted(state: &DoorState, request: &Request) -> Result<Wanted, TusError> {
    let mut values = request.headers().get_all("upload-concat").iter().filter(|value| !value.is_empty());
    match (values.next().map(HeaderValue::to_str), values.next()) {
        (None, _) => Ok(Wanted::Whole),
        (Some(Ok(field)), None) => {
            let wanted = parse(field).ok_or(TusError::InvalidConcat)?;
            let own = own_hosts(state, request);
            let is_own = |host: &str| own.iter().any(|own| own.eq_ignore_ascii_case(host));
            if hosts(field).all(is_own) { Ok(wanted) } else { Err(TusError::ForeignPart) }
        }
        (Some(_), _) => Err(TusError::InvalidConcat),
    }
}

/// The hosts that the URLs of a field name.
fn hosts(field: &str) -> impl Iterator<Item = &str> {
    field.split([';', ' ']).filter_map(|url| {
        let (scheme, rest) = url.split_once("//")?;
        (scheme.is_empty() || scheme.ends_with(':')).then(|| rest.split('/').next().unwrap_or_default())
    })
}

/// The names by which this gateway is known to the client: as it called us, as somebody between us says that it did,
/// and as the settings say.
fn own_hosts<'r>(state: &'r DoorState, request: &'r Request) -> Vec<&'r str> {
    let said = [header::HOST.as_str(), "x-forwarded-host"].into_iter();
    let said = said.flat_map(|name| request.headers().get_all(name)).filter_map(|host| host.to_str().ok());
    let set = [Some(&*state.base_url), state.public_url.as_deref()].into_iter().flatten();
    let called = request.uri().authority().map(Authority::as_str);
    said.chain(called).chain(set.flat_map(hosts)).collect()
}

/// A part is named by its URL, absolute or not. Of its path only the last segment counts: gateways in front of us
/// rewrite the rest (dex-upload F-03), and an id names an upload of the same caller or none.
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
    fn t_30_the_hosts_of_the_urls_are_known() {
        let named = |field| hosts(field).collect::<Vec<_>>();
        assert_eq!(named("final;/files/a /files/b"), Vec::<&str>::new());
        assert_eq!(named("final;https://a.example/files/a http://[::1]:1/b"), ["a.example", "[::1]:1"]);
        assert_eq!(named("final;//a.example/files/a /files//b"), ["a.example"]);
        assert_eq!(named("https://gateway.example/x"), ["gateway.example"]);
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
