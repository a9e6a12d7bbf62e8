//! Kill -9 at random moments while eight clients upload and submit; restart; look (`security` §3.6, R-1 to R-6).
//!
//! The clients keep a ledger of every acknowledgement. After each restart no offset may be behind it, and at the
//! end each accepted exchange lies at its target exactly once, byte for byte, and nothing else lies anywhere.
//! `CDEX_TEST_KILL_ROUNDS` sets the rounds, `CDEX_TEST_SEED` repeats a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::client::Client;
use crate::support::buckets::{borrowed, s3_store, s3_target};
use crate::support::content::sha256_hex;
use crate::support::environment::{note, number};
use crate::support::gateway::Gateway;
use crate::support::random::Random;
use crate::support::storage::S3Server;
use crate::support::{files, postgres, rows, wait};

mod client;

const CLIENTS: u64 = 8;
/// Between a start and its kill, in milliseconds.
const LIFE: std::ops::RangeInclusive<u64> = 5..=500;

#[test]
fn nothing_acknowledged_is_lost_by_kills_on_sqlite() {
    run(&[], number("CDEX_TEST_KILL_ROUNDS").unwrap_or(5), &Places::folders());
}

#[test]
fn nothing_acknowledged_is_lost_by_kills_on_postgresql() {
    let Some(url) = postgres::fresh_database() else { return };
    run(&[("CDEX_DATABASE__URL", &url)], number("CDEX_TEST_KILL_ROUNDS").unwrap_or(2), &Places::folders());
}

/// Uploads lie in a bucket and are delivered into it: the service copies what it can.
#[test]
fn nothing_acknowledged_is_lost_by_kills_on_a_bucket() {
    let server = S3Server::start();
    let target = s3_target("local", &server, "");
    let folder = server.folder();
    let (uploads, all) = (folder.join("uploads"), folder.clone());
    on_buckets(
        &server,
        &target,
        &Places {
            stored: Box::new(move |_| objects(&uploads)),
            delivered: Box::new(move |_| {
                objects(&all).into_iter().filter(|path| !path.starts_with(folder.join("uploads"))).collect()
            }),
        },
    );
}

/// Uploads lie in one bucket and are delivered into another.
#[test]
fn nothing_acknowledged_is_lost_by_kills_between_two_buckets() {
    let [server, other] = [S3Server::start(), S3Server::start()];
    let target = s3_target("local", &other, "");
    let (uploads, delivered) = (server.folder().join("uploads"), other.folder());
    on_buckets(
        &server,
        &target,
        &Places {
            stored: Box::new(move |_| objects(&uploads)),
            delivered: Box::new(move |_| objects(&delivered)),
        },
    );
}

fn on_buckets(store: &S3Server, target: &str, places: &Places) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("delivery.yml");
    std::fs::write(&file, format!("targets:\n{target}")).expect("a small file fits");
    let mut settings = s3_store(store);
    settings.push(("CDEX_DELIVERY__CONFIG_FILE", file.to_string_lossy().into_owned()));
    run(&borrowed(&settings), number("CDEX_TEST_KILL_ROUNDS").unwrap_or(2), places);
}

/// The objects below a folder of a bucket; the store's mark is none of the uploads'.
fn objects(folder: &Path) -> Vec<PathBuf> {
    files::below(folder).into_iter().filter(|path| !path.starts_with(folder.join(".store"))).collect()
}

/// The files at one place of a gateway.
type Found = Box<dyn Fn(&Gateway) -> Vec<PathBuf>>;

/// Where to look for what was stored and what was delivered.
struct Places {
    stored: Found,
    delivered: Found,
}

impl Places {
    fn folders() -> Self {
        Self { stored: Box::new(Gateway::stored), delivered: Box::new(Gateway::delivered) }
    }
}

