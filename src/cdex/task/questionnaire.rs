//! Whether a QuestionnaireResponse answers what a Task asked for (cdex.md 6.7, 6.8): it is about one of the forms
//! asked for, it is finished, and it is signed where the Task or the form says so (CONF-026). Whether a signature holds
//! is not looked at here.

use serde_json::Value;

use super::request::entries;
use super::{Asked, CdexTask};
use crate::cdex::signature::{Unsigned, unsigned};
use crate::fhir::{Issue, IssueType};

/// What keeps a form from being the answer to a Task. `questionnaire` is the form that was filled in, if it is known
/// and does not live in the response.
pub(crate) fn check_answer(
    task: &CdexTask<'_>,
    response: &Value,
    questionnaire: Option<&Value>,
) -> Vec<Issue> {
    let refusal = |text: &str| Issue::error(IssueType::BusinessRule, "Task.output", text);
    if response.get("resourceType").is_none_or(|name| name != "QuestionnaireResponse") {
        return vec![refusal("The output of a request for a form refers to a QuestionnaireResponse")];
    }
    let mut issues = Vec::new();
    let contained = contained_form(response);
    if !is_asked_for(task, response, contained) {
        issues.push(refusal("The QuestionnaireResponse answers another Questionnaire than was asked for"));
    }
    if response.get("status").is_some_and(|status| status == "in-progress") {
        issues.push(refusal("The QuestionnaireResponse is still in progress"));
    }
    let form = contained.or(questionnaire);
    let unsigned = unsigned(response, form, task.asks_for_signature());
    issues.extend(unsigned.into_iter().map(|unsigned| match unsigned {
        Unsigned::Whole => refusal("The QuestionnaireResponse must be signed, and is not"),
        Unsigned::Item => refusal("An item of the QuestionnaireResponse must be signed, and is not"),
    }));
    issues
}

/// The canonical of the form that a response says it answers, without its version; none where the form lives in it.
pub(crate) fn answered(response: &Value) -> Option<&str> {
    let canonical = response.get("questionnaire").and_then(Value::as_str)?;
    (!canonical.starts_with('#')).then(|| unversioned(canonical))
}

fn is_asked_for(task: &CdexTask<'_>, response: &Value, contained: Option<&Value>) -> bool {
    let Asked::Questionnaires(asked) = task.asked() else { return true };
    let is_asked = |canonical: &str| asked.iter().any(|asked| unversioned(asked) == unversioned(canonical));
    match (answered(response), contained) {
        (Some(canonical), _) => is_asked(canonical),
        // An adaptive form grows while it is filled in, and says which one it grew from.
        (None, Some(form)) => {
            let derived = entries(form, "derivedFrom").filter_map(Value::as_str);
            derived.chain(form.get("url").and_then(Value::as_str)).any(is_asked)
        }
        (None, None) => false,
    }
}

/// The form that lives in a response.
pub(crate) fn contained_form(response: &Value) -> Option<&Value> {
    let id = response.get("questionnaire").and_then(Value::as_str)?.strip_prefix('#')?;
    entries(response, "contained")
        .find(|form| form["resourceType"] == "Questionnaire" && form["id"].as_str() == Some(id))
}

fn unversioned(canonical: &str) -> &str {
    canonical.split_once('|').map_or(canonical, |(canonical, _)| canonical)
}
