//! A transaction: all of its entries or none, in one unit (FHIR R4 http, transaction). Its criteria are answered before
//! anything is written; then come the deletes, the creates, updates and patches together, and the reads, which see
//! what was written. What can be prepared before the unit begins is: others wait for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::Performed;
use super::entry::Entry;
use super::references::{References, conditional};
use super::step::{Action, Named, Step};
use crate::audit;
use crate::db::Tx;
use crate::exchange::Exchange;
use crate::exchange::check_task::{self, Follows};
use crate::exchange::find_resource::present;
use crate::exchange::interaction::{Done, InteractionError, Method, Requester};
use crate::exchange::store_resource::{
    Attached, Criteria, Patched, Prepared, Received, WriteContext, delete_now, id_mismatch, outcome, several,
    told,
};
use crate::fhir::{Issue, IssueType, address};
use crate::repository::{self, Draft, Precondition, StoredResource};

/// A transaction that is ready to run.
struct Transaction {
    exchange: Arc<Exchange>,
    requester: Requester,
    context: WriteContext,
    steps: Vec<Step>,
    methods: Vec<Method>,
    strict: bool,
    /// References by criteria, each with the entry that has it first.
    lookups: Vec<(usize, String, &'static str, Criteria)>,
    /// The drafts, where no criteria decide about them.
    prepared: Option<Vec<Planned>>,
}

/// Which resource an entry turns out to be about.
#[derive(Clone)]
enum Subject {
    /// One that is kept under this id.
    Kept { id: String, may_create: bool },
    /// One that was there when it was to be created.
    Existed(StoredResource),
    /// The one that an entry before it creates by the same criteria.
    SameAs(usize),
    /// One that is patched or deleted.
    Present(String),
    /// None.
    Nothing,
}

/// A resource that is to be kept, for the entry of this index.
struct Planned {
    index: usize,
    draft: (Draft, Precondition),
    attached: Option<Attached>,
    may_create: bool,
}

impl Exchange {
    /// Does all entries or none.
    pub(super) async fn run_transaction(
        self: &Arc<Self>,
        requester: Requester,
        entries: Vec<Entry>,
        strict: bool,
    ) -> Result<Performed, InteractionError> {
        let caller = requester.caller.clone();
        let mut transaction = self.prepare(requester, entries, strict)?;
        for step in &mut transaction.steps {
            let Some(received) = step.received() else { continue };
            let signed = (&received.text, &received.tree);
            let remarks = self.signature_remarks(&caller, step.resource_type, signed).await?;
            step.remarks.extend(remarks);
        }
        let methods = transaction.methods.clone();
        let attached: Vec<Attached> = transaction.steps.iter().filter_map(Step::attached).collect();
        let done = self.db.write(transaction, |transaction, tx| Box::pin(transaction.write(tx))).await;
        for attached in &attached {
            match &done {
                Ok(done) => attached.settle(Ok(done), |_| true),
                Err(InteractionError::Db(error)) => attached.settle::<()>(Err(error), |()| false),
                Err(_) => {}
            }
        }
        let done = done?;
        self.agenda.wake();
        let entries = methods.into_iter().map(Some).zip(done.into_iter().map(Ok)).collect();
        Ok(Performed { is_transaction: true, entries })
    }

    /// Reads and checks all entries.
    fn prepare(
        self: &Arc<Self>,
        requester: Requester,
        entries: Vec<Entry>,
        strict: bool,
    ) -> Result<Transaction, InteractionError> {
        let (mut steps, mut methods, mut lookups) = (Vec::new(), Vec::new(), Vec::new());
        let mut invalid = Vec::new();
        let mut known = HashSet::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let of_entry = |error| InteractionError::Entry { index, error: Box::new(error) };
            let full_url = entry.full_url.clone();
            let call = entry.into_call(index, &requester, strict).map_err(of_entry)?;
            methods.push(call.method);
            let step = match self.step(&requester, full_url, call) {
                Ok(step) => step,
                Err(error @ InteractionError::Invalid(_)) => {
                    invalid.extend(of_entry(error).issues());
                    continue;
                }
                Err(error) => return Err(of_entry(error)),
            };
            for reference in step.tree().map(conditional).unwrap_or_default() {
                if known.insert(reference.clone()) {
                    let (name, query) = reference.split_once('?').unwrap_or((&reference, ""));
                    let Some(resource_type) = crate::fhir::resource_type(name) else { continue };
                    let criteria = self.criteria(&requester, resource_type, &address::parameters(query));
                    let criteria = criteria.map_err(of_entry)?;
                    lookups.push((index, reference, resource_type, criteria));
                }
            }
            steps.push(step);
        }
        if !invalid.is_empty() {
            return Err(InteractionError::Invalid(invalid));
        }
        let context = self.write_context(&requester);
        let exchange = self.clone();
        let mut transaction =
            Transaction { exchange, requester, context, steps, methods, strict, lookups, prepared: None };
        let subjects: Option<Vec<Subject>> =
            transaction.steps.iter().map(|step| transaction.plain_subject(step)).collect();
        if let Some(subjects) = subjects.filter(|_| transaction.lookups.is_empty()) {
            transaction.prepared = Some(transaction.plan(&subjects, &mut References::default()));
        }
        Ok(transaction)
    }
}

