//! The primitive types of FHIR R4 and which texts are values of each. Only the form is judged here; that a JSON
//! value is a string, a number or a boolean at all is judged by who walks the resource.

use crate::fhir::{base64, datatype};

/// A primitive type of FHIR R4; each variant is the one of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
}

/// Every primitive with its name, in alphabetical order.
const NAMES: [(&str, Primitive); 20] = [
    ("base64Binary", Primitive::Base64Binary),
    ("boolean", Primitive::Boolean),
    ("canonical", Primitive::Canonical),
    ("code", Primitive::Code),
    ("date", Primitive::Date),
    ("dateTime", Primitive::DateTime),
    ("decimal", Primitive::Decimal),
    ("id", Primitive::Id),
    ("instant", Primitive::Instant),
    ("integer", Primitive::Integer),
    ("markdown", Primitive::Markdown),
    ("oid", Primitive::Oid),
    ("positiveInt", Primitive::PositiveInt),
    ("string", Primitive::String),
    ("time", Primitive::Time),
    ("unsignedInt", Primitive::UnsignedInt),
    ("uri", Primitive::Uri),
    ("url", Primitive::Url),
    ("uuid", Primitive::Uuid),
    ("xhtml", Primitive::Xhtml),
];

impl Primitive {
    /// The primitive of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES.binary_search_by_key(&name, |(name, _)| name).ok().map(|index| NAMES[index].1)
    }

    /// Its name in FHIR.
    pub(crate) fn name(self) -> &'static str {
        // The names stand in the order of the variants, which a test holds.
        NAMES[self as usize].0
    }

    /// The least value of an integer of this type; `None` where a value is no integer.
    pub(crate) fn least_integer(self) -> Option<i32> {
        match self {
            Self::Integer => Some(i32::MIN),
            Self::UnsignedInt => Some(0),
            Self::PositiveInt => Some(1),
            _ => None,
        }
    }

    /// Whether a text that is not empty has the lexical form of this type. Of a type that JSON does not write as a
    /// string, no text has.
    pub(crate) fn accepts(self, text: &str) -> bool {
        match self {
            Self::Base64Binary => base64::is_base64(text),
            Self::Canonical | Self::Uri | Self::Url => datatype::is_uri(text),
            Self::Code => datatype::is_code(text),
            Self::Date => datatype::is_date(text),
            Self::DateTime => datatype::date_time_precision(text).is_some(),
            Self::Id => datatype::is_id(text),
            Self::Instant => datatype::is_instant(text),
            Self::Markdown | Self::String => datatype::is_string(text),
            Self::Oid => datatype::is_oid(text),
            Self::Time => datatype::is_time(text),
            Self::Uuid => datatype::is_uuid(text),
            Self::Xhtml => datatype::is_narrative(text),
            Self::Boolean | Self::Decimal | Self::Integer | Self::PositiveInt | Self::UnsignedInt => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_their_type_and_back() {
        assert!(NAMES.is_sorted_by_key(|(name, _)| *name));
        for (name, primitive) in NAMES {
            assert_eq!(primitive.name(), name);
            assert_eq!(Primitive::named(name), Some(primitive));
        }
        assert_eq!(Primitive::named("String"), None);
    }
}
