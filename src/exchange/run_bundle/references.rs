//! References between the entries of a transaction (FHIR R4 http, transaction): what an entry is called before it is
//! kept becomes what it is called after, and a reference by criteria becomes the one resource that they find.

use std::collections::HashMap;

use serde_json::Value;

use crate::fhir::reference;

/// What references become.
#[derive(Debug, Default)]
pub(super) struct References(HashMap<String, String>);

impl References {
    /// A resource that comes under `full_url` will be `Type/id`.
    pub(super) fn add(&mut self, full_url: &str, local: &str) {
        // `http://somewhere/Type/id` is also meant by `Type/id` in the same Bundle (FHIR R4 bundle, References).
        let mut segments = full_url.rsplitn(3, '/');
        if let (Some(id), Some(name), Some(_)) = (segments.next(), segments.next(), segments.next())
            && local.split_once('/').is_some_and(|(local, _)| local == name)
        {
            self.0.insert(format!("{name}/{id}"), local.to_owned());
        }
        self.0.insert(full_url.to_owned(), local.to_owned());
    }

    /// A reference by criteria is one to this resource.
    pub(super) fn resolve(&mut self, criteria: &str, local: String) {
        self.0.insert(criteria.to_owned(), local);
    }

    /// Whether nothing has to be put right.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the references of a resource right; says whether any was changed.
    pub(super) fn apply(&self, tree: &mut Value) -> bool {
        let mut is_changed = false;
        reference::rewrite_references(tree, |reference| {
            let local = self.0.get(reference).filter(|local| *local != reference)?;
            is_changed = true;
            Some(local.clone())
        });
        is_changed
    }
}

/// The references by criteria in a resource: `Type?name=value`.
pub(super) fn conditional(tree: &Value) -> Vec<String> {
    let found = reference::find_references(tree, "").into_iter().map(|(_, reference)| reference);
    found
        .filter(|reference| {
            reference.split_once('?').is_some_and(|(name, _)| crate::fhir::resource_type(name).is_some())
        })
        .map(str::to_owned)
        .collect()
}
