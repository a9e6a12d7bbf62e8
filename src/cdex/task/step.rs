//! The next versions of a Task, made from the present one by whoever answers it: one for each step of its status, and
//! on the last one what the answer is. Everything that is not named here stays as it is. Pure.

use serde_json::{Map, Value, json};

use super::request::outputs;
use super::{Output, TaskStatus, reference_of};
use crate::clock::Timestamp;
use crate::fhir::search::date;

/// The versions that bring a Task to a status, each a step of its graph; `last` says what else the last one says. None
/// if the Task says all of it, or has no status that it could come from.
pub(crate) fn versions(
    task: &Value,
    to: TaskStatus,
    now: Timestamp,
    last: impl FnOnce(Step) -> Step,
) -> Vec<Value> {
    let Some(from) = TaskStatus::of(task) else { return Vec::new() };
    let between = from.on_the_way_to(to).iter();
    let mut versions: Vec<Value> =
        between.map(|status| Step::from(task).status(*status, now).into_tree()).collect();
    let last = last(Step::from(task).status(to, now)).into_tree();
    let says_it = |name: &str| last.get(name) == task.get(name);
    if !["status", "businessStatus", "statusReason", "output"].into_iter().all(says_it) {
        versions.push(last);
    }
    versions
}

/// A Task that is being changed.
#[derive(Debug, Clone)]
pub(crate) struct Step(Value);

impl Step {
    /// Begins with a version.
    pub(crate) fn from(task: &Value) -> Self {
        Self(task.clone())
    }

    /// The status, as of `now`.
    #[must_use]
    pub(crate) fn status(mut self, status: TaskStatus, now: Timestamp) -> Self {
        let modified = last_modified(&self.0, now);
        if let Some(task) = self.0.as_object_mut() {
            task.insert("status".to_owned(), status.as_code().into());
            task.insert("lastModified".to_owned(), modified.into());
        }
        self
    }

    /// Why it has this status, in words.
    #[must_use]
    pub(crate) fn reason(self, text: &str) -> Self {
        self.with("statusReason", json!({ "text": text }))
    }

    /// Where the answer stands, in words.
    #[must_use]
    pub(crate) fn business_status(self, text: &str) -> Self {
        self.with("businessStatus", json!({ "text": text }))
    }

    /// The same with a code.
    #[must_use]
    pub(crate) fn coded_business_status(self, (system, code): (&str, &str), text: &str) -> Self {
        let coding = json!([{ "system": system, "code": code }]);
        self.with("businessStatus", json!({ "coding": coding, "text": text }))
    }

    /// Nothing of where the answer stands: what it said of the steps before is over.
    #[must_use]
    pub(crate) fn without_business_status(mut self) -> Self {
        if let Some(task) = self.0.as_object_mut() {
            task.shift_remove("businessStatus");
        }
        self
    }

    /// An output that refers to what answers an attachment request, unless one does. The profile has room for one form
    /// in its slice; others are of another type (cdex.md 10, row 12).
    #[must_use]
    pub(crate) fn submitted(self, reference: &str, is_form: bool) -> Self {
        let has = |output: Output, is_it: &dyn Fn(&Value) -> bool| outputs(&self.0, output).any(is_it);
        let is_this = |output: &Value| reference_of(output) == Some(reference);
        if Output::ALL.into_iter().any(|output| has(output, &is_this)) {
            return self;
        }
        let forms = [Output::QuestionnaireContext, Output::QuestionnaireResponse];
        let output = match is_form {
            false => Output::Attachment,
            true if forms.into_iter().any(|output| has(output, &|_| true)) => Output::QuestionnaireResponse,
            true => Output::QuestionnaireContext,
        };
        self.output(output, reference)
    }

    /// An output that refers to what the Task asked for.
    #[must_use]
    pub(crate) fn output(self, output: Output, reference: &str) -> Self {
        let (system, code) = output.code();
        let entry = json!({
            "type": { "coding": [{ "system": system, "code": code }] },
            "valueReference": { "reference": reference },
        });
        self.push("output", entry)
    }

    /// A resource that lives in the Task.
    #[must_use]
    pub(crate) fn contained(self, resource: Value) -> Self {
        self.push("contained", resource)
    }

    /// A tag, unless it is there.
    #[must_use]
    pub(crate) fn tag(mut self, system: &str, code: &str) -> Self {
        let tag = json!({ "system": system, "code": code });
        add_tags(&mut self.0, &[tag]);
        self
    }

