//! From the `Location` of a new upload to the URL by which we reach it: gateways in front of a server rewrite paths and
//! leave `Location` alone (dex-upload F-03). It never leads to another server, because our token goes where it leads.

use reqwest::Url;

use super::RemoteError;

/// How a `Location` is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Locations {
    /// As it is: absolute on the server that was asked, or relative to the URL that was asked.
    #[default]
    AsIs,
    /// Its path, on the server that was asked.
    RebaseHost,
    /// Its last segment, below the URL that was asked.
    Rebase,
}

impl Locations {
    /// The URL of the upload that a creation at `create_url` named by `location`.
    pub(super) fn resolve(self, create_url: &str, location: &str) -> Result<String, RemoteError> {
        const NO_URL: RemoteError = RemoteError::Protocol("has a Location that is no URL");
        let base = Url::parse(create_url).map_err(|_| NO_URL)?;
        let named = base.join(location).map_err(|_| NO_URL)?;
        let mut url = match self {
            Self::AsIs => named.clone(),
            Self::RebaseHost => {
                let mut url = base.clone();
                url.set_path(named.path());
                url.set_query(named.query());
                url
            }
            Self::Rebase => {
                let mut url = base.clone();
                url.set_path(&format!("{}/{}", base.path().trim_end_matches('/'), id_of(named.path())));
                url
            }
        };
        url.set_fragment(None);
        if url.origin() != base.origin() || !url.username().is_empty() || url.password().is_some() {
            return Err(RemoteError::Protocol("has a Location at another server"));
        }
        let names_none = id_of(named.path()).is_empty();
        if names_none || url.path().trim_end_matches('/') == base.path().trim_end_matches('/') {
            return Err(RemoteError::Protocol("has a Location that names no upload"));
        }
        Ok(url.into())
    }
}

/// The id of an upload: the last segment of its URL (dex-upload F-10).
pub(crate) fn id_of(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F-03
    #[test]
    fn f_03_a_location_is_understood_as_the_setting_says_and_stays_at_the_server() {
        use Locations::{AsIs, Rebase, RebaseHost};
        let create = "https://api.example.org/upload";
        let cases = [
            (AsIs, "https://api.example.org/upload/1", Some("https://api.example.org/upload/1")),
            (AsIs, "/files/1?a=b", Some("https://api.example.org/files/1?a=b")),
            (AsIs, "upload/1", Some("https://api.example.org/upload/1")),
            (AsIs, "http://inner:8080/files/1", None),
            (AsIs, "//evil.example/files/1", None),
            (AsIs, "https://u:p@api.example.org/upload/1", None),
            (AsIs, "https://api.example.org:8443/upload/1", None),
            (AsIs, "/upload", None),
            (AsIs, "/upload/", None),
            (AsIs, "/", None),
            (RebaseHost, "http://inner:8080/files/1", Some("https://api.example.org/files/1")),
            (RebaseHost, "/files/1#x", Some("https://api.example.org/files/1")),
            (Rebase, "http://inner:8080/files/1", Some("https://api.example.org/upload/1")),
            (Rebase, "/files/1/?x=y", Some("https://api.example.org/upload/1")),
            (Rebase, "http://inner:8080/", None),
            (Rebase, "http://[", None),
        ];
        for (locations, location, expected) in cases {
            let resolved = locations.resolve(create, location).ok();
            assert_eq!(resolved.as_deref(), expected, "{locations:?} {location}");
        }
    }

    /// F-10
    #[test]
    fn f_10_the_id_is_the_last_segment() {
        for (url, id) in [("http://h/files/1", "1"), ("http://h/files/1/?a=/b", "1"), ("/files/a+b", "a+b")] {
            assert_eq!(id_of(url), id);
        }
    }
}
