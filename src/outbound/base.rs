//! The base URL of a server, and the places below it. What another side names as a link becomes such a place or
//! nothing: no link leads a call to another host, or out of the base.

use reqwest::Url;

use super::client::callable;
use super::{OutboundError, Reach};

/// Longer links are not followed.
const LONGEST_LINK: usize = 4 * 1024;

/// The base URL of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    /// Its path ends with a slash, so that links resolve below it.
    url: Url,
}

impl Base {
    /// Reads a base URL.
    ///
    /// # Errors
    /// [`OutboundError::Url`] if it cannot be called, or has a query or a fragment.
    pub(crate) fn parse(text: &str) -> Result<Self, OutboundError> {
        let mut url = callable(text, Reach::Everywhere)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(OutboundError::Url);
        }
        let path = format!("{}/", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Self { url })
    }

    /// The URL without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Whether calls are encrypted.
    pub(crate) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The URL of a place: `/Patient/1`, `/Patient?name=x`, `?_getpages=1`.
    pub(crate) fn at(&self, place: &str) -> String {
        format!("{}{place}", self.as_str())
    }

    /// The place that a link names, absolute or from the base on; `None` if it is not below the base.
    pub(crate) fn place_of(&self, link: &str) -> Option<String> {
        if link.len() > LONGEST_LINK {
            return None;
        }
        let url = self.url.join(link).ok()?;
        let is_same_server =
            url.origin() == self.url.origin() && url.username().is_empty() && url.password().is_none();
        // `Url` has resolved the dots by now; the base itself may come without its slash.
        let below = match url.path().strip_prefix(self.url.path()) {
            Some("") => String::new(),
            Some(below) => format!("/{below}"),
            None if url.path() == self.url.path().trim_end_matches('/') => String::new(),
            None => return None,
        };
        // A server that decodes a path before it splits it would see other segments than we do.
        let lower = below.to_ascii_lowercase();
        if !is_same_server || ["%2f", "%5c", "%2e", "//"].iter().any(|trick| lower.contains(trick)) {
            return None;
        }
        Some(match url.query() {
            Some(query) => format!("{below}?{query}"),
            None => below,
        })
    }
}

/// The server that a URL names: scheme, host and port, in one spelling; `None` if it cannot be called.
pub(crate) fn origin(url: &str) -> Option<String> {
    Some(callable(url, Reach::Everywhere).ok()?.origin().ascii_serialization())
}

/// Fields as a form, or as the query of a URL, has them. A space is `%20`, which all servers read alike.
pub(crate) fn form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        form.append_pair(name, value);
    }
    form.finish().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_place_is_below_the_base_or_none() {
        let base = Base::parse("https://EHR.example.org:443/fhir/r4/").expect("a base");
        assert_eq!(base.as_str(), "https://ehr.example.org/fhir/r4");
        assert_eq!(base.at("/Patient/1"), "https://ehr.example.org/fhir/r4/Patient/1");
        let cases = [
            ("https://ehr.example.org/fhir/r4/Patient?page=2", Some("/Patient?page=2")),
            ("https://ehr.example.org:443/fhir/r4?_getpages=a%2Fb", Some("?_getpages=a%2Fb")),
            ("https://ehr.example.org/fhir/r4/?_getpages=a", Some("?_getpages=a")),
            ("Patient?page=2#x", Some("/Patient?page=2")),
            ("?page=2", Some("?page=2")),
            ("/fhir/r4/Patient/_search?a=b", Some("/Patient/_search?a=b")),
            ("http://ehr.example.org/fhir/r4/Patient", None),
            ("https://ehr.example.org:8443/fhir/r4/Patient", None),
            ("https://evil.example/fhir/r4/Patient", None),
            ("//evil.example/fhir/r4/Patient", None),
            ("https://ehr.example.org@evil.example/fhir/r4/Patient", None),
            ("https://u:p@ehr.example.org/fhir/r4/Patient", None),
            ("https://ehr.example.org/fhir/r4x/Patient", None),
            ("https://ehr.example.org/fhir", None),
            ("https://ehr.example.org/admin", None),
            ("../../admin", None),
            ("..", None),
            ("/admin", None),
            ("Patient/%2e%2e/%2e%2e/%2e%2e/admin", None),
            ("Patient%2f..%2f..%2fadmin", None),
            ("Patient\\..\\..\\..\\admin", None),
            ("file:///etc/passwd", None),
        ];
        for (link, place) in cases {
            assert_eq!(base.place_of(link).as_deref(), place, "{link}");
        }
        assert_eq!(base.place_of(&format!("?a={}", "b".repeat(LONGEST_LINK))), None);
    }

    #[test]
    fn a_base_at_the_root_has_places_too() {
        let base = Base::parse("http://127.0.0.1:8080").expect("a base");
        assert_eq!(base.at("/Patient"), "http://127.0.0.1:8080/Patient");
        assert_eq!(base.place_of("http://127.0.0.1:8080/Patient?a=b").as_deref(), Some("/Patient?a=b"));
        assert_eq!(base.place_of("http://127.0.0.1:8080?a=b").as_deref(), Some("?a=b"));
    }

    #[test]
    fn what_cannot_be_called_is_no_base() {
        for text in ["", "ehr.example.org", "ftp://h/", "https://u@h/", "https://h/?a=b", "https://h/#a"] {
            assert_eq!(Base::parse(text), Err(OutboundError::Url), "{text}");
        }
    }

    #[test]
    fn a_form_is_encoded_so_that_no_value_becomes_another_field() {
        let fields = [("name", "A & B=c+d"), ("code", "http://x|y é")];
        assert_eq!(form(fields), "name=A%20%26%20B%3Dc%2Bd&code=http%3A%2F%2Fx%7Cy%20%C3%A9");
    }

    proptest! {
        /// Links put together from whatever has a meaning in a URL.
        #[test]
        fn no_link_leads_out_of_the_base(link in prop::collection::vec(prop::sample::select(vec![
            "http:", "https:", "//", "/", "\\", "ehr.example.org", "evil.example", "fhir", "Patient", "..", ".",
            "%2e", "%2f", "%5c", "@", ":", ":8443", "?", "#", "\t", " ", "é",
        ]), 0..10)) {
            let base = Base::parse("https://ehr.example.org/fhir").expect("a base");
            if let Some(place) = base.place_of(&link.concat()) {
                let url = callable(&base.at(&place), Reach::Everywhere).expect("it can be called");
                prop_assert_eq!(url.origin(), base.url.origin());
                prop_assert!(url.path() == "/fhir" || url.path().starts_with("/fhir/"), "{}", url);
                prop_assert_eq!(base.place_of(url.as_str()), Some(place.clone()), "{}", place);
            }
        }
    }
}
