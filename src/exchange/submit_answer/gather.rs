//! Which resources answer what is asked for, and what is still missing.
//!
//! What somebody has linked answers first: outputs of the Task, then documents that refer to it (`context.related`).
//! For a document type that nobody has linked anything for, the patient's documents of the type are looked for.
//! Responses to Questionnaires are never looked for: whoever fills one in says for which Task it is.

use serde_json::Value;

use super::records::{Meant, Record, Records};
use crate::cdex::attachment_request::{
    self as rules, AttachmentRequest, Needed, What, care_includes, document_date,
};
use crate::cdex::matching::identifier_token;
use crate::cdex::signature::{may_be_attested, passes_as_signed, unsigned};
use crate::cdex::task::questionnaire::contained_form;
use crate::exchange::follow_agenda::FollowError;
use crate::fhir::datatype::{self, codings};
use crate::fhir::search::escaped;

/// A resource that answers.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    /// Index of what it answers in [`AttachmentRequest::needed`].
    pub(super) needed: usize,
    /// The resource.
    pub(super) record: Record,
    /// Whether it goes out with a signature of the gateway's organisation.
    pub(super) is_attested: bool,
}

/// Why something that is asked for cannot be sent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unready {
    /// Nothing answers it.
    Missing,
    /// Nothing answers it, and whose documents could is not known: the patient is not among the records.
    Unknown,
    /// The same: several of the records may be the patient's.
    Ambiguous,
    /// What answers it is not finished: a draft, or one that was withdrawn.
    Unfinished,
    /// What answers it must be signed.
    Unsigned,
}

/// What is there, and what is not.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// What can be sent.
    pub(super) ready: Vec<Ready>,
    /// What cannot, by index in [`AttachmentRequest::needed`].
    pub(super) unready: Vec<(usize, Unready)>,
    /// The Patient who is meant, as `Patient/id`, if it was asked for and is known.
    pub(super) patient: Option<String>,
}

/// Gathers what answers a request. `signs` says whether the gateway has a key to sign with.
pub(super) async fn gather(
    records: &Records<'_>,
    (task, task_id): (&Value, &str),
    request: &AttachmentRequest,
    signs: bool,
) -> Result<Gathered, FollowError> {
    let mut answers: Vec<Vec<Record>> = vec![Vec::new(); request.needed.len()];
    for output in rules::linked(task) {
        if let Some(record) = records.fetch(output.reference, task).await? {
            assign(&mut answers, request, record);
        }
    }
    for record in related(records, task_id, request).await? {
        assign(&mut answers, request, record);
    }
    let mut gathered = Gathered::default();
    let is_missing =
        |(needed, own): (&Needed, &Vec<Record>)| own.is_empty() && matches!(needed.what, What::Attachment(_));
    let looks = request.needed.iter().zip(&answers).any(is_missing);
    let mut nothing = Unready::Missing;
    if looks {
        match records.patient(&request.patient).await? {
            Meant::One(patient) => gathered.patient = Some(patient),
            Meant::Nobody => nothing = Unready::Unknown,
            Meant::Several => nothing = Unready::Ambiguous,
        }
    }
    for (index, (needed, mut own)) in request.needed.iter().zip(answers).enumerate() {
        if own.is_empty()
            && let What::Attachment(concept) = &needed.what
            && looks
        {
            own = documents(records, request, concept, gathered.patient.as_deref()).await?;
        }
        let demand = Demand { form: form(records, needed).await?, is_general: request.must_be_signed, signs };
        match obstacle(&own, &demand) {
            Some(Unready::Missing) if matches!(needed.what, What::Attachment(_)) => {
                gathered.unready.push((index, nothing));
            }
            Some(unready) => gathered.unready.push((index, unready)),
            None => gathered.ready.extend(own.into_iter().map(|record| {
                let is_attested = demand.attests(&record.tree);
                Ready { needed: index, record, is_attested }
            })),
        }
    }
    Ok(gathered)
}

/// Gives what somebody has linked to what it answers: by what it says of itself, else to the first document type that
/// nothing answers yet, because whoever linked it meant something by it.
fn assign(answers: &mut [Vec<Record>], request: &AttachmentRequest, record: Record) {
    if answers.iter().flatten().any(|known| known.reference == record.reference) {
        return;
    }
    let fitting = request.needed.iter().enumerate().filter(|(_, needed)| rules::fits(needed, &record.tree));
    let by_itself = fitting.map(|(index, _)| index).min_by_key(|index| answers[*index].len());
    let is_response = record.tree["resourceType"] == "QuestionnaireResponse";
    let by_order = || {
        let mut open = request.needed.iter().zip(&*answers);
        open.position(|(needed, own)| {
            own.is_empty() && matches!(needed.what, What::Attachment(_)) && !is_response
        })
    };
    if let Some(index) = by_itself.or_else(by_order) {
        answers[index].push(record);
    }
}