impl Transaction {
    async fn write(&self, tx: &mut Tx<'_>) -> Result<Vec<Done>, InteractionError> {
        let subjects = self.subjects(tx).await?;
        self.refuse_overlaps(&subjects)?;
        let mut done: Vec<Option<Done>> = self.steps.iter().map(|_| None).collect();
        self.delete(tx, &subjects, &mut done).await?;
        self.keep(tx, &subjects, &mut done).await?;
        for (index, step) in self.steps.iter().enumerate() {
            let Action::Find { address, parameters } = &step.action else { continue };
            let found = self
                .exchange
                .find(tx, &self.requester, address.clone(), parameters, &step.conditions, self.strict)
                .await;
            let found = found.and_then(|found| self.exchange.may_tell_in_bundle(&self.requester, found));
            done[index] = Some(found.map_err(of_entry(index))?);
        }
        // Every step has had its turn: each kind of action is handled above.
        Ok(done.into_iter().flatten().collect())
    }

    /// Which resource an entry is about, if that can be told without looking.
    fn plain_subject(&self, step: &Step) -> Option<Subject> {
        match &step.action {
            Action::Create { new_id, unless: None, .. } => {
                Some(Subject::Kept { id: new_id.clone(), may_create: true })
            }
            Action::Update { id, .. } => {
                let may_create = self.exchange.settings.rest.update_creates;
                Some(Subject::Kept { id: id.clone(), may_create })
            }
            Action::Delete(Named::Id(id)) => Some(Subject::Present(id.clone())),
            Action::Find { .. } => Some(Subject::Nothing),
            // A patch needs what is there.
            _ => None,
        }
    }

    /// Answers all criteria.
    async fn subjects(&self, tx: &mut Tx<'_>) -> Result<Vec<Subject>, InteractionError> {
        let mut subjects = Vec::with_capacity(self.steps.len());
        let mut creating: HashMap<(&str, &str), usize> = HashMap::new();
        for (index, step) in self.steps.iter().enumerate() {
            let subject = match (self.plain_subject(step), &step.action) {
                (Some(subject), _) => subject,
                (None, Action::Create { new_id, unless: Some((query, criteria)), .. }) => {
                    match self.find_one(tx, index, criteria).await? {
                        Some(resource) => Subject::Existed(resource),
                        None => match *creating.entry((step.resource_type, query)).or_insert(index) {
                            first if first == index => Subject::Kept { id: new_id.clone(), may_create: true },
                            first => Subject::SameAs(first),
                        },
                    }
                }
                (None, Action::UpdateMatching { new_id, has_id, criteria, .. }) => {
                    match self.find_one(tx, index, criteria).await? {
                        Some(resource) if *has_id && resource.id != *new_id => {
                            let text = "The id is not that of the resource that the criteria match";
                            return Err(of_entry(index)(id_mismatch(step.resource_type, text)));
                        }
                        Some(resource) => Subject::Kept { id: resource.id, may_create: true },
                        None => Subject::Kept {
                            id: new_id.clone(),
                            may_create: !has_id || self.exchange.settings.rest.update_creates,
                        },
                    }
                }
                (None, Action::Patch { target: Named::Id(id), .. }) => Subject::Present(id.clone()),
                (None, Action::Patch { target: Named::Matching(criteria), .. }) => {
                    let found = self.find_one(tx, index, criteria).await?;
                    let found = found.ok_or(InteractionError::NotFound).map_err(of_entry(index))?;
                    Subject::Present(found.id)
                }
                (None, Action::Delete(Named::Matching(criteria))) => {
                    let found = self.find_one(tx, index, criteria).await?;
                    found.map_or(Subject::Nothing, |resource| Subject::Present(resource.id))
                }
                (None, _) => Subject::Nothing,
            };
            subjects.push(subject);
        }
        Ok(subjects)
    }

