//! Parameters that say which resources are wanted: on their own values, on what they refer to (`subject:Patient.name`),
//! on what refers to them (`_has:Observation:patient:code`).

use super::value::{self, Modifier};
use super::{Reader, Refusal, Unknown, text};
use crate::fhir::IssueType;
use crate::fhir::search::{Filter, Kind, SearchParameter, Test, Wanted, parameter, searched_types};

/// How many references a chain may follow.
const LONGEST_CHAIN: usize = 4;

/// A chain whose reference may lead to more types than this has to name one.
const MOST_TARGETS: usize = 16;

impl Reader<'_> {
    /// Reads a condition on resources of these types; `None` if it asks for nothing. `depth` is how many references
    /// lead here.
    pub(super) fn filter(
        &mut self,
        types: &[&'static str],
        name: &str,
        value: &str,
        depth: usize,
    ) -> Result<Option<Filter>, Refusal> {
        self.spend(1)?;
        if let Some(rest) = name.strip_prefix("_has:") {
            return self.has(types, rest, value, depth);
        }
        let (head, chained) = name.split_once('.').map_or((name, None), |(head, rest)| (head, Some(rest)));
        let (code, modifier) = head.split_once(':').map_or((head, None), |(code, rest)| (code, Some(rest)));
        let parameters: Option<Vec<_>> = types.iter().map(|name| parameter(name, code)).collect();
        let parameters = parameters.ok_or_else(|| Refusal::Unknown(Unknown::of(code)))?;
        let Some(&first) = parameters.first() else { return Ok(None) };
        let modifier = Modifier::of(first, modifier)?;
        match chained {
            Some(rest) => self.chain(parameters, modifier, rest, value, depth),
            None => self.own(parameters, modifier, value),
        }
    }

    fn own(
        &mut self,
        parameters: Vec<&'static SearchParameter>,
        modifier: Modifier,
        value: &str,
    ) -> Result<Option<Filter>, Refusal> {
        let Some(&first) = parameters.first() else { return Ok(None) };
        if modifier == Modifier::Missing {
            let is_missing = match value {
                "true" => true,
                "false" => false,
                _ => return Err(Refusal::value(format!("{}:missing is neither true nor false", first.code))),
            };
            return Ok(Some(Filter::Own { parameters, test: Test::Missing(is_missing) }));
        }
        if parameters.iter().any(|parameter| parameter.kind != first.kind) {
            let text = format!(
                "The search parameter {} does not mean the same in all the types searched",
                first.code
            );
            return Err(Refusal::Invalid(IssueType::NotSupported, text));
        }
        let texts = text::split(value, ',').filter(|text| !text.is_empty());
        if matches!(first.code, "_id" | "_lastUpdated") && modifier != Modifier::None {
            return Err(value::not_here(first));
        }
        if first.code == "_id" {
            let ids: Option<Vec<_>> = texts.map(|id| text::unescaped(id).map(Into::into)).collect();
            let ids: Vec<String> = ids.ok_or_else(|| value::escape(first))?;
            self.spend(ids.len())?;
            return Ok(Some(Filter::Id(ids)).filter(|_| value.chars().any(|c| c != ',')));
        }
        let mut wanted = Vec::new();
        for text in texts {
            let read = value::read(&parameters, modifier, text, self.base)?;
            self.spend(cost(&read).saturating_mul(parameters.len()))?;
            wanted.push(read);
        }
        Ok(match (wanted.is_empty(), first.code, modifier) {
            (true, ..) => None,
            (_, "_lastUpdated", _) => Some(Filter::LastUpdated(wanted)),
            (_, _, Modifier::Not) => Some(Filter::Own { parameters, test: Test::NoneOf(wanted) }),
            _ => Some(Filter::Own { parameters, test: Test::AnyOf(wanted) }),
        })
    }

    fn chain(
        &mut self,
        parameters: Vec<&'static SearchParameter>,
        modifier: Modifier,
        rest: &str,
        value: &str,
        depth: usize,
    ) -> Result<Option<Filter>, Refusal> {
        let Some(&first) = parameters.first() else { return Ok(None) };
        let invalid = |text: String| Err(Refusal::Invalid(IssueType::Value, text));
        if parameters.iter().any(|parameter| parameter.kind != Kind::Reference) {
            return invalid(format!(
                "The search parameter {} is no reference and cannot be chained",
                first.code
            ));
        }
        if depth + 1 > LONGEST_CHAIN {
            return Err(Refusal::too_costly());
        }
        let mut types: Vec<&'static str> = match modifier {
            Modifier::Type(name) => vec![name],
            Modifier::None => {
                parameters.iter().flat_map(|parameter| parameter.targets.iter().copied()).collect()
            }
            _ => return Err(value::not_here(first)),
        };
        types.sort_unstable();
        types.dedup();
        if types.len() > MOST_TARGETS {
            let code = first.code;
            return invalid(format!(
                "The search parameter {code} may refer to anything: name a type, as in {code}:Patient"
            ));
        }
        let mut targets = Vec::new();
        let mut unknown = None;
        let times = self.times;
        self.times = times.saturating_mul(parameters.len());
        let read: Vec<_> = types
            .into_iter()
            .map(|target| (target, self.filter(&[target], rest, value, depth + 1)))
            .collect();
        self.times = times;
        for (target, read) in read {
            match read {
                Ok(Some(filter)) => targets.push((target, filter)),
                Ok(None) => {}
                // Not every type that it may refer to needs to know the parameter; one has to.
                Err(Refusal::Unknown(why)) => unknown = Some(why),
                Err(invalid) => return Err(invalid),
            }
        }
        match (targets.is_empty(), unknown) {
            (true, Some(why)) => Err(Refusal::Unknown(why)),
            (true, None) => Ok(None),
            (false, _) => Ok(Some(Filter::Chain { parameters, targets })),
        }
    }

    /// `_has:` and then type, reference parameter, and what is asked of the resources that refer.
    fn has(
        &mut self,
        types: &[&'static str],
        rest: &str,
        value: &str,
        depth: usize,
    ) -> Result<Option<Filter>, Refusal> {
        let invalid = |text: &str| Err(Refusal::value(text));
        if depth + 1 > LONGEST_CHAIN {
            return Err(Refusal::too_costly());
        }
        let mut parts = rest.splitn(3, ':');
        let (Some(source), Some(code), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return invalid("The search parameter _has must name a type, a reference and a parameter");
        };
        let Some(source) = searched_types().find(|name| *name == source) else {
            return invalid("The search parameter _has names something that is no searchable resource type");
        };
        let Some(parameter) = parameter(source, code).filter(|found| found.kind == Kind::Reference) else {
            return invalid("The search parameter _has names a reference that its type does not have");
        };
        if !types.iter().any(|name| parameter.targets.contains(name)) {
            // Another type that the chain may lead to can be the right one.
            if depth > 0 {
                return Err(Refusal::Unknown(Unknown::Named("_has")));
            }
            return invalid(
                "The search parameter _has names a reference that leads to none of the types searched",
            );
        }
        let filter = self.filter(&[source], rest, value, depth + 1)?;
        Ok(filter.map(|filter| Filter::Has { parameter, filter: Box::new(filter) }))
    }
}

/// How many comparisons a value comes to.
fn cost(wanted: &Wanted) -> usize {
    match wanted {
        Wanted::Reference(crate::fhir::search::ReferenceValue::Local { types, .. }) => types.len(),
        Wanted::Composite(parts) => parts.iter().map(cost).product(),
        _ => 1,
    }
}
