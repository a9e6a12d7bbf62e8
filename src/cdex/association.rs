//! Which Task and which Claim a submission belongs to (cdex.md 5 and 10, row 4): the tracking number and what it is
//! attached to must agree, then the parties are weighed. Pure: the candidates are found by whoever looks them up.
//!
//! Systems of identifiers differ between the two ends even in the published pairs, so that values count unless the
//! partner's policy says otherwise; and a number that names another member is never followed, whatever else agrees.

use std::collections::HashMap;

use serde_json::Value;

use super::task::{CDEX_TEMP, CdexTask, Input, TaskStatus};
use super::{AttachTo, Identifier, Submission};
use crate::fhir::datatype::{self, codings};

/// How identifiers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Systems {
    /// Values alone count.
    Ignored,
    /// Identifiers are the same only with the same system.
    Compared,
}

/// A Task or a Claim that a submission may belong to.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// `Type/id`.
    pub(crate) reference: String,
    is_task: bool,
    state: State,
    attach_to: Option<AttachTo>,
    tracking: Vec<Identifier>,
    admin_ref_numbers: Vec<Identifier>,
    parties: Parties,
    /// Of a Task: whether it asks for a signature.
    asks_for_signature: bool,
    /// Of a Task: the Claim that it is about.
    claim: Option<Identifier>,
}

/// Whether anything more is expected for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// It came to nothing.
    Closed,
    /// It has been answered; what comes now amends the answer.
    Answered,
    /// It waits.
    Open,
}

/// Who has to do with it, as far as it says.
#[derive(Debug, Clone, Default)]
struct Parties {
    payers: Vec<Identifier>,
    members: Vec<Identifier>,
    providers: Vec<Identifier>,
    organizations: Vec<Identifier>,
    /// A provider or an organization; the reference does not say which.
    either: Vec<Identifier>,
}

/// What a submission belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Association {
    /// The Task that it answers, as `Task/id`.
    pub(crate) task: Option<String>,
    /// The Claim that it supports, as `Claim/id`.
    pub(crate) claim: Option<String>,
    /// Whether the Task asks for a signature (cdex.md 6.8).
    pub(crate) asks_for_signature: bool,
    /// The Claim that the Task is about, while that is not here.
    pub(crate) awaited_claim: Option<Identifier>,
    /// What led to this, as fixed codes.
    pub(crate) reasons: Vec<&'static str>,
}

impl Association {
    /// Whether it belongs to something that is here.
    pub(crate) fn is_made(&self) -> bool {
        self.task.is_some() || self.claim.is_some()
    }
}

/// Resources that candidates refer to, by `Type/id`.
pub(crate) type Referred = HashMap<String, Value>;

/// The local references of a candidate that lead to its parties.
pub(crate) fn party_references(resource: &Value) -> Vec<&str> {
    let places: &[&str] = match resource["resourceType"].as_str() {
        Some("Task") => &["/for", "/requester", "/owner"],
        Some("Claim") => &["/patient", "/insurer", "/provider", "/insurance/0/coverage"],
        _ => &[],
    };
    let literal = |place: &&str| resource.pointer(place)?.get("reference")?.as_str();
    places.iter().filter_map(literal).filter(|reference| !reference.starts_with('#')).collect()
}

impl Candidate {
    /// Reads a Task; none if it is no attachment request.
    pub(crate) fn of_task(id: &str, resource: &Value, referred: &Referred) -> Option<Self> {
        let task = CdexTask::read(resource).filter(|task| task.kind.is_attachment_request())?;
        let around = Around { resource, referred };
        let mut parties = Parties {
            payers: around.identifiers("/requester"),
            members: around.identifiers("/for"),
            ..Parties::default()
        };
        around.add_provider("/owner", &mut parties);
        Some(Self {
            reference: format!("Task/{id}"),
            is_task: true,
            state: match task.status {
                Some(TaskStatus::Completed) => State::Answered,
                Some(status) if !status.is_terminal() => State::Open,
                _ => State::Closed,
            },
            attach_to: use_of(resource.get("reasonCode")?),
            tracking: typed_identifiers(resource, "tracking-id"),
            admin_ref_numbers: typed_identifiers(resource, "admin-ref-number"),
            parties,
            asks_for_signature: task.asks_for_signature(),
            claim: resource.pointer("/reasonReference/identifier").and_then(identifier),
        })
    }

    /// Reads a Claim.
    pub(crate) fn of_claim(id: &str, resource: &Value, referred: &Referred) -> Option<Self> {
        if resource["resourceType"] != "Claim" {
            return None;
        }
        let around = Around { resource, referred };
        let mut parties = Parties {
            payers: around.identifiers("/insurer"),
            members: around.identifiers("/patient"),
            ..Parties::default()
        };
        parties.members.extend(around.identifiers("/insurance/0/coverage"));
        around.add_provider("/provider", &mut parties);
        Some(Self {
            reference: format!("Claim/{id}"),
            is_task: false,
            state: if resource["status"] == "active" { State::Open } else { State::Closed },
            attach_to: resource["use"].as_str().and_then(AttachTo::from_code),
            tracking: identifiers(resource),
            admin_ref_numbers: Vec::new(),
            parties,
            asks_for_signature: false,
            claim: None,
        })
    }