    /// The one resource that criteria find.
    async fn find_one(
        &self,
        tx: &mut Tx<'_>,
        index: usize,
        criteria: &Criteria,
    ) -> Result<Option<StoredResource>, InteractionError> {
        let access = &self.context.access;
        let mut found = repository::matches(tx, access, criteria.kind, &criteria.criterion).await?;
        let one = found.pop();
        if found.is_empty() { Ok(one) } else { Err(of_entry(index)(several())) }
    }

    /// FHIR R4 http, transaction: a transaction in which two entries change the same resource fails.
    fn refuse_overlaps(&self, subjects: &[Subject]) -> Result<(), InteractionError> {
        let mut seen = HashSet::new();
        for (index, (step, subject)) in self.steps.iter().zip(subjects).enumerate() {
            let (Subject::Kept { id, .. } | Subject::Present(id)) = subject else { continue };
            if !seen.insert((step.resource_type, id)) {
                let text = "Another entry of the transaction changes the same resource";
                let issue = Issue::refusal(IssueType::Conflict, text);
                return Err(of_entry(index)(InteractionError::Malformed(vec![issue])));
            }
        }
        Ok(())
    }

    async fn delete(
        &self,
        tx: &mut Tx<'_>,
        subjects: &[Subject],
        done: &mut [Option<Done>],
    ) -> Result<(), InteractionError> {
        for (index, (step, subject)) in self.steps.iter().zip(subjects).enumerate() {
            let Action::Delete(_) = &step.action else { continue };
            done[index] = Some(match subject {
                Subject::Present(id) => {
                    let precondition = step.conditions.for_change(false);
                    let deleted =
                        delete_now(tx, &self.context, (step.resource_type, id), &precondition).await?;
                    told(deleted).map_err(of_entry(index))?
                }
                _ => Done::Deleted(None),
            });
        }
        Ok(())
    }

    /// Creates, updates and patches in as few statements as there can be.
    async fn keep(
        &self,
        tx: &mut Tx<'_>,
        subjects: &[Subject],
        done: &mut [Option<Done>],
    ) -> Result<(), InteractionError> {
        let mut references = References::default();
        for (index, reference, resource_type, criteria) in &self.lookups {
            let found = self.find_one(tx, *index, criteria).await?;
            let found = found.ok_or_else(|| {
                let text = "A reference by criteria in this entry matches no resource";
                let issue = Issue::refusal(IssueType::NotFound, text);
                of_entry(*index)(InteractionError::Precondition(issue))
            })?;
            references.resolve(reference, format!("{resource_type}/{}", found.id));
        }
        let mut planned;
        let planned: &[Planned] = if let Some(prepared) = &self.prepared {
            prepared
        } else {
            planned = self.plan(subjects, &mut references);
            let patches = self.plan_patches(tx, subjects, &references, done).await?;
            planned.extend(patches);
            &planned
        };
        for may_create in [true, false] {
            let some: Vec<&Planned> = planned.iter().filter(|one| one.may_create == may_create).collect();
            if !some.is_empty() {
                self.keep_some(tx, &some, may_create, done).await?;
            }
        }
        for (index, subject) in subjects.iter().enumerate() {
            let existed = match subject {
                Subject::Existed(resource) => resource.clone(),
                Subject::SameAs(first) => {
                    let Some(Done::Created(first)) = &done[*first] else { continue };
                    first.resource.clone()
                }
                _ => continue,
            };
            done[index] = Some(Done::Existed(existed));
        }
        Ok(())
    }

    async fn keep_some(
        &self,
        tx: &mut Tx<'_>,
        planned: &[&Planned],
        may_create: bool,
        done: &mut [Option<Done>],
    ) -> Result<(), InteractionError> {
        let mut drafts: Vec<(Draft, Precondition)> = Vec::with_capacity(planned.len());
        for one in planned {
            let follows = match &self.steps[one.index].action {
                Action::Create { .. } => Follows::AsItIs,
                _ => check_task::follow(tx, &self.context, &one.draft).await?,
            };
            drafts.push(match follows {
                Follows::AsItIs => one.draft.clone(),
                Follows::Amended(draft) => draft,
                Follows::Not(issues) => return Err(of_entry(one.index)(InteractionError::Invalid(issues))),
            });
        }
        let now = self.context.clock.now();
        let kept = repository::keep(tx, &self.context.access, &drafts, may_create, now).await?;
        let mut audited = Vec::with_capacity(planned.len());
        for (one, kept) in planned.iter().zip(kept) {
            if let Some(attached) = &one.attached {
                attached.write(tx, &self.context.access, now).await?;
            }
            let step = &self.steps[one.index];
            // A patch has its remarks already.
            let remarks = match done[one.index].take() {
                Some(Done::Updated(patched)) => patched.remarks,
                _ => step.remarks.clone(),
            };
            let outcome = outcome(kept, remarks)
                .map_err(|error| self.exchange.tell_required(error, &step.conditions))
                .map_err(of_entry(one.index))?;
            let action = match &step.action {
                Action::Create { .. } => "create",
                Action::Patch { .. } => "patch",
                _ => "update",
            };
            audited.push(self.context.audit(action, step.resource_type, &one.draft.0.id, now));
            done[one.index] = Some(outcome);
        }
        audit::record_all(tx, &audited).await?;
        Ok(())
    }

