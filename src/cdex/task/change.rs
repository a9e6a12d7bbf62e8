//! What may be sent as a CDex Task, and what a change of one may touch (cdex.md 6.1, 6.6): its status moves along the
//! table, and what was asked for stays what it was. What a version must have by itself is its profile's part: a reason
//! where it is rejected or failed (`tdr-2`), an output where a data request is completed (`tdr-3`).

use serde_json::Value;

use super::request::entries;
use super::step::add_tags;
use super::{CDEX_TEMP, CdexTask, Input, TaskStatus};
use crate::fhir::datatype::{self, Identifier};
use crate::fhir::{Issue, IssueType};

/// Who changes a Task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Who asked: may not say how the answer stands.
    Consumer,
    /// Who answers.
    Source,
}

/// What is wrong with a Task that somebody creates. `must_say_purpose`: whether it was agreed that every data request
/// says what the data are for (CONF-018).
pub(crate) fn check_created(task: &CdexTask<'_>, must_say_purpose: bool) -> Vec<Issue> {
    let mut issues = Vec::new();
    if task.tree().get("status").is_some() && task.status != Some(TaskStatus::Requested) {
        let text = "A Task is created with the status requested";
        let issue = Issue::error(IssueType::BusinessRule, "Task.status", text);
        issues
            .push(issue.advising("A Task of another server keeps its status if it is put under its own id"));
    }
    check_purposes(task, must_say_purpose, &mut issues);
    issues
}

/// CONF-017, CONF-018, CONF-083: what the data are for.
fn check_purposes(task: &CdexTask<'_>, must_be_there: bool, issues: &mut Vec<Issue>) {
    let inputs = entries(task.tree(), "input").enumerate();
    let mut is_there = false;
    for (index, input) in inputs {
        let Some(purpose) = input.get("valueCodeableConcept") else { continue };
        if !super::request::has_coding(input.get("type"), Input::PurposeOfUse.code()) {
            continue;
        }
        is_there = true;
        let at = format!("Task.input[{index}].value.coding");
        let codings: Vec<_> = datatype::codings(purpose).collect();
        let of_cdex = |coding: &datatype::Coding<'_>, end: &str| {
            coding.system == Some(CDEX_TEMP) && coding.code.is_some_and(|code| code.ends_with(end))
        };
        let is_open = |coding: &datatype::Coding<'_>| of_cdex(coding, "-noe") || of_cdex(coding, "-noa");
        if !codings.is_empty() && codings.iter().all(is_open) {
            let text = "A purpose that is not otherwise enumerated needs a further coding that says which";
            issues.push(Issue::error(IssueType::BusinessRule, at.clone(), text));
        }
        if codings.iter().any(|coding| of_cdex(coding, "-noa")) {
            let text = "CDex writes these codes with -noe at their end";
            issues.push(Issue::error(IssueType::CodeInvalid, at, text).into_warning());
        }
    }
    if must_be_there && !is_there {
        let text = "It was agreed that a Task says what the data are for: an input purpose-of-use";
        issues.push(Issue::error(IssueType::BusinessRule, "Task.input", text));
    }
}

/// What is wrong with a Task that is put where there was none: who answers may bring a Task as it stands.
pub(crate) fn check_put(next: &CdexTask<'_>, role: Role) -> Vec<Issue> {
    let is_begun = next.status.is_some_and(|status| status != TaskStatus::Requested);
    if role == Role::Source || !is_begun {
        return Vec::new();
    }
    vec![begins_wrongly()]
}

/// A Task does not begin with this status.
fn begins_wrongly() -> Issue {
    Issue::error(IssueType::BusinessRule, "Task.status", "A Task begins with the status requested")
}

