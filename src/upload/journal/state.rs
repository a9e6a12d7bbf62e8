//! What is in the journal and not redeemed, as a state machine without clock or disk.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Answer, Group};
use crate::auth::Access;
use crate::id::UploadId;
use crate::upload::Upload;

/// Entries are redeemed when none has come for so long, unless somebody waits for one: who is in the middle of sending
/// many files is not slowed down by what follows from them.
const QUIET: Duration = Duration::from_millis(20);
/// Entries wait for quiet at most so long.
const GATHERING: Duration = Duration::from_secs(1);
/// How long an upload without bytes is kept back for its bytes, unless somebody waits for it.
const GRACE: Duration = Duration::from_millis(50);
/// So many entries wait for nothing.
pub(super) const MANY: usize = 2048;
/// The most entries: whoever comes then goes the slower way.
const MOST: usize = 2 * MANY;
/// The most entries that are redeemed together.
pub(super) const GROUP: usize = 64;

pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) upload: Upload,
    pub(super) bytes: Bytes,
    /// When it became durable.
    pub(super) entered_at: Instant,
    pub(super) standing: Standing,
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is to be redeemed.
    Waits,
    /// The entry that replaces it is being written.
    Held,
    /// Nothing is to come of it: another entry has replaced it, or its writing failed.
    Void,
}

pub(super) struct Queued {
    pub(super) entry: Entry,
    /// The number of the entry that it replaces.
    pub(super) replaces: Option<u64>,
    pub(super) done: oneshot::Sender<Answer>,
}

/// When there is something to redeem.
pub(super) enum Due {
    Now(Group),
    At(Instant),
    Never,
}

#[derive(Default)]
pub(super) struct State {
    /// The last number that was given away.
    pub(super) last: u64,
    /// Entries that the next write takes, in order.
    pub(super) queue: Vec<Queued>,
    pub(super) is_writing: bool,
    /// Nothing is entered any more: the disk failed, or nobody wants it.
    pub(super) is_closed: bool,
    /// Entries up to this number are waited for.
    pub(super) wanted: u64,
    /// Entries up to this number were there at the start.
    pub(super) left_over: u64,
    /// Durable and not redeemed, in order.
    entries: VecDeque<Entry>,
    /// The number of the last entry of each upload among them.
    numbers: HashMap<UploadId, u64>,
    /// How many of the first are being redeemed.
    in_hand: usize,
    /// Whether whoever redeems them sleeps until it is woken.
    sleeps: bool,
}

impl State {
    /// Nothing but what an earlier process may have left, up to a number.
    pub(super) fn beginning_behind(last: u64) -> Self {
        Self { last, wanted: last, left_over: last, ..Self::default() }
    }

    /// Adds a durable entry.
    pub(super) fn push(&mut self, entry: Entry) {
        if entry.standing == Standing::Waits {
            self.numbers.insert(entry.upload.id, entry.number);
        }
        self.entries.push_back(entry);
    }

    /// Adds an entry that an earlier process wrote; of two of one upload the later one counts.
    pub(super) fn push_left_over(&mut self, entry: Entry) {
        if let Some(replaced) = self.numbers.get(&entry.upload.id).copied() {
            self.settle(replaced, Standing::Void);
        }
        self.push(entry);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() + self.queue.len() >= MOST
    }

    /// Whether nothing is here or on its way.
    pub(super) fn is_drained(&self) -> bool {
        self.entries.is_empty() && self.queue.is_empty() && !self.is_writing
    }

    /// The last entry of an upload, if this caller may see it.
    pub(super) fn find(&self, access: &Access, id: UploadId) -> Option<&Entry> {
        let entry = self.entries.get(self.at(*self.numbers.get(&id)?)?)?;
        is_theirs(access, &entry.upload).then_some(entry)
    }

    /// The number of the last entry that this caller may see.
    pub(super) fn last_of(&self, access: &Access) -> Option<u64> {
        self.entries.iter().rev().find(|entry| is_theirs(access, &entry.upload)).map(|entry| entry.number)
    }

    /// The entry of an upload without bytes that nobody else has in hand.
    pub(super) fn replaceable(&self, access: &Access, id: UploadId) -> Option<&Entry> {
        let entry = self.find(access, id)?;
        let is_in_hand = self.entries.get(self.in_hand).is_none_or(|next| entry.number < next.number);
        (!is_in_hand && entry.bytes.is_empty() && entry.standing == Standing::Waits).then_some(entry)
    }

    /// Changes where an entry stands.
    pub(super) fn settle(&mut self, number: u64, standing: Standing) {
        if let Some(entry) = self.at(number).and_then(|at| self.entries.get_mut(at)) {
            entry.standing = standing;
        }
    }

    /// Lets go of entries whose replacements nobody writes any more.
    pub(super) fn release(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| entry.standing == Standing::Held) {
            entry.standing = Standing::Waits;
        }
    }

    /// The first entries that may be redeemed now; the same again until they are.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        let due = self.look(now);
        self.sleeps = matches!(due, Due::Never);
        due
    }

    /// Whether whoever redeems must be woken for what has come since [`Self::due`], told once: who waits for an instant
    /// looks again by itself, and waking it for each entry would cost more than the entry.
    pub(super) fn take_wake(&mut self) -> bool {
        std::mem::take(&mut self.sleeps) || self.entries.len() >= MANY
    }

    fn look(&mut self, now: Instant) -> Due {
        let Some(first) = self.entries.front() else { return Due::Never };
        let is_wanted = |entry: &Entry| entry.number <= self.wanted;
        let quiet = self.entries.back().map_or(now, |last| last.entered_at + QUIET);
        let gathered = quiet.min(first.entered_at + GATHERING);
        if now < gathered && self.in_hand == 0 && !is_wanted(first) && self.entries.len() < MANY {
            return Due::At(gathered);
        }
        let is_left_over = first.number <= self.left_over;
        let mut group = Group { first: first.number, last: 0, uploads: Vec::new(), is_left_over };
        let most = if self.in_hand > 0 { self.in_hand } else { GROUP };
        let mut in_hand = 0;
        for entry in self.entries.iter().take(most) {
            let grace = entry.entered_at + GRACE;
            match entry.standing {
                Standing::Held if in_hand == 0 => return Due::Never,
                Standing::Held => break,
                Standing::Void => {}
                Standing::Waits if entry.bytes.is_empty() && now < grace && !is_wanted(entry) => {
                    if in_hand == 0 {
                        return Due::At(grace);
                    }
                    break;
                }
                Standing::Waits => group.uploads.push((entry.upload.clone(), entry.bytes.clone())),
            }
            group.last = entry.number;
            in_hand += 1;
        }
        self.in_hand = in_hand;
        Due::Now(group)
    }

    /// Forgets entries that are redeemed.
    pub(super) fn redeemed(&mut self, last: u64) {
        while self.entries.front().is_some_and(|entry| entry.number <= last) {
            if let Some(entry) = self.entries.pop_front()
                && self.numbers.get(&entry.upload.id) == Some(&entry.number)
            {
                self.numbers.remove(&entry.upload.id);
            }
        }
        self.in_hand = 0;
    }

    fn at(&self, number: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&number, |entry| entry.number).ok()
    }
}

/// Whether a caller may see an upload; what statements ask by `tenant = $1 AND owner = COALESCE($2, owner)`.
fn is_theirs(access: &Access, upload: &Upload) -> bool {
    access.tenant() == upload.tenant && access.owner().is_none_or(|owner| owner == upload.owner)
}