    /// The tracking numbers, for which submissions may wait.
    pub(crate) fn tracking(&self) -> &[Identifier] {
        &self.tracking
    }

    /// What submissions for it are attached to.
    pub(crate) fn attach_to(&self) -> Option<AttachTo> {
        self.attach_to
    }

    /// Of a Task: the identifier of the Claim that it is about.
    pub(crate) fn claim(&self) -> Option<&Identifier> {
        self.claim.as_ref()
    }
}

/// Finds what a submission belongs to among the candidates.
pub(crate) fn associate(submission: &Submission, candidates: &[Candidate], systems: Systems) -> Association {
    let mut association = Association::default();
    let (tasks, claims): (Vec<&Candidate>, Vec<_>) =
        candidates.iter().partition(|candidate| candidate.is_task);
    let tracked = |candidate: &&Candidate| {
        candidate.tracking.iter().any(|own| is_same(own, &submission.tracking_id, systems, false))
    };
    let (task, reasons) = choose(submission, tasks.into_iter().filter(tracked), systems);
    association.reasons = reasons;
    let named = task.and_then(Candidate::claim);
    // The payer's own Task vouches for the Claim that it names.
    let vouched = named.and_then(|named| {
        let mut claims = claims.iter().filter(|claim| claim.attach_to == Some(submission.attach_to));
        claims.find(|claim| claim.tracking.iter().any(|own| is_same(own, named, systems, true)))
    });
    let (claim, reasons) = match vouched {
        Some(claim) => (Some(*claim), vec!["claim-of-the-task"]),
        None => choose(submission, claims.iter().copied().filter(tracked), systems),
    };
    association.reasons.extend(reasons);
    association.awaited_claim = named.filter(|_| claim.is_none()).cloned();
    association.asks_for_signature = task.is_some_and(|task| task.asks_for_signature);
    association.task = task.map(|task| task.reference.clone());
    association.claim = claim.map(|claim| claim.reference.clone());
    if association.reasons.is_empty() {
        association.reasons.push("nothing-of-this-number");
    }
    association
}

