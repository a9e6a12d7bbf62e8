//! What a resource can be searched for: every value of every parameter of its type, as `encoding` writes it. What is
//! filed here, `criteria` asks for; the two are read side by side.
//!
//! | Kind | Value | Extra |
//! |---|---|---|
//! | token | the code, its system | display or text |
//! | string | as searches compare it | as it is |
//! | reference | `Type/id`, or the URL | |
//! | date | the first moment | the first moment after it |
//! | number | the decimal | |
//! | quantity | the decimal | unit and system |
//! | uri | as it is | |
//! | composite | the first component, the second | the third, or what is extra of the second |
//!
//! Where R4 leaves a choice: codes are compared with their case; a Range is both of its ends; the comparator of a
//! Quantity and the samples of SampledData are not looked at; a `phonetic` is a name; a canonical leads to no resource,
//! only a reference does.

mod composite;
#[cfg(test)]
mod tests;
mod value;

use serde_json::Value;

use super::encoding::cut;
use super::entry::{Entry, Space, Spaces};
use crate::fhir::search::{Kind, SearchParameter, included_only, parameters};

/// What a second set of values of a reference is filed under: its identifiers.
pub(super) const IDENTIFIER: &str = ":identifier";

/// What a second set of values of an identifier is filed under: with their types.
pub(super) const OF_TYPE: &str = ":of-type";

/// The entries of a resource of this type, each once, in order. `base` is the gateway's FHIR base URL: references to
/// it are references to resources here.
pub(crate) fn entries(tenant: &str, resource_type: &'static str, resource: &Value, base: &str) -> Vec<Entry> {
    let mut filing =
        Filing { spaces: Spaces::of(tenant, resource_type), base, resource, entries: Vec::with_capacity(64) };
    for parameter in parameters(resource_type).iter().chain(included_only(resource_type)) {
        // These are columns of the row.
        if !matches!(parameter.code, "_id" | "_lastUpdated") {
            filing.file(parameter);
        }
    }
    filing.entries.sort_unstable();
    filing.entries.dedup();
    filing.entries
}

/// The entries of a resource, being written.
struct Filing<'a> {
    spaces: Spaces,
    base: &'a str,
    resource: &'a Value,
    entries: Vec<Entry>,
}

impl Filing<'_> {
    fn file(&mut self, parameter: &SearchParameter) {
        let space = self.spaces.of_code(&[parameter.code]);
        parameter.each(self.resource, &mut |element| match parameter.kind {
            Kind::Token => {
                self.push_all(space, value::token(element));
                if parameter.types.contains(&"Identifier") {
                    let of_type = self.spaces.of_code(&[parameter.code, OF_TYPE]);
                    self.push_all(of_type, value::of_type(element));
                }
            }
            Kind::String => self.push_all(space, value::strings(element)),
            Kind::Reference => {
                self.push_all(space, value::references(element, &parameter.targets, self.base));
                if let Some(identifier) = element.get("identifier") {
                    let of_identifiers = self.spaces.of_code(&[parameter.code, IDENTIFIER]);
                    self.push_all(of_identifiers, value::token(identifier));
                }
            }
            Kind::Date => self.push_all(space, value::date(element)),
            Kind::Number => self.push_all(space, value::numbers(element)),
            Kind::Quantity => self.push_all(space, value::quantities(element)),
            Kind::Uri => self.push_all(space, value::uris(element)),
            Kind::Composite => {
                let found = composite::values(parameter, element, self.resource, self.base);
                self.push_all(space, found);
            }
        });
    }

    fn push_all(&mut self, space: Space, values: impl IntoIterator<Item = value::Filed>) {
        self.entries.extend(values.into_iter().map(|(value, extra)| Entry {
            space,
            value: cut(value),
            extra: extra.filter(|extra| !extra.is_empty()).map(cut),
        }));
    }
}