/// Documents and responses that say themselves that they are meant for the Task: by its id, or by its tracking id.
async fn related(
    records: &Records<'_>,
    task_id: &str,
    request: &AttachmentRequest,
) -> Result<Vec<Record>, FollowError> {
    let tracking = datatype::Identifier {
        system: request.tracking_id.system.as_deref(),
        value: Some(&request.tracking_id.value),
    };
    let by_tracking = identifier_token(&tracking).unwrap_or_default();
    let mut found = records.find("DocumentReference", &[("related", format!("Task/{task_id}"))]).await?;
    found.extend(records.find("DocumentReference", &[("related:identifier", by_tracking.clone())]).await?);
    if request.needed.iter().any(|needed| matches!(needed.what, What::Questionnaire(_))) {
        // R4 lets a response refer to a Task by its identifier only.
        found.extend(records.find("QuestionnaireResponse", &[("based-on:identifier", by_tracking)]).await?);
    }
    Ok(found)
}

/// The patient's documents of a type: those about the day of service, else the latest one.
async fn documents(
    records: &Records<'_>,
    request: &AttachmentRequest,
    concept: &Value,
    patient: Option<&str>,
) -> Result<Vec<Record>, FollowError> {
    let types = codings(concept).filter_map(|coding| {
        let code = escaped(coding.code?);
        Some(coding.system.map_or_else(|| code.to_string(), |system| format!("{}|{code}", escaped(system))))
    });
    let types = types.collect::<Vec<_>>().join(",");
    if types.is_empty() {
        // A type in words is for a person to read.
        return Ok(Vec::new());
    }
    let of = |name: &'static str, subject: String| {
        [(name, subject), ("type", types.clone()), ("status", "current".to_owned())]
    };
    let mut found = Vec::new();
    if let Some(patient) = patient {
        found.extend(records.find("DocumentReference", &of("patient", patient.to_owned())).await?);
    }
    // Only numbers with a system name one person: that of a member at a payer, of an account here.
    let numbers = request.patient_identifiers().filter(|number| number.system.is_some());
    let numbers = numbers.filter_map(|number| identifier_token(&number)).collect::<Vec<_>>().join(",");
    if !numbers.is_empty() {
        for record in records.find("DocumentReference", &of("subject:identifier", numbers)).await? {
            if found.iter().all(|known: &Record| known.reference != record.reference) {
                found.push(record);
            }
        }
    }
    Ok(choose(found, request.service_date.as_deref()))
}

/// Of documents of one type those about the day of service, else the latest: no more than is needed is sent.
fn choose(mut found: Vec<Record>, day: Option<&str>) -> Vec<Record> {
    let is_about = |record: &Record| day.is_some_and(|day| care_includes(&record.tree, day));
    if found.iter().any(is_about) {
        found.retain(is_about);
        return found;
    }
    let latest =
        found.into_iter().max_by(|one, other| document_date(&one.tree).cmp(document_date(&other.tree)));
    latest.into_iter().collect()
}

/// The Questionnaire that is asked for, if it is among the records.
async fn form(records: &Records<'_>, needed: &Needed) -> Result<Option<Value>, FollowError> {
    let What::Questionnaire(canonical) = &needed.what else { return Ok(None) };
    let url = canonical.split('|').next().unwrap_or(canonical);
    let mut found = records.find("Questionnaire", &[("url", escaped(url).into_owned())]).await?;
    let version = canonical.split_once('|').map(|(_, version)| version);
    let asked = found.iter().position(|form| version.is_some() && form.tree["version"].as_str() == version);
    // Without a version the newest is meant.
    let form = asked.map(|index| found.swap_remove(index)).or_else(|| found.pop());
    Ok(form.map(|form| form.tree))
}

/// What must be signed, and what can be here.
struct Demand {
    /// The Questionnaire, which may demand a signature of its own (CONF-026).
    form: Option<Value>,
    /// Whether everything must be signed.
    is_general: bool,
    /// Whether the gateway has a key.
    signs: bool,
}

impl Demand {
    /// Whether the gateway's organisation signs this on its way out (cdex.md 6.8).
    fn attests(&self, resource: &Value) -> bool {
        self.is_general && self.signs && may_be_attested(resource)
    }

    /// Whether this goes out signed as it must be.
    fn is_met(&self, resource: &Value) -> bool {
        if resource["resourceType"] == "QuestionnaireResponse" {
            let form = contained_form(resource).or(self.form.as_ref());
            return unsigned(resource, form, self.is_general).is_empty();
        }
        !self.is_general || passes_as_signed(resource) || self.attests(resource)
    }
}