    /// The drafts of creates and updates, with their references put right. `references` has those by criteria, and
    /// gets those between the entries.
    fn plan(&self, subjects: &[Subject], references: &mut References) -> Vec<Planned> {
        for (step, subject) in self.steps.iter().zip(subjects) {
            let Some(full_url) = &step.full_url else { continue };
            let id = match subject {
                Subject::Kept { id, .. } | Subject::Present(id) => id,
                Subject::Existed(resource) => &resource.id,
                Subject::SameAs(first) => {
                    let Subject::Kept { id, .. } = &subjects[*first] else { continue };
                    id
                }
                Subject::Nothing => continue,
            };
            references.add(full_url, &format!("{}/{id}", step.resource_type));
        }
        let require = self.exchange.settings.rest.require_if_match;
        let planned = self.steps.iter().zip(subjects).enumerate().filter_map(|(index, (step, subject))| {
            let Subject::Kept { id, may_create } = subject else { return None };
            let (received, precondition) = match &step.action {
                Action::Create { received, .. } => (received, Precondition::None),
                Action::Update { received, .. } | Action::UpdateMatching { received, .. } => {
                    (received, step.conditions.for_change(require))
                }
                Action::Patch { .. } | Action::Delete(_) | Action::Find { .. } => return None,
            };
            let Prepared { draft, attached } =
                self.draft(step.resource_type, id.clone(), received, references);
            Some(Planned { index, draft: (draft, precondition), attached, may_create: *may_create })
        });
        planned.collect()
    }

    /// The drafts of patches. Their remarks wait in `done`.
    async fn plan_patches(
        &self,
        tx: &mut Tx<'_>,
        subjects: &[Subject],
        references: &References,
        done: &mut [Option<Done>],
    ) -> Result<Vec<Planned>, InteractionError> {
        let mut planned = Vec::new();
        for (index, (step, subject)) in self.steps.iter().zip(subjects).enumerate() {
            let (Action::Patch { patch, .. }, Subject::Present(id)) = (&step.action, subject) else {
                continue;
            };
            let current = present(tx, &self.context.access, step.resource_type, id).await;
            let current = current.map_err(of_entry(index))?;
            let caller = &self.requester.caller;
            let patched =
                self.exchange.patched(caller, step.resource_type, &current, patch, &step.conditions);
            let Patched { received, remarks, precondition } = patched.map_err(of_entry(index))?;
            let Prepared { draft, attached } =
                self.draft(step.resource_type, id.clone(), &received, references);
            planned.push(Planned { index, draft: (draft, precondition), attached, may_create: false });
            done[index] =
                Some(Done::Updated(crate::exchange::interaction::Stored { resource: current, remarks }));
        }
        Ok(planned)
    }

    fn draft(
        &self,
        resource_type: &'static str,
        id: String,
        received: &Received,
        references: &References,
    ) -> Prepared {
        // A text that nothing is changed in stays as it was received.
        let mut tree = if references.is_empty() { Value::Null } else { received.tree.clone() };
        if !references.apply(&mut tree) {
            return self.exchange.draft(&self.requester, resource_type, id, received);
        }
        let text = tree.to_string().into();
        let received = Received { text, tree, ..received.clone() };
        self.exchange.draft(&self.requester, resource_type, id, &received)
    }
}

/// The failure of one entry is that of the transaction; that of the database is nobody's.
fn of_entry(index: usize) -> impl Fn(InteractionError) -> InteractionError {
    move |error| match error {
        InteractionError::Db(error) => InteractionError::Db(error),
        error => InteractionError::Entry { index, error: Box::new(error) },
    }
}
