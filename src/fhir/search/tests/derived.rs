//! Derives the tables in `profiles/r4/` from the published definitions and compares. With `CDEX_REWRITE_TABLES=1` the
//! tables are written instead; look at what changed, and commit.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::model::{Element, Model};
use crate::fhir::r4::resource_type;
use crate::fhir::search::expression::{Alternative, CHOICES, Condition, Step, compile};
use crate::fhir::search::parameter::Kind;
use crate::fhir::search::table::{self, ANY_TYPE, URL_PREFIX};
use crate::fhir::testing::{r4_definitions, variable};

const PARAMETERS_HEADER: &str = "\
# The search parameters of FHIR R4 (4.0.1), derived from its definitions by a test; see src/fhir/search/table.rs.
# type, code, kind, url, expression, element types, then targets or code systems or components
";
const COMPARTMENT_HEADER: &str = "\
# The patient compartment of FHIR R4 (4.0.1), derived from its definition by a test: type, parameters
";

/// More targets than any parameter lists on purpose: any type.
const ANY_TARGET: usize = 100;

#[test]
fn the_table_of_search_parameters_is_that_of_the_definitions() {
    let names = ["search-parameters", "profiles-resources", "profiles-types", "valuesets"];
    let Some(definitions) = names.map(r4_definitions).into_iter().collect::<Option<Vec<_>>>() else { return };
    let [parameters, rest @ ..] = &definitions[..] else { return };
    let model = Model::of(rest.iter().flatten().cloned());
    let mut lines = BTreeSet::new();
    let mut lost = Vec::new();
    let mut choices = BTreeSet::new();
    for parameter in parameters {
        for base in parameter["base"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            lines.extend(line(parameter, base, &model, &mut lost, &mut choices));
        }
    }
    assert!(lost.is_empty(), "expressions that lead to no element: {lost:#?}");
    assert!(choices.iter().eq(&CHOICES), "the choices that expressions name without a type: {choices:?}");
    let derived = lines.into_iter().map(|line| line + "\n").collect::<String>();
    compare("profiles/r4/search_parameters.tsv", table::R4, &[PARAMETERS_HEADER, &derived].concat());
}

#[test]
fn the_patient_compartment_is_that_of_the_definition() {
    let Some(definitions) = r4_definitions("compartmentdefinition-patient") else { return };
    let [definition] = &definitions[..] else { panic!("there is one definition") };
    let mut derived = COMPARTMENT_HEADER.to_owned();
    for resource in definition["resource"].as_array().into_iter().flatten() {
        let codes = resource["param"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let codes = codes.collect::<Vec<_>>().join(" ");
        if !codes.is_empty() {
            let name = resource["code"].as_str().unwrap_or_default();
            derived.extend([name, "\t", &codes, "\n"]);
        }
    }
    compare("profiles/r4/patient_compartment.tsv", table::PATIENT_COMPARTMENT, &derived);
}

#[test]
fn every_line_of_the_tables_is_understood() {
    for table in [table::R4, table::US_CORE] {
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            assert!(!table::read_line(line).is_empty(), "{line}");
        }
    }
    for line in table::PATIENT_COMPARTMENT.lines().filter(|line| !line.starts_with('#')) {
        let (name, codes) = line.split_once('\t').expect("two columns");
        for code in codes.split(' ') {
            assert!(
                table::parameter(name, code).is_some_and(|found| found.kind == Kind::Reference),
                "{line}"
            );
        }
    }
}

/// The line of a parameter for one resource type; none if it is not declared here: it has no expression (`_text`,
/// `_content`, `_query`), is of a kind of its own (`near`), or its type cannot be stored.
fn line(
    parameter: &Value,
    base: &str,
    model: &Model,
    lost: &mut Vec<String>,
    choices: &mut BTreeSet<&'static str>,
) -> Option<String> {
    let text = |element: &str| parameter[element].as_str();
    let code = text("code")?;
    let kind = Kind::named(text("type")?)?;
    // One type alone needs no narrowing; InsurancePlan's `name` does not even name its type.
    let is_alone = parameter["base"].as_array().is_some_and(|bases| bases.len() == 1);
    let expression = text("expression")?;
    let expression = if is_alone { expression.to_owned() } else { narrowed(expression, base) };
    if base != ANY_TYPE && (resource_type(base).is_none() || base == "Parameters") {
        return None;
    }
    let found = follow(base, &expression, &[], model);
    let Some(found) = found else {
        lost.push(format!("{base}.{code}: {expression}"));
        return None;
    };
    let parts = parameter["component"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|part| part["expression"].as_str());
    for part in parts {
        for (steps, _) in &found {
            match follow(base, part, steps, model) {
                Some(found) => choices.extend(found.iter().filter_map(last_choice)),
                None => lost.push(format!("{base}.{code}: {part}")),
            }
        }
    }
    choices.extend(found.iter().filter_map(last_choice));
    let elements: Vec<Element> = found.into_iter().map(|(_, element)| element).collect();
    let types = elements.iter().flat_map(|element| element.types.clone()).collect::<BTreeSet<_>>();
    let more = match kind {
        Kind::Reference => targets(parameter, &elements),
        Kind::Token => systems(&elements, model),
        Kind::Composite => components(code, parameter),
        _ => String::new(),
    };
    let url = text("url")?;
    let url = url.strip_prefix(URL_PREFIX).unwrap_or(url);
    let types = types.into_iter().collect::<Vec<_>>().join(" ");
    let columns = [base, code, kind.as_code(), url, &expression, &types, &more];
    Some(columns.join("\t").trim_end().to_owned())
}

