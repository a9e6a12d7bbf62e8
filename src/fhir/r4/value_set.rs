//! The value sets that R4 binds as required, as lists of codes. Sets that nobody can list (all languages, all media
//! types, all units, all currencies) are not here: of a code bound to one of them only the form is looked at.

use std::sync::LazyLock;

/// `url TAB system TAB code code …`, one line for each system of a value set.
const CODES: &str = include_str!("../../../profiles/r4/codes.tsv");

/// What the URLs in the table are shortened by.
const URL_PREFIX: &str = "http://hl7.org/fhir/ValueSet/";

static VALUE_SETS: LazyLock<Vec<ValueSet>> = LazyLock::new(|| read(CODES));

/// A value set whose codes are known.
#[derive(Debug)]
pub(crate) struct ValueSet {
    url: &'static str,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    system: &'static str,
    /// In alphabetical order, for the search.
    codes: Vec<&'static str>,
}

impl ValueSet {
    /// Whether a `code` is in it, from whichever system.
    pub(crate) fn contains(&self, code: &str) -> bool {
        self.parts.iter().any(|part| part.contains(code))
    }

    /// Whether the code of this system is in it.
    pub(crate) fn contains_coding(&self, system: &str, code: &str) -> bool {
        self.parts.iter().any(|part| part.system == system && part.contains(code))
    }

    /// The one system of all its codes; `None` if they come from several.
    #[cfg(test)]
    pub(crate) fn system(&self) -> Option<&'static str> {
        match self.parts.as_slice() {
            [part] => Some(part.system),
            _ => None,
        }
    }

    /// The system of a `code`, if it is in the set.
    #[cfg(test)]
    pub(crate) fn system_of(&self, code: &str) -> Option<&'static str> {
        self.parts.iter().find(|part| part.contains(code)).map(|part| part.system)
    }
}

impl Part {
    fn contains(&self, code: &str) -> bool {
        self.codes.binary_search(&code).is_ok()
    }
}

/// The value set of this canonical URL, without a version; `None` if its codes are not known.
pub(crate) fn value_set(url: &str) -> Option<&'static ValueSet> {
    let name = url.strip_prefix(URL_PREFIX).unwrap_or(url);
    VALUE_SETS.binary_search_by_key(&name, |set| set.url).ok().map(|index| &VALUE_SETS[index])
}

/// The whole URL of what the tables call a value set.
#[cfg(test)]
pub(super) fn whole_url(name: &str) -> String {
    if name.contains(':') { name.to_owned() } else { format!("{URL_PREFIX}{name}") }
}

/// Whether a code looks like one of an open value set: three capitals for a currency, `type/subtype` or FHIR's own
/// short name for a media type.
pub(super) fn has_form(name: &str, code: &str) -> bool {
    match name {
        "currencies" => code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()),
        "mimetypes" => {
            let is_type = |(top, sub): (&str, &str)| !top.is_empty() && !sub.is_empty();
            matches!(code, "json" | "xml" | "ttl") || code.split_once('/').is_some_and(is_type)
        }
        _ => true,
    }
}

fn read(table: &'static str) -> Vec<ValueSet> {
    let mut sets: Vec<ValueSet> = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let [url, system, codes] = [(); 3].map(|()| columns.next().unwrap_or_default());
        let part = Part { system, codes: codes.split(' ').collect() };
        match sets.last_mut().filter(|last| last.url == url) {
            Some(last) => last.parts.push(part),
            None => sets.push(ValueSet { url, parts: vec![part] }),
        }
    }
    sets
}