/// The candidate that fits best, none if none fits or two fit alike; and why.
fn choose<'c>(
    submission: &Submission,
    candidates: impl Iterator<Item = &'c Candidate>,
    systems: Systems,
) -> (Option<&'c Candidate>, Vec<&'static str>) {
    let mut reasons = Vec::new();
    let mut best: Option<(&Candidate, (State, i32), Vec<&'static str>)> = None;
    let mut is_tied = false;
    for candidate in candidates {
        match weigh(submission, candidate, systems) {
            Err(against) => reasons.extend(against),
            Ok((score, found)) => {
                let rank = (candidate.state, score);
                match &best {
                    Some((_, known, _)) if *known > rank => {}
                    Some((_, known, _)) if *known == rank => is_tied = true,
                    _ => {
                        best = Some((candidate, rank, found));
                        is_tied = false;
                    }
                }
            }
        }
    }
    match best {
        None => (None, reasons),
        Some(_) if is_tied => (None, vec!["several-alike"]),
        Some((candidate, _, found)) => (Some(candidate), found),
    }
}

/// How much speaks for a candidate whose tracking number agrees, or what speaks against it.
fn weigh(
    submission: &Submission,
    candidate: &Candidate,
    systems: Systems,
) -> Result<(i32, Vec<&'static str>), Vec<&'static str>> {
    if candidate.attach_to != Some(submission.attach_to) {
        return Err(vec!["attach-to-differs"]);
    }
    if candidate.state == State::Closed {
        return Err(vec!["not-current"]);
    }
    let mut found = vec!["tracking-id-agrees"];
    let admin = submission.admin_ref_number.as_ref();
    match likeness(admin, &candidate.admin_ref_numbers, systems, false) {
        Likeness::Differs => return Err(vec!["admin-ref-number-differs"]),
        Likeness::Agrees => found.push("admin-ref-number-agrees"),
        Likeness::Unknown => {}
    }
    let parties = &candidate.parties;
    let one_of = |sent: Option<&Identifier>, known: &[Identifier]| match likeness(
        sent,
        &parties.either,
        systems,
        true,
    ) {
        Likeness::Agrees => Likeness::Agrees,
        _ => likeness(sent, known, systems, true),
    };
    let provider = one_of(submission.provider_id.as_ref(), &parties.providers);
    let organization = one_of(submission.organization_id.as_ref(), &parties.organizations);
    let payer = likeness(submission.payer_id.as_ref(), &parties.payers, systems, true);
    let member = likeness(Some(&submission.member_id), &parties.members, systems, true);
    let mut score = 0;
    for (likeness, weight, agrees, differs) in [
        (member, 2, "member-agrees", "member-differs"),
        (payer, 1, "payer-agrees", "payer-differs"),
        (provider, 1, "provider-agrees", "provider-differs"),
        (organization, 1, "organization-agrees", "organization-differs"),
    ] {
        match likeness {
            Likeness::Agrees => {
                score += weight;
                found.push(agrees);
            }
            Likeness::Differs => {
                score -= weight;
                found.push(differs);
            }
            Likeness::Unknown => {}
        }
    }
    if member == Likeness::Differs || score < 0 { Err(found) } else { Ok((score, found)) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    Agrees,
    Differs,
    /// One side does not say.
    Unknown,
}

fn likeness(
    sent: Option<&Identifier>,
    known: &[Identifier],
    systems: Systems,
    ignores_case: bool,
) -> Likeness {
    match sent {
        None => Likeness::Unknown,
        Some(_) if known.is_empty() => Likeness::Unknown,
        Some(sent) if known.iter().any(|known| is_same(known, sent, systems, ignores_case)) => {
            Likeness::Agrees
        }
        Some(_) => Likeness::Differs,
    }
}

/// People type numbers of parties in any case; tracking numbers are made by machines.
fn is_same(one: &Identifier, other: &Identifier, systems: Systems, ignores_case: bool) -> bool {
    let (value, other_value) = (one.value.trim(), other.value.trim());
    let has_value = if ignores_case { value.eq_ignore_ascii_case(other_value) } else { value == other_value };
    has_value && (systems == Systems::Ignored || one.system == other.system)
}

/// A candidate with what is around it.
struct Around<'a> {
    resource: &'a Value,
    referred: &'a Referred,
}

impl<'a> Around<'a> {
    /// The resource that the Reference at a place leads to.
    fn target(&self, place: &str) -> Option<&'a Value> {
        let literal = self.resource.pointer(place)?.get("reference")?.as_str()?;
        match literal.strip_prefix('#') {
            Some(id) => entries(self.resource, "contained").find(|contained| contained["id"] == id),
            None => self.referred.get(literal),
        }
    }

    /// The identifiers of whoever the Reference at a place names.
    fn identifiers(&self, place: &str) -> Vec<Identifier> {
        let own = self.resource.pointer(place).and_then(|reference| reference.get("identifier"));
        let mut found: Vec<_> = own.and_then(identifier).into_iter().collect();
        if let Some(target) = self.target(place) {
            found.extend(identifiers(target));
            // Of a Coverage the number of the subscriber is the member's.
            let subscriber = target.get("subscriberId").and_then(Value::as_str);
            found.extend(subscriber.map(|value| Identifier { system: None, value: value.to_owned() }));
        }
        found
    }

    /// Files whoever provides the care, by what the Reference says it leads to.
    fn add_provider(&self, place: &str, parties: &mut Parties) {
        let Some(reference) = self.resource.pointer(place) else { return };
        let target = self.target(place);
        let literal = reference.get("reference").and_then(Value::as_str);
        let named = literal.and_then(|literal| literal.rsplit('/').nth(1));
        let kind = target.and_then(|target| target["resourceType"].as_str());
        let kind = kind.or_else(|| reference.get("type").and_then(Value::as_str)).or(named);
        let found = self.identifiers(place);
        match (kind, target) {
            (Some("PractitionerRole"), Some(role)) => {
                let of = |element: &str| role.pointer(element).and_then(identifier);
                parties.providers.extend(of("/practitioner/identifier"));
                parties.organizations.extend(of("/organization/identifier"));
            }
            (Some("Practitioner"), _) => parties.providers.extend(found),
            (Some("Organization"), _) => parties.organizations.extend(found),
            _ => parties.either.extend(found),
        }
    }
}

/// What the attachments of a request belong to, by the code or the text of its reason.
fn use_of(reason: &Value) -> Option<AttachTo> {
    let coded = codings(reason).filter_map(|coding| coding.code).find_map(AttachTo::from_code);
    coded.or_else(|| AttachTo::from_code(reason.get("text")?.as_str()?))
}

/// The purposes for which a Task asks.
pub(crate) fn purposes(task: &Value) -> Vec<Value> {
    let task = CdexTask::read(task);
    task.map(|task| task.values(Input::PurposeOfUse).cloned().collect()).unwrap_or_default()
}

fn typed_identifiers(resource: &Value, code: &str) -> Vec<Identifier> {
    let is_typed = |entry: &&Value| {
        entry.get("type").is_some_and(|kind| {
            codings(kind).any(|coding| coding.system == Some(CDEX_TEMP) && coding.code == Some(code))
        })
    };
    entries(resource, "identifier").filter(is_typed).filter_map(identifier).collect()
}

fn identifiers(resource: &Value) -> Vec<Identifier> {
    entries(resource, "identifier").filter_map(identifier).collect()
}

fn identifier(json: &Value) -> Option<Identifier> {
    let read = datatype::Identifier::of(json);
    Some(Identifier { system: read.system.map(str::to_owned), value: read.value?.to_owned() })
}

fn entries<'a>(resource: &'a Value, element: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    resource.get(element).and_then(Value::as_array).into_iter().flatten()
}
