//! What is written for a submission: its resources as they are first kept, or as they change once it belongs to
//! something, each with the Provenance that says where it comes from. Nothing is written here.
//!
//! Relative references in what somebody submits are that server's own. They stay in the text, but the index files them
//! as the sender's, so that they never lead to a resource here that happens to have the same id.

use bytes::Bytes;
use serde_json::{Value, json};

use super::contents::{NewContent, SharedBytes};
use super::store::KeptSubmission;
use super::{KeptContent, tree_of};
use crate::cdex::association::Association;
use crate::cdex::provenance::{Agent, Origin, Source, logical};
use crate::cdex::tag;
use crate::clock::Timestamp;
use crate::db::DbError;
use crate::fhir::reference::{is_absolute, rewrite_references};
use crate::id::{ResourceId, UploadId};
use crate::repository::{Draft, Precondition, StoredResource, index};

/// What stands before the relative references of a sender in the index.
const SENDER: &str = "urn:cdex-gateway:sender/";

/// What all drafts of one submission share.
pub(super) struct Drafting<'a> {
    pub(super) tenant: &'a str,
    pub(super) owner: &'a str,
    pub(super) kept: &'a KeptSubmission,
    pub(super) association: &'a Association,
    /// What the Task says that the attachments may be used for.
    pub(super) purposes: Vec<Value>,
    pub(super) now: Timestamp,
}

impl Drafting<'_> {
    /// A content resource as it is first kept, with its Binaries and its Provenance.
    pub(super) fn first(&self, mut made: NewContent) -> (KeptContent, Vec<(Draft, Precondition)>) {
        let reference = made.reference();
        tag::clear(&mut made.tree);
        if !self.association.is_made() {
            tag::add(&mut made.tree, tag::HELD);
        }
        if self.kept.amends.is_some() {
            tag::add(&mut made.tree, tag::AMENDMENT);
        }
        let mut bytes = None;
        let mut targets = vec![reference.clone()];
        let mut drafts = Vec::new();
        for shared in &made.bytes {
            if made.resource_type == "Binary" {
                bytes = Some(shared.content.id);
            } else {
                targets.push(format!("Binary/{}", shared.content.id));
                drafts.push((binary(shared), Precondition::Absent));
            }
        }
        if made.resource_type == "DocumentReference" {
            relate(&mut made.tree, logical(&self.kept.submission.tracking_id));
            self.links().for_each(|link| relate(&mut made.tree, json!({ "reference": link })));
        }
        drafts.push((self.foreign(made.resource_type, &made.id, &made.tree, bytes), Precondition::Absent));
        let provenance = ResourceId::new().to_string();
        let origin = self.origin(targets, &made).to_resource();
        drafts.push((self.own("Provenance", &provenance, &origin), Precondition::Absent));
        (KeptContent { reference, provenance }, drafts)
    }

    /// A resource of the submission once that belongs to more than before; none if nothing changes.
    pub(super) fn linked(&self, stored: &StoredResource) -> Result<Option<(Draft, Precondition)>, DbError> {
        let before = tree_of(stored)?;
        let mut tree = before.clone();
        tag::remove(&mut tree, tag::HELD);
        let draft = match &*stored.resource_type {
            "Provenance" => {
                for link in self.links() {
                    let entity = Source::Resource(link.to_owned()).to_element();
                    append(&mut tree, "entity", entity);
                }
                if tree.get("reason").is_none() && !self.purposes.is_empty() {
                    tree["reason"] = Value::Array(self.purposes.clone());
                }
                self.own("Provenance", &stored.id, &tree)
            }
            other => {
                // The row was read from the database: its type is one of R4.
                let Some(resource_type) = crate::fhir::resource_type(other) else { return Ok(None) };
                if resource_type == "DocumentReference" {
                    self.links().for_each(|link| relate(&mut tree, json!({ "reference": link })));
                }
                self.foreign(resource_type, &stored.id, &tree, stored.bytes)
            }
        };
        Ok((tree != before).then_some((draft, Precondition::Version(vec![stored.version]))))
    }

    /// What the submission belongs to.
    fn links(&self) -> impl Iterator<Item = &str> {
        self.association.task.iter().chain(&self.association.claim).map(String::as_str)
    }

    fn origin(&self, targets: Vec<String>, made: &NewContent) -> Origin {
        let submission = &self.kept.submission;
        let organization = submission.organization_id.as_ref();
        let of_organization = organization.map(Agent::organization);
        let of_provider =
            submission.provider_id.as_ref().map(|provider| Agent::practitioner(provider, organization));
        let client = || Agent::client(self.owner);
        let mut sources = vec![Source::Submission(self.kept.id)];
        sources.extend(self.kept.amends.map(Source::Amended));
        sources.extend(made.uploads.iter().copied().map(Source::Upload));
        sources.push(Source::Identified(submission.tracking_id.clone()));
        sources.extend(self.links().map(|link| Source::Resource(link.to_owned())));
        let checks = self.kept.checks.iter().filter(|(attachment, _)| *attachment == made.attachment);
        Origin {
            targets,
            author: of_provider.clone().or(of_organization.clone()).unwrap_or_else(client),
            transmitter: of_organization.or(of_provider).unwrap_or_else(client),
            received_at: self.kept.received_at,
            recorded_at: self.now,
            purposes: self.purposes.clone(),
            sources,
            checks: checks.map(|(_, check)| check.clone()).collect(),
        }
    }

    /// What the gateway itself has written.
    fn own(&self, resource_type: &'static str, id: &str, tree: &Value) -> Draft {
        let entries = index::entries(self.tenant, resource_type, tree, "");
        draft(resource_type, id, tree, None, entries)
    }

    /// What somebody has sent. It begets no errands: it has come to where it is wanted.
    fn foreign(&self, resource_type: &'static str, id: &str, tree: &Value, bytes: Option<UploadId>) -> Draft {
        let mut indexed = tree.clone();
        rewrite_references(&mut indexed, |reference| {
            let is_ours = self.links().any(|link| link == reference);
            (!is_ours && !is_absolute(reference) && !reference.starts_with('#'))
                .then(|| format!("{SENDER}{reference}"))
        });
        let entries = index::entries(self.tenant, resource_type, &indexed, "");
        draft(resource_type, id, tree, bytes, entries)
    }
}

fn draft(
    resource_type: &'static str,
    id: &str,
    tree: &Value,
    bytes: Option<UploadId>,
    entries: Vec<crate::repository::entry::Entry>,
) -> Draft {
    let text = Bytes::from(tree.to_string());
    Draft { resource_type, id: id.to_owned(), text, entries, bytes, errands: Vec::new() }
}

/// The Binary that has the bytes of an upload.
fn binary(shared: &SharedBytes) -> Draft {
    let tree = json!({ "resourceType": "Binary", "contentType": shared.media_type });
    draft("Binary", &shared.content.id.to_string(), &tree, Some(shared.content.id), Vec::new())
}

/// Adds a Reference to what a DocumentReference is related to.
fn relate(tree: &mut Value, reference: Value) {
    if !tree["context"].is_object() {
        tree["context"] = json!({});
    }
    append(&mut tree["context"], "related", reference);
}

/// Adds an element to a list, unless it is there.
fn append(tree: &mut Value, name: &str, element: Value) {
    match tree.get_mut(name).and_then(Value::as_array_mut) {
        Some(list) if list.contains(&element) => {}
        Some(list) => list.push(element),
        None => tree[name] = json!([element]),
    }
}
