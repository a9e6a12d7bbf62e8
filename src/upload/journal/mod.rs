//! Small uploads are acknowledged as soon as they lie in the journal: one synced write for as many as come at the
//! same time. What makes them uploads like any other, a blob and rows, follows in groups and in order
//! ([`Journal::due`], [`Journal::redeemed`]); whoever asks for one of them before that waits for it
//! ([`Journal::wait_for`]). After a crash the start finds what was not redeemed.
//!
//! The database keeps the number up to which entries are redeemed, and moves it in the transaction that redeems them:
//! none is redeemed twice, and none comes back that was removed since.
//!
//! An upload that was created without bytes and gets all of them within a moment is one entry more and one upload
//! less: its second entry replaces the first.

mod blocks;
mod record;
mod state;
mod volumes;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use self::state::{Due, Entry, Queued, Standing, State};
use self::volumes::Volumes;
use super::Upload;
use crate::auth::Access;
use crate::id::UploadId;

/// How long somebody waits for an upload to be redeemed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why an upload was not entered.
#[derive(Debug)]
pub(crate) enum JournalError {
    /// There is no room, or the journal is not in use: the upload can go the way without it, nothing was written.
    NotTaken,
    /// The disk failed. The upload may be there after a restart or not; its id is not to be used again.
    Disk(io::Error),
}

/// What was waited for was not redeemed in time.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("an upload that was acknowledged could not be stored yet")]
pub(crate) struct Unredeemed;

/// What is redeemed in one transaction.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// The number of its first entry.
    pub(crate) first: u64,
    /// The number of its last.
    pub(crate) last: u64,
    /// The uploads, complete ones with all their bytes, others without any.
    pub(crate) uploads: Vec<(Upload, Bytes)>,
    /// Whether a gateway before this one entered some of them, perhaps without ever acknowledging them.
    pub(crate) is_left_over: bool,
}

/// The journal of one gateway. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Journal {
    id: Arc<str>,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    volumes: Mutex<Volumes>,
    /// Entries that are not redeemed, so that nobody takes the lock while there are none.
    unredeemed: AtomicUsize,
    /// Something may be due before whoever redeems looks again.
    due: Notify,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    /// The number up to which all entries are redeemed.
    redeemed: u64,
    /// Whether the last try to redeem a group failed.
    is_stuck: bool,
}

type Answer = Result<(), JournalError>;

/// The place of an entry among those that are to be written.
struct Place {
    answer: oneshot::Receiver<Answer>,
    /// Whether nobody writes yet, so that whoever has this place does.
    writes: bool,
}

impl Journal {
    /// Opens the journal below a folder, which the database knows by this id. Entries up to the number `redeemed` are
    /// done with; later ones are due at once. With `durable` off nothing is synced.
    ///
    /// # Errors
    /// The folder or a file cannot be made or read, or a file holds what this version does not know.
    pub(crate) fn open(folder: PathBuf, id: &str, durable: bool, redeemed: u64) -> io::Result<Self> {
        let (volumes, found) = Volumes::open(folder, durable, redeemed)?;
        let last = found.last().map_or(redeemed, |(number, ..)| redeemed.max(*number));
        let mut state = State::beginning_behind(last);
        let (entered_at, standing) = (Instant::now(), Standing::Waits);
        for (number, upload, bytes) in found.into_iter().filter(|(number, ..)| *number > redeemed) {
            state.push_left_over(Entry { number, upload, bytes, entered_at, standing });
        }
        let shared = Shared {
            unredeemed: state.len().into(),
            state: Mutex::new(state),
            volumes: Mutex::new(volumes),
            due: Notify::new(),
            progress: watch::Sender::new(Progress { redeemed, is_stuck: false }),
        };
        Ok(Self { id: id.into(), shared: Arc::new(shared) })
    }

    /// The id by which the database knows it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Enters an upload: one that is complete with all its `bytes`, or one that is open and has none. It is durable
    /// when this returns.
    ///
    /// *Cancellation*: it may be entered or not; if it is, it is redeemed.
    pub(crate) async fn enter(&self, upload: Upload, bytes: Bytes) -> Result<(), JournalError> {
        let place = {
            let mut state = self.shared.lock();
            self.queue(&mut state, upload, bytes, None).ok_or(JournalError::NotTaken)?
        };
        self.shared.written(place).await
    }

    /// Enters the complete `upload`, which replaces the entry of the same upload without bytes.
    ///
    /// # Errors
    /// As [`Self::enter`]; [`JournalError::NotTaken`] too if there is nothing to be replaced any more.
    pub(crate) async fn complete(
        &self,
        access: &Access,
        upload: Upload,
        bytes: Bytes,
    ) -> Result<(), JournalError> {
        let place = {
            let mut state = self.shared.lock();
            let replaced = state.replaceable(access, upload.id).ok_or(JournalError::NotTaken)?.number;
            let place = self.queue(&mut state, upload, bytes, Some(replaced));
            let place = place.ok_or(JournalError::NotTaken)?;
            state.settle(replaced, Standing::Held);
            place
        };
        self.shared.written(place).await
    }