/// What is wrong with a version that is to follow another. `previous` is a CDex Task.
pub(crate) fn check_change(previous: &CdexTask<'_>, next: &Value, role: Role) -> Vec<Issue> {
    let refusal =
        |element: &str, text: &str| Issue::error(IssueType::BusinessRule, format!("Task.{element}"), text);
    let mut issues = Vec::new();
    let read = CdexTask::read(next);
    if read.is_none_or(|next| next.kind != previous.kind) {
        issues.push(refusal("code", "What kind of request a Task is cannot be changed"));
    }
    let to = read.and_then(|next| next.status);
    if let Some(from) = previous.status
        && to.is_none_or(|to| !from.may_become(to))
    {
        issues.push(moves_wrongly(from));
    }
    let previous = previous.tree();
    if entries(previous, "input").any(|input| !entries(next, "input").any(|kept| kept == input)) {
        issues.push(refusal("input", "The inputs that a Task was created with must stay"));
    }
    let names = |task: &Value, identifier: &Identifier<'_>| {
        entries(task, "identifier").any(|kept| Identifier::of(kept) == *identifier)
    };
    if entries(previous, "identifier").any(|identifier| !names(next, &Identifier::of(identifier))) {
        issues.push(refusal("identifier", "The identifiers of a Task must stay"));
    }
    for (element, text) in
        [("for", "Whom a Task is about cannot be changed"), ("requester", "Who asks cannot be changed")]
    {
        if !is_same_party(previous.get(element), next.get(element)) {
            issues.push(refusal(element, text));
        }
    }
    if role == Role::Consumer {
        for element in ["status", "statusReason", "businessStatus", "output"] {
            if previous.get(element) != next.get(element) {
                issues.push(refusal(element, "Only who answers a Task may change this"));
            }
        }
    }
    issues
}

/// Keeps the tags of the version before; says whether any was missing.
pub(crate) fn keep_tags(previous: &Value, next: &mut Value) -> bool {
    let tags = previous.pointer("/meta/tag").and_then(Value::as_array);
    tags.is_some_and(|tags| add_tags(next, tags))
}

/// What is wrong with a status that is none of HRex (CONF-059). That is found before it is known which version it would
/// follow: the advice says what may follow each.
pub(crate) fn check_status(task: &CdexTask<'_>) -> Option<Issue> {
    let is_unknown = task.status.is_none() && task.tree().get("status").is_some();
    is_unknown.then(|| {
        let codes =
            |states: &[TaskStatus]| states.iter().map(|it| it.as_code()).collect::<Vec<_>>().join(", ");
        let text = format!("The status of a CDex Task is one of {}", codes(&TaskStatus::ALL));
        let open = TaskStatus::ALL.into_iter().filter(|status| !status.is_terminal());
        let table: Vec<String> =
            open.map(|from| format!("{} may become {}", from.as_code(), codes(&from.next()))).collect();
        Issue::error(IssueType::BusinessRule, "Task.status", text).advising(table.join("; "))
    })
}

/// A status may not follow the present one.
fn moves_wrongly(from: TaskStatus) -> Issue {
    let next: Vec<&str> = from.next().into_iter().map(TaskStatus::as_code).collect();
    let text = if next.is_empty() {
        format!("A Task that is {} does not change its status any more", from.as_code())
    } else {
        format!("A Task that is {} may become {}", from.as_code(), next.join(", "))
    };
    Issue::error(IssueType::BusinessRule, "Task.status", text)
}

/// Whether a reference still means whom it meant. What it did not say before may be added: a logical reference becomes
/// a literal one when it is looked up.
fn is_same_party(previous: Option<&Value>, next: Option<&Value>) -> bool {
    let (Some(previous), Some(next)) = (previous, next) else { return previous.is_none() };
    let identifier = |party: &Value| party.get("identifier").map(Identifier::of).map(owned);
    let keeps = |before: Option<(Option<String>, Option<String>)>, after| before.is_none() || before == after;
    let reference = |party: &Value| super::reference_of(party).map(|text| (Some(text.to_owned()), None));
    keeps(identifier(previous), identifier(next)) && keeps(reference(previous), reference(next))
}

fn owned(identifier: Identifier<'_>) -> (Option<String>, Option<String>) {
    (identifier.system.map(str::to_owned), identifier.value.map(str::to_owned))
}
