//! What the repository takes and gives.

use bytes::Bytes;

use super::criteria::{Criterion, Order};
use super::entry::{Entry, Space};
use crate::agenda::Errand;
use crate::clock::Timestamp;
use crate::id::UploadId;

/// One version of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredResource {
    /// The row, in the order of creation.
    pub(crate) key: i64,
    /// Its type.
    pub(crate) resource_type: String,
    /// Its id.
    pub(crate) id: String,
    /// Its version, from 1 on.
    pub(crate) version: u64,
    /// When this version came to be; whole milliseconds.
    pub(crate) last_updated: Timestamp,
    /// How this version came to be.
    pub(crate) change: Change,
    /// The resource as JSON text with `id` and `meta` in place; none where this version is a deletion.
    pub(crate) content: Option<Bytes>,
    /// Of a Binary: the name of its bytes in the upload store, where they are too long for the text.
    pub(crate) bytes: Option<UploadId>,
}

/// How a version came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// By a create, or an update under an id that nothing had.
    Create,
    /// By an update or a patch.
    Update,
    /// By a delete.
    Delete,
}

/// A resource that is to be kept.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// Its type.
    pub(crate) resource_type: &'static str,
    /// Its id: new, or that of the resource it replaces.
    pub(crate) id: String,
    /// Its text as received; id, version and time are put in place when it is kept.
    pub(crate) text: Bytes,
    /// What it can be found by.
    pub(crate) entries: Vec<Entry>,
    /// Of a Binary: the name of its bytes in the upload store, where they are too long for the text.
    pub(crate) bytes: Option<UploadId>,
    /// What must be done because it is kept; items of the agenda whose subject is `Type/id`.
    pub(crate) errands: Vec<Errand>,
}

/// What must be true of the present version for a change to happen (RFC 9110, 13.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// Nothing.
    None,
    /// It is one of these (`If-Match`).
    Version(Vec<u64>),
    /// There is some version (`If-Match: *`).
    Present,
    /// There is none (`If-None-Match: *`).
    Absent,
}

/// What became of a [`Draft`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is the first version of its resource, or the first since it was deleted.
    Created(StoredResource),
    /// It is the next version.
    Updated(StoredResource),
    /// The precondition does not hold; nothing changed.
    Mismatch,
    /// There is no such resource, and it must not be created; nothing changed.
    Missing,
    /// The id belongs to somebody whose resources the caller may not see; nothing changed.
    Foreign,
}

/// What became of a delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// It is gone; this version says so.
    Now(StoredResource),
    /// It was gone, or never there.
    Before,
    /// The precondition does not hold; nothing changed.
    Mismatch,
}

/// A page of a search that is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    /// The types searched, as spaces: the criterion need not name them again.
    pub(crate) types: Vec<Space>,
    /// What must hold.
    pub(crate) criterion: Criterion,
    /// In which order: keys with whether they descend. The order of creation comes last by itself.
    pub(crate) order: Vec<(Order, bool)>,
    /// How many resources the page has at most; none if 0.
    pub(crate) count: u32,
    /// After which resource it begins.
    pub(crate) after: Option<Position>,
    /// Up to how many matches are counted; none if 0.
    pub(crate) count_to: u64,
}

/// Where a page of a search ended: the order's values of its last resource, and its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// One value per key of the order; none where the resource has no value.
    pub(crate) values: Vec<Option<Vec<u8>>>,
    /// The row of the resource.
    pub(crate) key: i64,
}

/// A page of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// The matches.
    pub(crate) resources: Vec<StoredResource>,
    /// Where the next page begins; none if this is the last.
    pub(crate) next: Option<Position>,
    /// How many matches there are, if they were counted and are not more than `count_to`.
    pub(crate) total: Option<u64>,
}

/// Whose history is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HistoryOf {
    /// That of one resource.
    Instance {
        /// Its type.
        resource_type: &'static str,
        /// Its id.
        id: String,
    },
    /// That of all resources of a type.
    Type(&'static str),
}

/// A page of a history that is wanted: newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    /// Whose.
    pub(crate) of: HistoryOf,
    /// Only versions made at or after this moment (`_since`).
    pub(crate) since: Option<Timestamp>,
    /// Only versions that were current at some time of this stretch (`_at`), the end excluded.
    pub(crate) at: Option<(Timestamp, Timestamp)>,
    /// How many versions the page has at most.
    pub(crate) count: u32,
    /// The time, row and version of the last one of the page before.
    pub(crate) after: Option<(Timestamp, i64, u64)>,
}