    /// Gives an entry its number and its place in what is written next; `None` if nothing is taken.
    fn queue(&self, state: &mut State, upload: Upload, bytes: Bytes, replaces: Option<u64>) -> Option<Place> {
        if state.is_closed || state.is_full() || self.shared.progress.borrow().is_stuck {
            return None;
        }
        state.last += 1;
        let (number, entered_at, standing) = (state.last, Instant::now(), Standing::Waits);
        let (done, answer) = oneshot::channel();
        let entry = Entry { number, upload, bytes, entered_at, standing };
        state.queue.push(Queued { entry, replaces, done });
        let writes = !std::mem::replace(&mut state.is_writing, true);
        Some(Place { answer, writes })
    }

    /// An upload of this caller that is not redeemed yet, as it was acknowledged.
    pub(crate) fn find(&self, access: &Access, id: UploadId) -> Option<Upload> {
        if self.is_empty() {
            return None;
        }
        self.shared.lock().find(access, id).map(|entry| entry.upload.clone())
    }

    /// An upload of this caller that was entered without bytes and can still be replaced by one that has them.
    pub(crate) fn without_bytes(&self, access: &Access, id: UploadId) -> Option<Upload> {
        if self.is_empty() {
            return None;
        }
        self.shared.lock().replaceable(access, id).map(|entry| entry.upload.clone())
    }

    /// Waits until there is something to redeem. The same comes again until it is [`Self::redeemed`].
    pub(crate) async fn due(&self) -> Group {
        loop {
            let notified = self.shared.due.notified();
            let due = self.shared.lock().due(Instant::now());
            match due {
                Due::Now(group) => return group,
                Due::At(instant) => {
                    let _ = tokio::time::timeout_at(instant, notified).await;
                }
                Due::Never => notified.await,
            }
        }
    }

    /// A group is redeemed, and the database says so.
    pub(crate) fn redeemed(&self, group: &Group) {
        let mut state = self.shared.lock();
        state.redeemed(group.last);
        self.shared.unredeemed.store(state.len(), Ordering::Release);
        drop(state);
        self.shared.progress.send_replace(Progress { redeemed: group.last, is_stuck: false });
    }

    /// A group could not be redeemed. Until one is, nothing more is queued and nobody waits.
    pub(crate) fn stuck(&self) {
        self.shared.progress.send_modify(|progress| progress.is_stuck = true);
    }