fn run(settings: &[(&str, &str)], rounds: u64, places: &Places) {
    let seed = Random::seed();
    note(&format!("crash test: {rounds} rounds, CDEX_TEST_SEED={seed}"));
    let mut random = Random::new(seed);
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|number| Client::new(number, Random::new(random.next()))).collect();
    let mut gateway = Gateway::with(settings);
    for _ in 0..rounds {
        let life = LIFE.start() + random.below(LIFE.end() - LIFE.start() + 1);
        disturb(&mut gateway, &mut clients, Duration::from_millis(life));
        gateway.launch();
        for client in &mut clients {
            client.check_offsets(gateway.address());
        }
    }
    for client in &mut clients {
        client.finish(gateway.address());
    }
    check(&gateway, &clients, places);
}

/// Lets the clients work until the gateway is killed under them.
fn disturb(gateway: &mut Gateway, clients: &mut [Client], life: Duration) {
    let address = gateway.address();
    let killed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in clients {
            let killed = &killed;
            scope.spawn(move || {
                while !killed.load(Ordering::Acquire) {
                    if client.step(address).is_err() {
                        // A connection of a killed gateway; the flag follows at once.
                        wait::pause(Duration::from_millis(1));
                    }
                }
            });
        }
        wait::pause(life);
        gateway.kill();
        killed.store(true, Ordering::Release);
    });
}

/// Compares what lies there with what was acknowledged.
fn check(gateway: &Gateway, clients: &[Client], places: &Places) {
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    for client in clients {
        expected.extend(client.acknowledged());
    }
    assert!(!expected.is_empty(), "the clients did something");
    for id in expected.keys() {
        let info = gateway.wait_delivered(id, 1);
        assert_eq!(info["upload_status"]["status"], "Complete");
        let deliveries = info["deliveries"].as_array().map_or(0, Vec::len);
        assert_eq!(deliveries, 1, "one delivery, one success: {info}");
    }
    wait::until("every delivery to settle", || {
        (rows::count(gateway, "delivery WHERE status <> 'delivered'") == 0).then_some(())
    });
    let delivered = wait::until("parts of broken attempts to be removed", || {
        let delivered = (places.delivered)(gateway);
        (!delivered.iter().any(|path| files::is_part(path))).then_some(delivered)
    });
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for path in &delivered {
        let id = files::uuid_in(path).expect("a delivered file carries its upload id");
        let bytes = std::fs::read(path).expect("a delivered file is readable");
        let twice = seen.insert(id.clone(), sha256_hex(&bytes));
        assert!(twice.is_none(), "{id} was delivered twice");
    }
    for (id, sha256) in &expected {
        assert_eq!(seen.get(id), Some(sha256), "{id} did not arrive as it was sent");
    }
    // What is there beyond the ledger was finished, and its answer lost to a kill: it is known all the same.
    for id in seen.keys().filter(|id| !expected.contains_key(*id)) {
        assert_eq!(gateway.info(id)["upload_status"]["status"], "Complete");
    }
    check_store(gateway, places);
    let submissions: usize = clients.iter().map(Client::submissions).sum();
    assert_eq!(rows::count(gateway, "submission"), i64::try_from(submissions).expect("a small number"));
    note(&format!("crash test: {} uploads and {submissions} submissions arrived", expected.len()));
}

/// Fails on a file in the upload store that no upload knows, and on an upload that lost its file.
fn check_store(gateway: &Gateway, places: &Places) {
    wait::until("unknown files to leave the upload store", || {
        let strangers = (places.stored)(gateway).into_iter().filter(|path| {
            let id = files::uuid_in(path).expect("a stored file carries its upload id");
            gateway.get(&format!("/upload/info/{id}")).status != 200
        });
        (strangers.count() == 0).then_some(())
    });
    let stored: std::collections::BTreeSet<_> =
        (places.stored)(gateway).iter().filter_map(|path| files::uuid_in(path)).collect();
    let known = rows::count(gateway, "upload WHERE upload_offset > 0");
    assert!(
        i64::try_from(stored.len()).is_ok_and(|stored| stored >= known),
        "{known} uploads, {} files",
        stored.len()
    );
}