    /// The version.
    pub(crate) fn into_tree(self) -> Value {
        self.0
    }

    fn with(mut self, element: &str, value: Value) -> Self {
        if let Some(task) = self.0.as_object_mut() {
            task.insert(element.to_owned(), value);
        }
        self
    }

    fn push(mut self, element: &str, value: Value) -> Self {
        if let Some(task) = self.0.as_object_mut()
            && let Value::Array(entries) = task.entry(element).or_insert_with(|| Value::Array(Vec::new()))
        {
            entries.push(value);
        }
        self
    }
}

/// Adds the tags that a resource does not have; says whether there were any.
pub(super) fn add_tags(resource: &mut Value, tags: &[Value]) -> bool {
    let Some(resource) = resource.as_object_mut() else { return false };
    let meta = resource.entry("meta").or_insert_with(|| Value::Object(Map::new()));
    let Some(meta) = meta.as_object_mut() else { return false };
    let is_same =
        |one: &Value, other: &Value| one["system"] == other["system"] && one["code"] == other["code"];
    let own = meta.get("tag").and_then(Value::as_array).cloned().unwrap_or_default();
    let missing: Vec<Value> =
        tags.iter().filter(|tag| !own.iter().any(|own| is_same(own, tag))).cloned().collect();
    if missing.is_empty() {
        return false;
    }
    meta.insert("tag".to_owned(), own.into_iter().chain(missing).collect());
    true
}

/// R4 `inv-1`: a Task is not modified before it was authored, whatever our clock says of the sender's.
fn last_modified(task: &Value, now: Timestamp) -> String {
    let authored = task.get("authoredOn").and_then(Value::as_str);
    let ahead = authored.filter(|text| date::stretch(text).is_some_and(|(from, _)| from > now));
    // FHIR clients see whole milliseconds.
    let millis = Timestamp::from_nanos(now.as_nanos() - now.as_nanos().rem_euclid(1_000_000));
    ahead.map_or_else(|| millis.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-31T10:00:00.123456Z";

    fn now() -> Timestamp {
        Timestamp::parse_rfc3339(NOW).expect("it is an instant")
    }

    #[test]
    fn a_step_changes_what_it_names_and_nothing_else() {
        let task = json!({
            "resourceType": "Task", "meta": { "tag": [{ "system": "s", "code": "c" }], "x": 1 },
            "status": "requested", "_unknown": { "extension": [] }, "output": [{ "type": {}, "valueString": "a" }],
        });
        let step = Step::from(&task)
            .status(TaskStatus::Completed, now())
            .business_status("done")
            .reason("because")
            .output(Output::Data, "#results")
            .contained(json!({ "resourceType": "Bundle", "id": "results" }))
            .tag("s", "c")
            .tag("s", "late");
        let expected = json!({
            "resourceType": "Task",
            "meta": { "tag": [{ "system": "s", "code": "c" }, { "system": "s", "code": "late" }], "x": 1 },
            "status": "completed", "_unknown": { "extension": [] },
            "output": [
                { "type": {}, "valueString": "a" },
                {
                    "type": { "coding": [{
                        "system": "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp",
                        "code": "data-value",
                    }] },
                    "valueReference": { "reference": "#results" },
                },
            ],
            "lastModified": "2026-01-31T10:00:00.123Z",
            "businessStatus": { "text": "done" },
            "statusReason": { "text": "because" },
            "contained": [{ "resourceType": "Bundle", "id": "results" }],
        });
        assert_eq!(step.into_tree(), expected);
    }

    #[test]
    fn a_task_is_never_modified_before_it_was_authored() {
        for (authored, expected) in [
            (None, "2026-01-31T10:00:00.123Z"),
            (Some("2026-01-31T09:00:00Z"), "2026-01-31T10:00:00.123Z"),
            (Some("2026-01-31T12:00:00+02:00"), "2026-01-31T10:00:00.123Z"),
            (Some("2026-01-31"), "2026-01-31T10:00:00.123Z"),
            (Some("2026-02-01"), "2026-02-01"),
            (Some("2026-01-31T10:00:01Z"), "2026-01-31T10:00:01Z"),
        ] {
            let mut task = json!({ "resourceType": "Task" });
            if let Some(authored) = authored {
                task["authoredOn"] = authored.into();
            }
            let step = Step::from(&task).status(TaskStatus::Accepted, now()).into_tree();
            assert_eq!(step["lastModified"], expected, "{authored:?}");
        }
    }
}