/// Why these cannot be sent.
fn obstacle(answers: &[Record], demand: &Demand) -> Option<Unready> {
    if answers.is_empty() {
        return Some(Unready::Missing);
    }
    let is_finished = |record: &Record| {
        let status = record.tree["status"].as_str();
        match record.tree["resourceType"].as_str() {
            Some("DocumentReference") => status == Some("current"),
            Some("QuestionnaireResponse") => matches!(status, Some("completed" | "amended")),
            _ => true,
        }
    };
    if !answers.iter().all(is_finished) {
        return Some(Unready::Unfinished);
    }
    (!answers.iter().all(|record| demand.is_met(&record.tree))).then_some(Unready::Unsigned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(tree: Value) -> Record {
        let reference = format!("{}/{}", tree["resourceType"].as_str().expect("a type"), tree["id"]);
        Record { reference, text: tree.to_string().into(), tree, bytes: None }
    }

    fn demand(is_general: bool, signs: bool) -> Demand {
        Demand { form: None, is_general, signs }
    }

    #[test]
    fn documents_about_the_day_of_service_go_before_the_latest() {
        let document = |id: u32, date: &str, start: &str| {
            record(json!({ "resourceType": "DocumentReference", "id": id, "date": date,
                "context": { "period": { "start": start, "end": start } } }))
        };
        let all = || {
            vec![
                document(1, "2022-06-20T00:00:00Z", "2022-06-13"),
                document(2, "2022-06-14T00:00:00Z", "2022-06-13"),
                document(3, "2023-01-01T00:00:00Z", "2023-01-01"),
            ]
        };
        let chosen = |day: Option<&str>| {
            let chosen = choose(all(), day);
            chosen.into_iter().map(|record| record.tree["id"].as_u64()).collect::<Vec<_>>()
        };
        assert_eq!(chosen(Some("2022-06-13")), [Some(1), Some(2)]);
        assert_eq!(chosen(Some("2021-01-01")), [Some(3)]);
        assert_eq!(chosen(None), [Some(3)]);
        assert!(choose(Vec::new(), None).is_empty());
    }

    #[test]
    fn conf_026_what_is_not_finished_or_not_signed_is_not_ready() {
        let response =
            |status: &str| json!({ "resourceType": "QuestionnaireResponse", "id": 1, "status": status });
        let mut signed = response("completed");
        signed["extension"] =
            json!([{ "url": "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-signature" }]);
        for (tree, must_be_signed, expected) in [
            (response("completed"), false, None),
            (response("in-progress"), false, Some(Unready::Unfinished)),
            (response("completed"), true, Some(Unready::Unsigned)),
            (signed, true, None),
            (
                json!({ "resourceType": "DocumentReference", "id": 1, "status": "superseded" }),
                false,
                Some(Unready::Unfinished),
            ),
            (json!({ "resourceType": "DocumentReference", "id": 1, "status": "current" }), true, None),
            (json!({ "resourceType": "Bundle", "id": 1 }), true, Some(Unready::Unsigned)),
        ] {
            let demand = demand(must_be_signed, false);
            assert_eq!(obstacle(&[record(tree.clone())], &demand), expected, "{tree}");
        }
        assert_eq!(obstacle(&[], &demand(false, false)), Some(Unready::Missing));
    }

    #[test]
    fn what_an_organisation_may_attest_is_ready_where_it_has_a_key() {
        let note = |content_type: &str| {
            json!({ "resourceType": "DocumentReference", "id": 1, "status": "current",
                "content": [{ "attachment": { "contentType": content_type, "data": "eA==" } }] })
        };
        for (tree, expected, is_attested) in [
            (json!({ "resourceType": "Observation", "id": 1 }), None, true),
            (json!({ "resourceType": "Bundle", "id": 1 }), None, true),
            (json!({ "resourceType": "Bundle", "id": 1, "signature": {} }), None, false),
            (note("text/plain"), None, true),
            (note("application/pdf"), None, false),
            (
                json!({ "resourceType": "QuestionnaireResponse", "id": 1, "status": "completed" }),
                Some(Unready::Unsigned),
                false,
            ),
        ] {
            let with_key = demand(true, true);
            assert_eq!(obstacle(&[record(tree.clone())], &with_key), expected, "{tree}");
            assert_eq!(with_key.attests(&tree), is_attested, "{tree}");
            assert!(!demand(true, false).attests(&tree) && !demand(false, true).attests(&tree), "{tree}");
        }
    }
}
