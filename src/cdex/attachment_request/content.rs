//! Which resources answer what is asked for: the outputs that a person has linked, the type of a document, the
//! Questionnaire of a response, and the day of care.

use serde_json::Value;

use super::{Needed, What, has_code, items};
use crate::cdex::task::Output;
use crate::fhir::datatype::codings;

/// An output of a Task that answers what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Linked<'t> {
    /// The literal reference.
    pub(crate) reference: &'t str,
    /// Whether it is said to answer a Questionnaire.
    pub(crate) is_questionnaire: bool,
}

/// The outputs of a Task that somebody has linked as answers, in order.
pub(crate) fn linked(task: &Value) -> Vec<Linked<'_>> {
    let answers = items(task, "output").filter_map(|output| {
        let is = |of: Output| has_code(output.get("type"), of.code().1);
        // cdex §10, row 11: some write the second for the first.
        let is_questionnaire = is(Output::QuestionnaireContext) || is(Output::QuestionnaireResponse);
        let is_answer = is_questionnaire || is(Output::Attachment);
        let reference = output.pointer("/valueReference/reference")?.as_str()?;
        is_answer.then_some(Linked { reference, is_questionnaire })
    });
    answers.collect()
}

/// Whether a resource says of itself that it is what is asked for: a document of the type, or a response to the
/// Questionnaire.
pub(crate) fn fits(needed: &Needed, resource: &Value) -> bool {
    match &needed.what {
        What::Attachment(wanted) => {
            let own = resource.get("type").filter(|_| is_of_type(resource, "DocumentReference"));
            let own: Vec<_> = own.map(|own| codings(own).collect()).unwrap_or_default();
            codings(wanted).any(|wanted| {
                let is_it = |own: &crate::fhir::datatype::Coding<'_>| {
                    own.code == wanted.code && (own.system == wanted.system || wanted.system.is_none())
                };
                wanted.code.is_some() && own.iter().any(is_it)
            })
        }
        What::Questionnaire(wanted) => {
            is_of_type(resource, "QuestionnaireResponse") && responds_to(resource, unversioned(wanted))
        }
    }
}

/// cdex §6.7: `questionnaire` is the canonical that was asked for, whatever the version, or a contained Questionnaire
/// that is derived from it.
fn responds_to(response: &Value, wanted: &str) -> bool {
    let Some(own) = response.get("questionnaire").and_then(Value::as_str) else { return false };
    if unversioned(own) == wanted {
        return true;
    }
    let Some(id) = own.strip_prefix('#') else { return false };
    let contained = items(response, "contained").filter(|json| is_of_type(json, "Questionnaire"));
    let mut named = contained.filter(|json| json["id"] == id);
    named.any(|questionnaire| {
        let bases = items(questionnaire, "derivedFrom").filter_map(Value::as_str);
        bases.chain(questionnaire["url"].as_str()).any(|base| unversioned(base) == wanted)
    })
}

/// A canonical URL without its version.
fn unversioned(canonical: &str) -> &str {
    canonical.split('|').next().unwrap_or(canonical)
}

/// Whether a document says that it is about care on this day.
pub(crate) fn care_includes(document: &Value, day: &str) -> bool {
    let period = document.pointer("/context/period");
    let bound = |name: &str| period?.get(name)?.as_str();
    let as_far_as = |bound: &str| day.get(..bound.len().min(10)).unwrap_or(day).to_owned();
    // Dates of any precision are compared as far as they go.
    let start = bound("start").map(|start| as_far_as(start).as_str() >= &start[..start.len().min(10)]);
    let end = bound("end").map(|end| as_far_as(end).as_str() <= &end[..end.len().min(10)]);
    match (start, end) {
        (None, None) => false,
        (start, end) => start.unwrap_or(true) && end.unwrap_or(true),
    }
}

/// The date of a document: when it was made, else when the care was that it is about.
pub(crate) fn document_date(document: &Value) -> &str {
    let date = document.get("date").and_then(Value::as_str);
    date.or_else(|| document.pointer("/context/period/start")?.as_str()).unwrap_or_default()
}

fn is_of_type(resource: &Value, name: &str) -> bool {
    resource.get("resourceType").is_some_and(|own| own == name)
}
