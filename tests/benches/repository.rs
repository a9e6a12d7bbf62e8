//! How fast resources are created and found: creates by one and by many writers, held against the bare statements one
//! commit at a time; and `DocumentReference?patient=…&type=…&_sort=-date&_count=10` among few and among many documents,
//! held against the best single statement for it.
//!
//! `cargo bench --bench repository`, with another number than a million documents as its argument. SQLite only; the
//! disk is that of the temporary folder (`TMPDIR`), and a million documents take about 4 GB of it.

mod table;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cdex_gateway::internals::{Database, Document, Failure};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};
use tokio_util::task::TaskTracker;

use self::table::speed;

/// Documents of the small database.
const FEW: usize = 10_000;
/// Documents of the large one.
const MANY: usize = 1_000_000;
/// Documents of each patient.
const EACH: usize = 50;
/// Entries of each document, and of those that are created to see how fast that is.
const ENTRIES: usize = 12;
const ENTRIES_OF_NEW: usize = 15;
const SEARCHES: usize = 2_000;
const SEARCHERS: usize = 8;
/// Creates one after the other, and by [`WRITERS`] together.
const ALONE: usize = 1_000;
const TOGETHER: usize = 32_000;
const WRITERS: usize = 64;

const INSERT_RESOURCE: &str = "INSERT INTO resource (kind, tenant, owner, type, id, version, last_updated, change, \
    content) VALUES (1, 'default', 'anonymous', 'DocumentReference', $1, 1, 0, 'create', $2) RETURNING key";
/// One patient's documents of a type, the latest first, by the order of look-ups that is best for it.
const SEARCH: &str = "SELECT r.id, r.content FROM search_entry p CROSS JOIN search_entry t CROSS JOIN search_entry d \
    CROSS JOIN resource r WHERE p.space = $1 AND p.value = $2 AND t.space = $3 AND t.value = $4 \
    AND t.resource = p.resource AND d.resource = p.resource AND d.space = $5 AND r.key = p.resource \
    ORDER BY d.value DESC LIMIT 10";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let many = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(MANY);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gateway.db");
    let database = Arc::new(Database::open(&format!("sqlite:{}", path.display())).await?);

    table::heading(&format!("SQLite, synchronous=FULL, in {}", folder.path().display()), "create");
    create(&database, &folder.path().join("bare.db"), "no documents before").await?;
    let mut filled = fill(&database, 0, FEW).await?;
    let few = find(&database, &path, FEW).await?;
    filled = fill(&database, filled, many).await?;
    let median = find(&database, &path, filled).await?;
    table::note("median of many / of few", &format!("{:.2}", median.as_secs_f64() / few.as_secs_f64()));

    table::heading(&format!("SQLite, {filled} documents before"), "create");
    create(&database, &folder.path().join("bare-again.db"), "the bare one has none before").await?;
    let size = std::fs::metadata(&path)?.len();
    table::note("bytes a document", &(size / filled as u64).to_string());
    database.close().await;
    Ok(())
}

/// Adds documents, many in a unit.
async fn fill(database: &Database, from: usize, to: usize) -> Result<usize, Failure> {
    let begin = Instant::now();
    for first in (from..to).step_by(500) {
        let numbers = first..to.min(first + 500);
        let documents: Vec<_> = numbers.map(|number| Document { number, patients: to / EACH }).collect();
        database.create_documents(&documents, ENTRIES).await?;
    }
    table::note(&format!("filled up to {to} documents"), &format!("{:.1} s", begin.elapsed().as_secs_f64()));
    Ok(to)
}

/// Creates documents one at a time and many at once.
async fn create(database: &Arc<Database>, bare: &Path, note: &str) -> Result<(), Failure> {
    let document = |number| Document { number: number + (1 << 40), patients: 1 << 20 };
    let mut connection = bare_database(bare, true).await?;
    let begin = Instant::now();
    for number in 0..ALONE {
        create_bare(&mut connection, document(number)).await?;
    }
    let limit = table::limit(&format!("bare sqlx, a commit each ({note})"), speed(ALONE, begin.elapsed()));

    let begin = Instant::now();
    for number in 0..ALONE {
        database.create_documents(&[document(number)], ENTRIES_OF_NEW).await?;
    }
    table::row("create: one writer", speed(ALONE, begin.elapsed()), limit);

    let begin = Instant::now();
    let writers = TaskTracker::new();
    let written: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let database = Arc::clone(database);
            writers.spawn(async move {
                for number in 0..TOGETHER / WRITERS {
                    let document = document(ALONE + writer * (TOGETHER / WRITERS) + number);
                    database.create_documents(&[document], ENTRIES_OF_NEW).await?;
                }
                Ok::<(), Failure>(())
            })
        })
        .collect();
    for writer in written {
        writer.await??;
    }
    table::row(&format!("create: {WRITERS} writers"), speed(TOGETHER, begin.elapsed()), limit);
    Ok(())
}