/// What each alternative of an expression leads to, from where some steps lead to; `None` if one leads nowhere, as it
/// does through a choice that `CHOICES` does not know.
fn follow(base: &str, expression: &str, from: &[Step], model: &Model) -> Option<Vec<(Vec<Step>, Element)>> {
    // The test forgets what it leaks.
    let compiled = compile(expression.to_owned().leak())?;
    let alternatives = compiled.0.into_iter().map(|alternative| match alternative {
        Alternative::Path(steps) => {
            let steps = [from, &steps].concat();
            let element = model.follow(base, &steps)?;
            Some((steps, element))
        }
        Alternative::Holds(condition) => {
            let steps = first_path(condition)?;
            let is_choice = model.follow(base, &steps)?.is_choice;
            Some((steps, Element { is_choice, ..Element::boolean() }))
        }
    });
    alternatives.collect()
}

/// The first path that a condition looks at.
fn first_path(condition: Condition) -> Option<Vec<Step>> {
    match condition {
        Condition::Exists(steps) | Condition::Equals(steps, _) | Condition::Differs(steps, _) => Some(steps),
        Condition::All(all) => all.into_iter().find_map(first_path),
        Condition::Refers(_) => None,
    }
}

fn last_choice((steps, element): &(Vec<Step>, Element)) -> Option<&'static str> {
    match steps.last() {
        Some(Step::Choice { name }) if element.is_choice => Some(name),
        _ => None,
    }
}

/// The alternatives that are about this type.
fn narrowed(expression: &str, base: &str) -> String {
    let mut depth = 0;
    let alternatives = expression.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == '|' && depth == 0
    });
    let is_about = |alternative: &&str| {
        let start = alternative.trim_start_matches('(');
        start.strip_prefix(base).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
    };
    alternatives.map(str::trim).filter(is_about).collect::<Vec<_>>().join(" | ")
}

/// What the definition and the elements both allow.
fn targets(parameter: &Value, elements: &[Element]) -> String {
    let declared = parameter["target"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let declared: BTreeSet<&str> = declared.filter(|name| *name != "Parameters").collect();
    let of_elements: BTreeSet<&str> =
        elements.iter().flat_map(|element| &element.targets).map(String::as_str).collect();
    if (declared.is_empty() || declared.len() > ANY_TARGET)
        && (of_elements.is_empty() || of_elements.contains("*"))
    {
        return "*".to_owned();
    }
    let both = if of_elements.is_empty() || of_elements.contains("*") {
        declared
    } else if declared.is_empty() {
        of_elements
    } else {
        let both: BTreeSet<&str> = declared.intersection(&of_elements).copied().collect();
        // Where the definitions disagree, the elements say what can be there.
        if both.is_empty() { of_elements } else { both }
    };
    both.into_iter().collect::<Vec<_>>().join(" ")
}

fn systems(elements: &[Element], model: &Model) -> String {
    let are_codes =
        |element: &&Element| element.types.iter().any(|name| matches!(name.as_str(), "code" | "boolean"));
    let systems = elements.iter().filter(are_codes).map(|element| model.systems(element));
    let systems: Option<Vec<_>> = systems.collect();
    let systems: BTreeSet<String> = systems.unwrap_or_default().into_iter().flatten().collect();
    systems.into_iter().collect::<Vec<_>>().join(" ")
}

/// The definitions at hand do not say the kinds of the components; the codes do.
fn components(code: &str, parameter: &Value) -> String {
    let expressions: Vec<&str> = parameter["component"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|part| part["expression"].as_str())
        .collect();
    let kinds: &[&str] = match code.rsplit('-').next().unwrap_or_default() {
        "quantity" => &["token", "quantity"],
        "string" => &["token", "string"],
        "date" => &["token", "date"],
        "coordinate" => &["token", "number", "number"],
        "relationship" => &["token", "reference"],
        "concept" | "value" => &["token", "token"],
        _ => panic!("{code}: unknown components"),
    };
    assert_eq!(kinds.len(), expressions.len(), "{code}");
    let parts = kinds.iter().zip(expressions).map(|(kind, expression)| format!("{kind} {expression}"));
    parts.collect::<Vec<_>>().join(";")
}

fn compare(path: &str, table: &str, derived: &str) {
    if variable("CDEX_REWRITE_TABLES").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::write(path, derived).expect("the table can be written");
    } else {
        let wrong = table.lines().zip(derived.lines()).find(|(ours, theirs)| ours != theirs);
        assert!(table == derived, "{path} differs: {wrong:?}; CDEX_REWRITE_TABLES=1 writes it anew");
    }
}
