//! What the paths below the base URL name (FHIR R4 http): the whole server, a type, a resource, a version. The door
//! reads its request line with it and a Bundle its `request.url`s, so that both mean the same. Whether a thing is
//! there, and what may be done with it, is for others to say.

use percent_encoding::percent_decode_str;

use super::datatype::is_id;
use super::r4::resource_type;
use super::search::Compartment;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// `[base]`
    System,
    /// `[base]/_search`
    SystemSearch,
    /// `[base]/[type]`
    Type(&'static str),
    /// `[base]/[type]/_search`
    TypeSearch(&'static str),
    /// `[base]/[type]/_history`
    TypeHistory(&'static str),
    /// `[base]/[type]/[id]`
    Instance(&'static str, String),
    /// `[base]/[type]/[id]/_history`
    InstanceHistory(&'static str, String),
    /// `[base]/[type]/[id]/_history/[vid]`; no version where the last part is none that we give.
    Version(&'static str, String, Option<u64>),
    /// `[base]/Patient/[id]/[type]`, or `/*` for all types.
    Compartment(Compartment, Option<&'static str>),
    /// `[base]/Patient/[id]/[type]/_search`
    CompartmentSearch(Compartment, Option<&'static str>),
}

/// Why a path names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownAddress {
    /// What should be a resource type is none of FHIR R4, or one whose resources are not kept.
    #[error("no resources of such a type are kept here")]
    Type,
    /// What should be an id has not the form of one.
    #[error("an id has 1 to 64 of A-Z a-z 0-9 - .")]
    Id,
    /// There is no interaction with such a path.
    #[error("no interaction has such a path")]
    Interaction,
}

impl Address {
    /// Reads a path below the base URL, as it stands in a URL. One slash at the end does not matter.
    pub(crate) fn parse(path: &str) -> Result<Self, UnknownAddress> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() {
            return Ok(Self::System);
        }
        // Split first, decode then: an encoded slash is part of a segment, and no segment may hold one (H-05).
        let segments: Result<Vec<_>, _> =
            path.split('/').map(|segment| percent_decode_str(segment).decode_utf8()).collect();
        let segments = segments.map_err(|_| UnknownAddress::Interaction)?;
        let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        Self::of_segments(&segments)
    }

    fn of_segments(segments: &[&str]) -> Result<Self, UnknownAddress> {
        if segments == ["_search"] {
            return Ok(Self::SystemSearch);
        }
        let [name, rest @ ..] = segments else { return Err(UnknownAddress::Interaction) };
        if name.starts_with(['_', '$']) {
            return Err(UnknownAddress::Interaction);
        }
        let resource_type = kept_type(name)?;
        match *rest {
            [] => Ok(Self::Type(resource_type)),
            ["_search"] => Ok(Self::TypeSearch(resource_type)),
            ["_history"] => Ok(Self::TypeHistory(resource_type)),
            [id, ..] if id.starts_with(['_', '$']) => Err(UnknownAddress::Interaction),
            [id, ..] if !is_id(id) => Err(UnknownAddress::Id),
            [id] => Ok(Self::Instance(resource_type, id.to_owned())),
            [id, "_history"] => Ok(Self::InstanceHistory(resource_type, id.to_owned())),
            [id, "_history", version] => {
                Ok(Self::Version(resource_type, id.to_owned(), parse_version(version)))
            }
            [id, member, ref search @ ..] if resource_type == "Patient" => {
                let compartment = Compartment { patient: id.to_owned() };
                let member = match member {
                    "*" => None,
                    name if name.starts_with(['_', '$']) => return Err(UnknownAddress::Interaction),
                    name => Some(kept_type(name)?),
                };
                match search {
                    [] => Ok(Self::Compartment(compartment, member)),
                    ["_search"] => Ok(Self::CompartmentSearch(compartment, member)),
                    _ => Err(UnknownAddress::Interaction),
                }
            }
            _ => Err(UnknownAddress::Interaction),
        }
    }
}

/// Where an operation is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// `[base]/$[operation]`
    System,
    /// `[base]/[type]/$[operation]`
    Type(&'static str),
    /// `[base]/[type]/[id]/$[operation]`
    Instance(&'static str, String),
}

impl Place {
    /// The path of an operation that is called here, from the base on.
    pub(crate) fn path_of(&self, code: &str) -> String {
        match self {
            Self::System => format!("${code}"),
            Self::Type(name) => format!("{name}/${code}"),
            Self::Instance(name, id) => format!("{name}/{id}/${code}"),
        }
    }
}

/// What the path of an operation names. Whether there is such an operation, and there, is for others to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OperationAddress {
    /// The operation, without its `$`.
    pub(crate) code: String,
    /// Where it is called.
    pub(crate) place: Place,
}

impl OperationAddress {
    /// Reads a path below the base URL, as it stands in a URL; none where its last part does not begin with `$`.
    /// Clients may write it `%24` (H-05).
    pub(crate) fn parse(path: &str) -> Option<Result<Self, UnknownAddress>> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let (before, last) = path.rsplit_once('/').unwrap_or(("", path));
        let last = percent_decode_str(last).decode_utf8().ok()?;
        let code = last.strip_prefix('$')?.to_owned();
        Some(Self::place(before).map(|place| Self { code, place }))
    }

    fn place(path: &str) -> Result<Place, UnknownAddress> {
        match path.trim_start_matches('/') {
            // All types are Resources (FHIR R4, Resource-validate).
            "Resource" => return Ok(Place::System),
            // Parameters are kept nowhere, but there are operations about them.
            "Parameters" => return Ok(Place::Type("Parameters")),
            _ => {}
        }
        match Address::parse(path)? {
            Address::System => Ok(Place::System),
            Address::Type(name) => Ok(Place::Type(name)),
            Address::Instance(name, id) => Ok(Place::Instance(name, id)),
            Address::SystemSearch
            | Address::TypeSearch(_)
            | Address::TypeHistory(_)
            | Address::InstanceHistory(..)
            | Address::Version(..)
            | Address::Compartment(..)
            | Address::CompartmentSearch(..) => Err(UnknownAddress::Interaction),
        }
    }
}

/// A type whose resources are kept: all of R4 but Parameters, which exist in operations only (FHIR R4, Parameters).
fn kept_type(name: &str) -> Result<&'static str, UnknownAddress> {
    resource_type(name).filter(|name| *name != "Parameters").ok_or(UnknownAddress::Type)
}

/// A version as we write them: digits, from 1 on.
pub(crate) fn parse_version(text: &str) -> Option<u64> {
    let is_ours =
        !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_ours)
}

/// The parameters of a query string or of a form, decoded, in their order.
pub(crate) fn parameters(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// Parameters as a query string.
pub(crate) fn query_string<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_of_the_rest_api_has_its_meaning() {
        let id = || "p-1.2".to_owned();
        let compartment = || Compartment { patient: id() };
        for (path, expected) in [
            ("", Address::System),
            ("/", Address::System),
            ("_search", Address::SystemSearch),
            ("Patient", Address::Type("Patient")),
            ("/Patient/", Address::Type("Patient")),
            ("Patient/_search", Address::TypeSearch("Patient")),
            ("Patient/_history", Address::TypeHistory("Patient")),
            ("Patient/p-1.2", Address::Instance("Patient", id())),
            ("Patient/p%2D1.2", Address::Instance("Patient", id())),
            ("Patient/p-1.2/_history", Address::InstanceHistory("Patient", id())),
            ("Task/p-1.2/_history/12", Address::Version("Task", id(), Some(12))),
            ("Task/p-1.2/_history/x", Address::Version("Task", id(), None)),
            ("Task/p-1.2/_history/012", Address::Version("Task", id(), None)),
            ("Patient/p-1.2/Task", Address::Compartment(compartment(), Some("Task"))),
            ("Patient/p-1.2/*", Address::Compartment(compartment(), None)),
            ("Patient/p-1.2/Task/_search", Address::CompartmentSearch(compartment(), Some("Task"))),
        ] {
            assert_eq!(Address::parse(path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn any_other_path_names_nothing() {
        for (path, expected) in [
            ("Foo", UnknownAddress::Type),
            ("patient", UnknownAddress::Type),
            ("Parameters", UnknownAddress::Type),
            ("Parameters/1", UnknownAddress::Type),
            ("Resource/1", UnknownAddress::Type),
            ("Patient/1/Foo", UnknownAddress::Type),
            ("Patient/a_b", UnknownAddress::Id),
            ("Patient/a%2Fb", UnknownAddress::Id),
            ("Patient/..%2f..", UnknownAddress::Id),
            ("Patient//1", UnknownAddress::Id),
            ("Patient/1;v=1", UnknownAddress::Id),
            ("_history", UnknownAddress::Interaction),
            ("$export", UnknownAddress::Interaction),
            ("Patient/$match", UnknownAddress::Interaction),
            ("Patient/1/$everything", UnknownAddress::Interaction),
            ("Task/1/Patient", UnknownAddress::Interaction),
            ("Task/1/_history/1/2", UnknownAddress::Interaction),
            ("Patient/%ff", UnknownAddress::Interaction),
        ] {
            assert_eq!(Address::parse(path), Err(expected), "{path}");
        }
    }

    #[test]
    fn an_operation_is_called_on_the_server_on_a_type_or_on_a_resource() {
        let found = |path| OperationAddress::parse(path).map(|address| address.map(|it| (it.code, it.place)));
        let validate = |place| Some(Ok(("validate".to_owned(), place)));
        for (path, expected) in [
            ("/$validate", validate(Place::System)),
            ("/%24validate/", validate(Place::System)),
            ("/Resource/$validate", validate(Place::System)),
            ("/Task/$validate", validate(Place::Type("Task"))),
            ("/Parameters/$validate", validate(Place::Type("Parameters"))),
            ("/Task/1/%24validate", validate(Place::Instance("Task", "1".to_owned()))),
            ("/Foo/$validate", Some(Err(UnknownAddress::Type))),
            ("/Task/a_b/$validate", Some(Err(UnknownAddress::Id))),
            ("/Task/1/_history/1/$validate", Some(Err(UnknownAddress::Interaction))),
            ("/Patient/1/Task/$validate", Some(Err(UnknownAddress::Interaction))),
            ("/Task/1", None),
            ("/$validate/Task", None),
            ("", None),
        ] {
            assert_eq!(found(path), expected, "{path}");
        }
        let place = Place::Instance("Patient", "1".to_owned());
        assert_eq!(place.path_of("everything"), "Patient/1/$everything");
    }

    #[test]
    fn parameters_survive_being_written_and_read() {
        let list = vec![("subject:Patient".to_owned(), "a&b=c +|\u{e4},$".to_owned())];
        let text = query_string(list.iter().map(|(name, value)| (&**name, &**value)));
        assert_eq!(parameters(&text), list);
        assert!(text.is_ascii());
    }
}