/// Searches for one random patient after the other; the median time.
async fn find(database: &Arc<Database>, path: &Path, filled: usize) -> Result<Duration, Failure> {
    table::heading(&format!("patient, type, latest first: {filled} documents"), "search");
    let patients = filled / EACH;
    let mut random = Random(7);
    let mut next = move || {
        let patient = random.below(patients);
        (patient, Document::TYPES[random.below(Document::TYPES.len())])
    };
    let mut connection = bare_database(path, false).await?;
    let mut bare = Vec::with_capacity(SEARCHES);
    for _ in 0..SEARCHES {
        let (patient, code) = next();
        let begin = Instant::now();
        let found = search_bare(&mut connection, patient, code).await?;
        bare.push(begin.elapsed());
        assert_ne!(found, 0, "each patient has documents of each type");
    }
    let mut times = Vec::with_capacity(SEARCHES);
    for _ in 0..SEARCHES {
        let (patient, code) = next();
        let begin = Instant::now();
        assert_ne!(database.search_documents(patient, code).await?, 0);
        times.push(begin.elapsed());
    }
    let (bare, median) = (median(bare), median(times));
    let limit = table::limit("bare sqlx, one statement, by the median", 1.0 / bare.as_secs_f64());
    table::row("search, by the median", 1.0 / median.as_secs_f64(), limit);

    let begin = Instant::now();
    let searchers = TaskTracker::new();
    let searching: Vec<_> = (0..SEARCHERS)
        .map(|searcher| {
            let database = Arc::clone(database);
            let mut random = Random(searcher as u64);
            searchers.spawn(async move {
                for _ in 0..SEARCHES {
                    let patient = random.below(patients);
                    let code = Document::TYPES[random.below(Document::TYPES.len())];
                    database.search_documents(patient, code).await?;
                }
                Ok::<(), Failure>(())
            })
        })
        .collect();
    for searcher in searching {
        searcher.await??;
    }
    table::row(&format!("search: {SEARCHERS} at once"), speed(SEARCHES * SEARCHERS, begin.elapsed()), limit);
    Ok(median)
}

/// Repeatable randomness.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // Knuth's constants; the low bits of such a sequence are poor.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % end
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A connection as the gateway's, with nothing in between.
async fn bare_database(path: &Path, is_new: bool) -> sqlx::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(is_new)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    if is_new {
        sqlx::raw_sql(include_str!("../../migrations/sqlite/0002_repository.sql"))
            .execute(&mut connection)
            .await?;
    }
    Ok(connection)
}

/// The least that a create is: the row, and its entries in one statement.
async fn create_bare(connection: &mut SqliteConnection, document: Document) -> sqlx::Result<()> {
    let mut transaction = sqlx::Connection::begin(connection).await?;
    let key: i64 = sqlx::query_scalar(INSERT_RESOURCE)
        .bind(uuid::Uuid::now_v7().to_string())
        .bind(document.text().into_bytes())
        .fetch_one(&mut *transaction)
        .await?;
    let rows = document.rows(ENTRIES_OF_NEW);
    let places =
        (0..rows.len()).map(|n| format!("(${}, ${}, ${}, ${})", n * 4 + 1, n * 4 + 2, n * 4 + 3, n * 4 + 4));
    let places = places.collect::<Vec<_>>().join(", ");
    let sql = format!("INSERT INTO search_entry (space, value, resource, extra) VALUES {places}");
    let mut insert = sqlx::query(AssertSqlSafe(sql));
    for (space, value, extra) in rows {
        insert = insert.bind(space).bind(value).bind(key).bind(extra);
    }
    insert.execute(&mut *transaction).await?;
    transaction.commit().await
}

async fn search_bare(connection: &mut SqliteConnection, patient: usize, code: &str) -> sqlx::Result<usize> {
    let found: Vec<(String, Vec<u8>)> = sqlx::query_as(SEARCH)
        .bind(Document::space("patient"))
        .bind(format!("Patient/patient-{patient}").into_bytes())
        .bind(Document::space("type"))
        .bind(format!("{code}\0http://loinc.org").into_bytes())
        .bind(Document::space("date"))
        .fetch_all(connection)
        .await?;
    Ok(found.len())
}
