//! `POST [base]`: many interactions in one request (FHIR R4 http, batch/transaction).
//!
//! [`entry`] reads the entries into calls. A [`batch`] makes them one after the other, each for itself; a
//! [`transaction`] all or none, in one unit: its [`step`]s are checked first, and the [`references`] between them put
//! right. Bundles of
//! other types are resources like any other and are created at `[base]/Bundle`.

mod batch;
mod entry;
mod references;
mod step;
mod transaction;

use std::sync::Arc;

use super::Exchange;
use super::interaction::{Done, InteractionError, Method, Requester, type_of};
use super::store_resource::Received;
use crate::fhir::{self, Issue, IssueType, StructureMode};

/// What came of a batch or a transaction.
#[derive(Debug)]
pub(crate) struct Performed {
    /// Whether it was all or none.
    pub(crate) is_transaction: bool,
    /// What came of each entry, in order. Those of a transaction were all done.
    pub(crate) entries: Vec<(Option<Method>, Result<Done, InteractionError>)>,
}

impl Exchange {
    /// Does what the entries of a Bundle ask for.
    ///
    /// *Cancellation*: the work goes on.
    pub(super) async fn run_bundle(
        self: &Arc<Self>,
        requester: &Requester,
        received: Received,
        strict: bool,
    ) -> Result<Done, InteractionError> {
        let Received { text, mut tree } = received;
        if type_of(&tree) != Some("Bundle") {
            let text = "A Bundle of type batch or transaction is expected here";
            return Err(InteractionError::malformed(IssueType::Value, "resourceType", text));
        }
        let is_transaction = match tree.get("type").and_then(serde_json::Value::as_str) {
            Some("transaction") => true,
            Some("batch") => false,
            _ => {
                let issue =
                    Issue::error(IssueType::Value, "Bundle.type", "It must be batch or transaction here");
                let issue = issue.advising("Bundles of other types are kept whole by POST [base]/Bundle");
                return Err(InteractionError::Malformed(vec![issue]));
            }
        };
        let most = self.settings.rest.bundle_entries;
        let entries = entry::take(&text, &mut tree, most)?;
        // The resources have been taken out: each is judged with its own entry.
        let issues = fhir::check_structure(&tree, "Bundle", StructureMode::Strict);
        if issues.iter().any(Issue::is_error) {
            return Err(InteractionError::Malformed(issues));
        }
        let (exchange, requester) = (self.clone(), requester.clone());
        self.outlive(async move {
            if is_transaction {
                exchange.run_transaction(requester, entries, strict).await
            } else {
                Ok(exchange.run_batch(&requester, entries, strict).await)
            }
        })
        .await?
        .map(Done::Performed)
    }
}
