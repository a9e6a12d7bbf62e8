//! What the configuration files of DEX have in common: `$VAR` expansion over the whole text, and problems
//! that are collected so that an operator sees all of them at once. Reads no environment itself.

use std::collections::BTreeSet;

/// Looks a variable up; `None` when it is not set. The caller decides where variables come from.
pub(crate) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One thing that is wrong with a configuration file, for the operator who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {rule}")]
pub(crate) struct ConfigProblem {
    /// The file, and the path within it where there is one.
    pub(crate) place: String,
    /// What must be otherwise.
    pub(crate) rule: String,
}

impl ConfigProblem {
    /// A problem at `place`.
    pub(crate) fn new(place: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { place: place.into(), rule: rule.into() }
    }
}

/// Replaces `$VAR` and `${VAR}` in `text`; `$$` stands for one `$`, and a `$` before anything else is kept.
///
/// The text as a whole is expanded, as DEX does it, before anybody parses it: a value can bring structure
/// with it and must be quoted as the format demands.
///
/// *Errors*: each variable that is not set, once; DEX would read it as empty and deliver to nowhere.
pub(crate) fn expand_variables(
    file: &str,
    text: &str,
    variables: Variables<'_>,
) -> Result<String, Vec<ConfigProblem>> {
    let mut expanded = String::with_capacity(text.len());
    let mut unset = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(behind) = after.strip_prefix('$') {
            expanded.push('$');
            rest = behind;
            continue;
        }
        let (name, behind) = reference(after);
        rest = behind;
        if name.is_empty() {
            expanded.push('$');
            continue;
        }
        match variables(name) {
            Some(value) => expanded.push_str(&value),
            None => {
                unset.insert(name);
            }
        }
    }
    expanded.push_str(rest);
    if unset.is_empty() {
        return Ok(expanded);
    }
    let problem = |name| ConfigProblem::new(file, format!("the environment variable {name} is not set"));
    Err(unset.into_iter().map(problem).collect())
}

/// The name that `$` refers to, if it refers to one, and the text behind the reference.
fn reference(after: &str) -> (&str, &str) {
    match after.strip_prefix('{') {
        Some(inner) => {
            let end = name_length(inner);
            match inner[end..].strip_prefix('}') {
                Some(behind) if end > 0 => (&inner[..end], behind),
                _ => ("", after),
            }
        }
        None => after.split_at(name_length(after)),
    }
}

/// Length of the variable name that `text` begins with; zero if it begins with none.
fn name_length(text: &str) -> usize {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str) -> Option<String> {
        match name {
            "A" => Some("alpha".to_owned()),
            "A_1" => Some("$A".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn set_variables_are_replaced_and_everything_else_is_kept() {
        let cases = [
            ("", ""),
            ("$A ${A} $A.b ${A}b", "alpha alpha alpha.b alphab"),
            ("$A_1", "$A"),
            ("[$EMPTY]", "[]"),
            ("$$A costs $5 or ${} or ${A or $", "$A costs $5 or ${} or ${A or $"),
            ("ünï$A", "ünïalpha"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand_variables("f", text, &variables).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn every_unset_variable_is_a_problem_that_names_file_and_variable() {
        let problems = expand_variables("lake.yml", "$B ${C} $B $A", &variables).unwrap_err();
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "lake.yml: the environment variable B is not set",
                "lake.yml: the environment variable C is not set",
            ]
        );
    }
}
