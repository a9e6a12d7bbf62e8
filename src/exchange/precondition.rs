//! The conditions of a request (RFC 9110, 13; FHIR R4 http): which version is meant, and whether there must be one.
//! The header fields of a request and the members of a Bundle's `request` are read alike.

use crate::clock::Timestamp;
use crate::fhir::address::query_string;
use crate::fhir::search::{Query, Scope};
use crate::repository::{Precondition, StoredResource};

/// The conditions of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// `If-Match`
    pub(crate) if_match: Option<Tags>,
    /// `If-None-Match`
    pub(crate) if_none_match: Option<Tags>,
    /// `If-Modified-Since`
    pub(crate) if_modified_since: Option<Timestamp>,
    /// `If-None-Exist`: the criteria of a conditional create.
    pub(crate) if_none_exist: Option<String>,
}

/// The entity tags of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `*`
    Any,
    /// A list. Tags that we do not give match nothing, so only versions are here.
    Versions(Vec<u64>),
}

/// A field is no list of entity tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value is no list of entity tags")]
pub(crate) struct InvalidTags;

impl Tags {
    /// Reads the value of `If-Match` or `If-None-Match`. Weak and strong tags are the same here: a version has one
    /// text (FHIR R4 http, Managing Resource Contention).
    pub(crate) fn parse(value: &str) -> Result<Self, InvalidTags> {
        if value.trim() == "*" {
            return Ok(Self::Any);
        }
        let mut versions = Vec::new();
        let mut rest = value.trim();
        loop {
            let tag = rest.strip_prefix("W/").unwrap_or(rest);
            let (tag, after) = match tag.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or(InvalidTags)?,
                None => bare(tag)?,
            };
            versions.extend(crate::fhir::address::parse_version(tag));
            let after = after.trim_start();
            if after.is_empty() {
                return Ok(Self::Versions(versions));
            }
            rest = after.strip_prefix(',').ok_or(InvalidTags)?.trim_start();
        }
    }

    fn matches(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => versions.contains(&version),
        }
    }
}

/// A version without the quotes that belong around it: fhirpy asks so whether there is a newer one.
fn bare(text: &str) -> Result<(&str, &str), InvalidTags> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 { Err(InvalidTags) } else { Ok(text.split_at(end)) }
}

impl Conditions {
    /// What must be true of the present version for a change. With `require_if_match` a resource that is there is
    /// changed by those only who say which version they mean.
    pub(super) fn for_change(&self, require_if_match: bool) -> Precondition {
        match (&self.if_match, &self.if_none_match) {
            (Some(Tags::Any), _) => Precondition::Present,
            (Some(Tags::Versions(versions)), _) => Precondition::Version(versions.clone()),
            (None, Some(Tags::Any)) => Precondition::Absent,
            (None, _) if require_if_match => Precondition::Absent,
            (None, _) => Precondition::None,
        }
    }

    /// Whether the client has this version already (RFC 9110, 13.2.2: the date counts only without tags).
    pub(super) fn has(&self, resource: &StoredResource) -> bool {
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => tags.matches(resource.version),
            (None, Some(since)) => {
                let second = 1_000_000_000;
                resource.last_updated.as_nanos().div_euclid(second) <= since.as_nanos().div_euclid(second)
            }
            (None, None) => false,
        }
    }
}

/// The conditions of a create whose criteria may stand in its URL: so fhirpy's `get_or_create` asks, and
/// `If-None-Exist` goes before it. Parameters among which nothing is searched by (`upsert=true`) say nothing.
pub(super) fn with_criteria_of_url(
    conditions: Conditions,
    resource_type: &'static str,
    parameters: &[(String, String)],
    base: &str,
) -> Conditions {
    if conditions.if_none_exist.is_some() || parameters.is_empty() {
        return conditions;
    }
    // What is wrong with them is told when they are read in earnest.
    let searches = Query::parse(Scope::Type(resource_type), parameters, base, false)
        .map_or(true, |query| !query.filters.is_empty());
    let criteria = || query_string(parameters.iter().map(|(name, value)| (&**name, &**value)));
    Conditions { if_none_exist: searches.then(criteria), ..conditions }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_are_read_weak_strong_and_in_lists() {
        for (value, expected) in [
            ("*", Ok(Tags::Any)),
            ("W/\"3\"", Ok(Tags::Versions(vec![3]))),
            ("\"3\"", Ok(Tags::Versions(vec![3]))),
            ("W/\"1\", \"2\" ,W/\"17\"", Ok(Tags::Versions(vec![1, 2, 17]))),
            ("W/\"abc\"", Ok(Tags::Versions(vec![]))),
            ("\"03\"", Ok(Tags::Versions(vec![]))),
            ("\"a,b\", \"4\"", Ok(Tags::Versions(vec![4]))),
            ("", Err(InvalidTags)),
            ("3", Ok(Tags::Versions(vec![3]))),
            ("abc", Err(InvalidTags)),
            ("\"3", Err(InvalidTags)),
            ("\"3\" \"4\"", Err(InvalidTags)),
            ("\"3\",", Err(InvalidTags)),
            ("w/\"3\"", Err(InvalidTags)),
        ] {
            assert_eq!(Tags::parse(value), expected, "{value}");
        }
    }

    #[test]
    fn the_criteria_of_a_create_may_stand_in_its_url() {
        for (header, url, expected) in [
            (None, "identifier=a%7Cb&_format=json", Some("identifier=a%7Cb&_format=json")),
            (Some("name=x"), "identifier=a", Some("name=x")),
            (None, "upsert=true&_pretty=true", None),
            (None, "birthdate=never", Some("birthdate=never")),
            (None, "", None),
        ] {
            let conditions = Conditions { if_none_exist: header.map(str::to_owned), ..Conditions::default() };
            let parameters = crate::fhir::address::parameters(url);
            let conditions = with_criteria_of_url(conditions, "Patient", &parameters, "http://base/fhir");
            assert_eq!(conditions.if_none_exist.as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn the_conditions_of_a_change_are_those_of_its_fields() {
        let tags = |value: &str| Some(Tags::parse(value).expect("tags"));
        let versions = Conditions { if_match: tags("\"2\", \"x\""), ..Conditions::default() };
        let present = Conditions { if_match: tags("*"), ..Conditions::default() };
        let absent = Conditions { if_none_match: tags("*"), ..Conditions::default() };
        for required in [false, true] {
            assert_eq!(versions.for_change(required), Precondition::Version(vec![2]));
            assert_eq!(present.for_change(required), Precondition::Present);
            assert_eq!(absent.for_change(required), Precondition::Absent);
        }
        assert_eq!(Conditions::default().for_change(false), Precondition::None);
        assert_eq!(Conditions::default().for_change(true), Precondition::Absent);
    }
}