    /// Overwrites volumes that are redeemed. What comes meanwhile waits for one of them at most.
    pub(crate) async fn wipe(&self) {
        let shared = self.shared.clone();
        let wiping = tokio::task::spawn_blocking(move || {
            loop {
                let mut volumes = match shared.volumes.try_lock() {
                    Ok(volumes) => volumes,
                    Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                    // Somebody waits for what is being written; there will be another time.
                    Err(TryLockError::WouldBlock) => return,
                };
                let redeemed = shared.progress.borrow().redeemed;
                match volumes.wipe(redeemed) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => return tracing::warn!(%error, "the journal of uploads cannot be wiped"),
                }
            }
        });
        // Cut off by a stop it goes on at the next start.
        let _ = wiping.await;
    }

    /// Takes nothing any more; what is there is redeemed all the same.
    pub(crate) fn close(&self) {
        self.shared.lock().is_closed = true;
    }

    /// Whether everything is redeemed that was entered.
    pub(crate) fn is_empty(&self) -> bool {
        self.unredeemed() == 0
    }

    /// Entries that are not redeemed.
    pub(crate) fn unredeemed(&self) -> usize {
        self.shared.unredeemed.load(Ordering::Acquire)
    }

    /// Whether nothing is there and nothing is on its way.
    pub(crate) fn is_drained(&self) -> bool {
        self.shared.lock().is_drained()
    }

    /// Returns when an upload of this caller is redeemed, or was never entered.
    pub(crate) async fn wait_for(&self, access: &Access, id: UploadId) -> Result<(), Unredeemed> {
        // What replaces an entry has another number.
        while !self.is_empty() {
            let Some(number) = self.shared.lock().find(access, id).map(|entry| entry.number) else { break };
            self.wait_until(number).await?;
        }
        Ok(())
    }

    /// Returns when everything of this caller is redeemed that was entered before.
    pub(crate) async fn wait_for_all(&self, access: &Access) -> Result<(), Unredeemed> {
        if self.is_empty() {
            return Ok(());
        }
        let number = self.shared.lock().last_of(access);
        match number {
            Some(number) => self.wait_until(number).await,
            None => Ok(()),
        }
    }

    /// Returns when everything is redeemed that was there at the start, however long that takes.
    pub(crate) async fn wait_for_left_over(&self) {
        let number = self.shared.lock().left_over;
        // The sender lives as long as this journal.
        let _ = self.shared.progress.subscribe().wait_for(|progress| progress.redeemed >= number).await;
    }

    async fn wait_until(&self, number: u64) -> Result<(), Unredeemed> {
        {
            let mut state = self.shared.lock();
            state.wanted = state.wanted.max(number);
        }
        self.shared.due.notify_one();
        let mut progress = self.shared.progress.subscribe();
        let redeemed = progress.wait_for(|progress| progress.redeemed >= number || progress.is_stuck);
        match tokio::time::timeout(PATIENCE, redeemed).await {
            Ok(Ok(progress)) if progress.redeemed >= number => Ok(()),
            _ => Err(Unredeemed),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when an entry is written, or is not.
    async fn written(self: &Arc<Self>, Place { answer, writes }: Place) -> Answer {
        if writes {
            let shared = self.clone();
            if Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
                // Waking another thread and being woken by it takes as long as the disk does.
                tokio::task::block_in_place(|| shared.write_first());
            } else {
                tokio::task::spawn_blocking(move || shared.write());
            }
        }
        answer.await.unwrap_or(Err(JournalError::Disk(io::ErrorKind::Interrupted.into())))
    }

    /// Writes what is queued; what has come meanwhile is another thread's.
    fn write_first(self: &Arc<Self>) {
        let _guard = Writing(self);
        self.write_batch();
        let mut state = self.lock();
        if state.queue.is_empty() {
            state.is_writing = false;
        } else {
            let shared = self.clone();
            tokio::task::spawn_blocking(move || shared.write());
        }
    }

    /// Writes until nothing is queued any more.
    fn write(&self) {
        let _guard = Writing(self);
        while self.write_batch() {}
    }

    /// Writes what is queued; `false` if that is nothing, and nobody writes any more. Only one thread at a time is
    /// here.
    fn write_batch(&self) -> bool {
        let queue = {
            let mut state = self.lock();
            if state.queue.is_empty() {
                state.is_writing = false;
                return false;
            }
            std::mem::take(&mut state.queue)
        };
        let outcome = {
            let entries = queue.iter().map(|one| (one.entry.number, &one.entry.upload, &*one.entry.bytes));
            // Not while it is written: whoever notes progress would wait for the disk.
            let redeemed = self.progress.borrow().redeemed;
            let mut volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
            volumes.write(entries, redeemed)
        };
        let answers = self.account_for(queue, &outcome);
        for (done, answer) in answers {
            // Whoever asked may be gone; what is entered is redeemed all the same.
            let _ = done.send(answer);
        }
        true
    }

    /// Notes what became of queued entries; returns what their callers are to be told.
    fn account_for(
        &self,
        queue: Vec<Queued>,
        outcome: &io::Result<usize>,
    ) -> Vec<(oneshot::Sender<Answer>, Answer)> {
        let mut state = self.lock();
        if let Err(error) = outcome {
            tracing::error!(%error, "the journal of uploads failed, and is not used until the next start");
            state.is_closed = true;
        }
        let mut answers = Vec::with_capacity(queue.len());
        for (index, Queued { mut entry, replaces, done }) in queue.into_iter().enumerate() {
            let answer = match outcome {
                Ok(written) if index < *written => Ok(()),
                Ok(_) => Err(JournalError::NotTaken),
                Err(error) => Err(JournalError::Disk(error.kind().into())),
            };
            if let Some(replaced) = replaces {
                state.settle(replaced, if answer.is_ok() { Standing::Void } else { Standing::Waits });
            }
            entry.entered_at = Instant::now();
            match answer {
                Ok(()) => state.push(entry),
                // There is room again once this is redeemed.
                Err(JournalError::NotTaken) => state.wanted = state.last,
                // It may lie on the disk, and must not come back when its sender has long repeated it.
                Err(JournalError::Disk(_)) => state.push(Entry { standing: Standing::Void, ..entry }),
            }
            answers.push((done, answer));
        }
        self.unredeemed.store(state.len(), Ordering::Release);
        let wakes = state.take_wake() || answers.iter().any(|(_, answer)| answer.is_err());
        drop(state);
        if wakes {
            self.due.notify_one();
        }
        answers
    }
}

/// Lets nobody wait for a thread that panicked.
struct Writing<'a>(&'a Shared);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut state = self.0.lock();
        (state.is_closed, state.is_writing) = (true, false);
        state.queue.clear();
        state.release();
        drop(state);
        self.0.due.notify_one();
    }
}

#[cfg(test)]
mod tests;
