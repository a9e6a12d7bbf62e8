//! Parameters that say how much of the matches is shown, in which order, and what comes along (FHIR R4 search, Managing
//! Returned Resources).

use super::{Reader, Refusal, Use};
use crate::fhir::search::{
    Include, Kind, SearchParameter, SortBy, SortKey, Summary, Total, included_only, parameter, searched_types,
};

/// More keys than an order has on purpose.
const MOST_KEYS: usize = 8;

impl Reader<'_> {
    /// Reads a parameter about the result; `None` if it is not one.
    pub(super) fn read_result(
        &mut self,
        name: &str,
        value: &str,
        is_repeated: bool,
    ) -> Result<Option<Use>, Refusal> {
        let once = |code: &str| {
            let again = || Refusal::value(format!("The search parameter {code} is there more than once"));
            if is_repeated { Err(again()) } else { Ok(()) }
        };
        match name {
            "_sort" => {
                once("_sort")?;
                self.query.sort = self.sort(value)?;
            }
            "_count" => {
                once("_count")?;
                // More than a number can say is as much as there is.
                let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                let count = is_number.then(|| value.parse().unwrap_or(u32::MAX));
                let count = count.ok_or_else(|| Refusal::value("The value of _count is not a number"))?;
                self.query.count = Some(count);
                if count == 0 {
                    self.query.summary = Some(Summary::Count);
                }
            }
            "_total" => {
                once("_total")?;
                self.query.total = match value {
                    "none" => Total::None,
                    "estimate" | "accurate" => Total::Accurate,
                    _ => return Err(Refusal::value("The value of _total is not none, estimate or accurate")),
                };
            }
            "_summary" => {
                once("_summary")?;
                let summary = match value {
                    "true" => Some(Summary::True),
                    "text" => Some(Summary::Text),
                    "data" => Some(Summary::Data),
                    "count" => Some(Summary::Count),
                    "false" => None,
                    _ => {
                        return Err(Refusal::value(
                            "The value of _summary is not true, text, data, count or false",
                        ));
                    }
                };
                // `_count=0` asked for a count already.
                if self.query.count != Some(0) {
                    self.query.summary = summary;
                }
            }
            "_elements" => {
                for element in value.split(',').filter(|element| !element.is_empty()) {
                    // `Patient.name` means what `name` means.
                    let prefixed = element
                        .split_once('.')
                        .filter(|(first, _)| searched_types().any(|name| name == *first));
                    let element = prefixed.map_or(element, |(_, rest)| rest);
                    if !element.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.') {
                        return Err(Refusal::value("The value of _elements is not a list of element names"));
                    }
                    self.query.elements.push(element.to_owned());
                }
            }
            "_include" | "_include:iterate" | "_include:recurse" => {
                self.include(value, false, name != "_include")?;
            }
            "_revinclude" | "_revinclude:iterate" | "_revinclude:recurse" => {
                self.include(value, true, name != "_revinclude")?;
            }
            "_cursor" => {
                once("_cursor")?;
                self.query.cursor = Some(value.to_owned());
                return Ok(Some(Use::Elsewhere));
            }
            "_format" | "_pretty" => return Ok(Some(Use::Elsewhere)),
            // Read before all else; in a search of one type it says nothing.
            "_type" if self.query.types.len() > 1 || self.is_wide(value) => {}
            _ => return unknown_modifier(name).map(|()| None),
        }
        Ok(Some(Use::Applied))
    }

    /// Whether `_type` named the one type that is searched.
    fn is_wide(&self, value: &str) -> bool {
        value.split(',').any(|name| self.query.types.contains(&name))
    }

    fn sort(&self, value: &str) -> Result<Vec<SortKey>, Refusal> {
        let keys = value.split(',').filter(|key| !key.is_empty()).map(|key| {
            let (code, descending) = key.strip_prefix('-').map_or((key, false), |code| (code, true));
            let by = match code {
                "_id" => SortBy::Id,
                "_lastUpdated" => SortBy::LastUpdated,
                _ => SortBy::Parameters(self.sorted_by(code)?),
            };
            Ok(SortKey { by, descending })
        });
        let keys: Vec<SortKey> = keys.collect::<Result<_, _>>()?;
        if keys.len() > MOST_KEYS { Err(Refusal::too_costly()) } else { Ok(keys) }
    }

    fn sorted_by(&self, code: &str) -> Result<Vec<Vec<&'static SearchParameter>>, Refusal> {
        let of_all = |code| {
            let found: Option<Vec<_>> = self.query.types.iter().map(|name| parameter(name, code)).collect();
            found.filter(|found| found.iter().all(|parameter| parameter.kind != Kind::Composite))
        };
        let named = of_all(code).ok_or_else(|| {
            Refusal::value("The value of _sort names something that is no search parameter here")
        })?;
        // The guide sorts documents by a period that many do not have, and calls it their date (CDex, direct query).
        if self.query.types == ["DocumentReference"] && code == "period" {
            return Ok([Some(named), of_all("date")].into_iter().flatten().collect());
        }
        Ok(vec![named])
    }

    fn include(&mut self, value: &str, reverse: bool, iterate: bool) -> Result<(), Refusal> {
        let invalid = || {
            let name = if reverse { "_revinclude" } else { "_include" };
            Refusal::value(format!("The value of {name} does not name a reference of a resource type"))
        };
        let known = |wanted: &str| searched_types().find(|name| *name == wanted);
        let mut parts = value.split(':');
        let (source, code, target) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        if parts.next().is_some() {
            return Err(invalid());
        }
        let include = if source == "*" {
            // What refers to the matches could be of any type, from any of its parameters.
            if code.is_some() || reverse {
                return Err(invalid());
            }
            Include { source: None, code: None, target: None, reverse, iterate }
        } else {
            let source = known(source).ok_or_else(invalid)?;
            let code = match code.ok_or_else(invalid)? {
                "*" => None,
                code => Some(reference(source, code).ok_or_else(invalid)?.code),
            };
            let target = target.filter(|target| !target.is_empty());
            let target = target.map(|target| known(target).ok_or_else(invalid)).transpose()?;
            Include { source: Some(source), code, target, reverse, iterate }
        };
        if !self.query.includes.contains(&include) {
            self.query.includes.push(include);
        }
        Ok(())
    }
}

fn reference(source: &str, code: &str) -> Option<&'static SearchParameter> {
    let searched = parameter(source, code).filter(|found| found.kind == Kind::Reference);
    searched.or_else(|| included_only(source).find(|found| found.code == code))
}

/// Refuses the parameters of this file with a modifier that they do not take.
fn unknown_modifier(name: &str) -> Result<(), Refusal> {
    const PLAIN: [&str; 8] =
        ["_count", "_elements", "_include", "_revinclude", "_sort", "_summary", "_total", "_type"];
    let known = name.split_once(':').and_then(|(code, _)| PLAIN.into_iter().find(|known| *known == code));
    match known {
        Some(known) => {
            Err(Refusal::value(format!("The search parameter {known} has a modifier that it cannot have")))
        }
        None => Ok(()),
    }
}
