//! SQLite's one writer: it takes all units that are waiting, runs them in one transaction, commits once,
//! and then answers all of them, so that many acknowledgements share one fsync.
//!
//! A unit that fails must not harm its neighbours: the group is rolled back and its units are run again,
//! each in a transaction of its own. That costs nothing while all goes well. The same happens when the
//! commit itself fails (disk full), so that one large unit cannot take small ones with it.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::together::{Later, SqliteTx};
use super::{DbError, Tx, pool};

/// How many units may wait; beyond it callers wait to enqueue.
const QUEUE: usize = 1024;
/// How many units share a commit at most: bounds the time a reader of the answer waits for its neighbours.
const GROUP: usize = 256;

pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Unit>>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// A unit with its types erased: runs, keeps its outcome, and answers its caller once told of the commit.
trait Unit: Send {
    /// Runs the unit; `false` if it failed and the transaction must be rolled back.
    fn run<'t>(&'t mut self, tx: &'t mut Tx<'_>) -> BoxFuture<'t, bool>;
    /// Tells the caller: its own outcome if the transaction stood or the unit itself failed, else `refused`.
    fn answer(self: Box<Self>, refused: Option<DbError>);
}

struct TypedUnit<S, T, E, F> {
    state: S,
    unit: F,
    outcome: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
}

impl<S, T, E, F> Unit for TypedUnit<S, T, E, F>
where
    S: Send + Sync,
    T: Send,
    E: From<DbError> + Send,
    F: for<'t> Fn(&'t S, &'t mut Tx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + Sync,
{
    fn run<'t>(&'t mut self, tx: &'t mut Tx<'_>) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            let ran = AssertUnwindSafe(async { (self.unit)(&self.state, tx).await }).catch_unwind().await;
            let outcome = ran.unwrap_or_else(|_| Err(DbError::UnitPanicked.into()));
            let succeeded = outcome.is_ok();
            self.outcome = Some(outcome);
            succeeded
        })
    }

    fn answer(self: Box<Self>, refused: Option<DbError>) {
        let outcome = match (refused, self.outcome) {
            (_, Some(Err(own))) => Err(own),
            (Some(error), _) => Err(error.into()),
            (None, Some(Ok(out))) => Ok(out),
            (None, None) => Err(DbError::Closed.into()),
        };
        // A caller that is gone does not need its answer.
        let _ = self.caller.send(outcome);
    }
}

impl Writer {
    /// `observe_group` is told how many units shared each commit.
    pub(super) fn start(
        conn: SqliteConnection,
        reopen: SqliteConnectOptions,
        observe_group: fn(usize),
    ) -> Self {
        let (queue, units) = mpsc::channel(QUEUE);
        #[expect(
            clippy::disallowed_methods,
            reason = "the writer ends when its queue closes; close() awaits it"
        )]
        let worker =
            tokio::spawn(serve(units, Connection { open: conn, reopen, in_doubt: false }, observe_group));
        Self { queue: Mutex::new(Some(queue)), worker: Mutex::new(Some(worker)) }
    }

    pub(super) async fn write<S, T, E, F>(&self, state: S, unit: F) -> Result<T, E>
    where
        S: Send + Sync + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: for<'t> Fn(&'t S, &'t mut Tx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
    {
        let queue = self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let queue = queue.ok_or(DbError::Closed)?;
        let (caller, answer) = oneshot::channel();
        let unit = Box::new(TypedUnit { state, unit, outcome: None, caller });
        queue.send(unit).await.map_err(|_| DbError::Closed)?;
        answer.await.unwrap_or_else(|_| Err(DbError::Closed.into()))
    }

    /// Takes no more units, runs those that wait, and closes the connection.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
        let worker = self.worker.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(worker) = worker {
            let _ = worker.await;
        }
    }
}

/// The connection that writes. After a failure that leaves its state in doubt it is replaced: SQLite ends a
/// transaction by itself when the disk is full, and whoever goes on counting transactions counts wrong.
struct Connection {
    open: SqliteConnection,
    reopen: SqliteConnectOptions,
    in_doubt: bool,
}

/// Why a group left no trace.
enum Undone {
    /// One of its units failed of itself.
    Unit,
    /// The database failed.
    Database(DbError),
}

async fn serve(mut units: mpsc::Receiver<Box<dyn Unit>>, mut conn: Connection, observe_group: fn(usize)) {
    let mut group = Vec::with_capacity(GROUP);
    while units.recv_many(&mut group, GROUP).await > 0 {
        observe_group(group.len());
        match conn.commit(&mut group).await {
            Ok(()) => group.drain(..).for_each(|unit| unit.answer(None)),
            Err(_) => {
                for unit in group.drain(..) {
                    conn.commit_alone(unit).await;
                }
            }
        }
    }
    // Nobody is left to be told of a failure to close.
    let _ = conn.open.close().await;
}

impl Connection {
    /// Runs one unit in a transaction of its own and answers it.
    async fn commit_alone(&mut self, unit: Box<dyn Unit>) {
        let mut unit = [unit];
        let done = self.commit(&mut unit).await;
        let [unit] = unit;
        unit.answer(match done {
            Ok(()) => None,
            // Its own error goes before this one.
            Err(Undone::Unit) => Some(DbError::Closed),
            Err(Undone::Database(error)) => Some(error),
        });
    }

    /// Runs the units in one transaction; after an error nothing is left of any of them.
    async fn commit(&mut self, group: &mut [Box<dyn Unit>]) -> Result<(), Undone> {
        if self.in_doubt {
            self.open = pool::reopen(&self.reopen).await.map_err(Undone::Database)?;
            self.in_doubt = false;
        }
        let done = run_in_transaction(&mut self.open, group).await;
        if let Err((undone, in_doubt)) = done {
            self.in_doubt = in_doubt;
            return Err(undone);
        }
        Ok(())
    }
}

/// The error says too whether the connection is in doubt.
async fn run_in_transaction(
    conn: &mut SqliteConnection,
    group: &mut [Box<dyn Unit>],
) -> Result<(), (Undone, bool)> {
    let is_alone = group.len() == 1;
    let mut later = Later::begin();
    for unit in group {
        let tx = SqliteTx { conn, later: Some(&mut later) };
        if !unit.run(&mut Tx::Sqlite(tx)).await {
            // If rolling back fails too, SQLite has ended the transaction itself.
            let rolled_back = later.rollback(conn).await;
            return Err((Undone::Unit, rolled_back.is_err()));
        }
        // The text of a unit comes again, and the connection remembers it; that of a group does not.
        if !is_alone && let Err(error) = later.run(conn).await {
            return Err(undo(later, conn, error).await);
        }
    }
    match later.commit(conn).await {
        Ok(()) => Ok(()),
        Err(error) => Err(undo(later, conn, error).await),
    }
}

/// Takes back a group after a statement that was put off, or the commit, has failed.
async fn undo(later: Later, conn: &mut SqliteConnection, error: sqlx::Error) -> (Undone, bool) {
    let error = DbError::from(error);
    // Whatever it was, the lock must not be held on to until the connection is replaced.
    let is_rolled_back = later.rollback(conn).await.is_ok();
    // A constraint leaves the transaction as it was; of the rest nobody knows.
    let is_sound = is_rolled_back && matches!(error, DbError::Constraint(_));
    (Undone::Database(error), !is_sound)
}
