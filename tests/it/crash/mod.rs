//! Kill -9 at random moments while eight clients upload and submit; restart; look (`security` §3.6, R-1 to R-6).
//!
//! The clients keep a ledger of every acknowledgement. After each restart no offset may be behind it, and at the
//! end each accepted exchange lies at each target exactly once, byte for byte, and nothing else lies anywhere.
//! `CDEX_TEST_KILL_ROUNDS` sets the rounds, `CDEX_TEST_SEED` repeats a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use self::client::Client;
use self::places::{Store, Target};
use crate::support::buckets::{Settings, azure_store, borrowed, s3_store};
use crate::support::environment::{note, number};
use crate::support::gateway::{Gateway, PATIENT, furnish};
use crate::support::random::Random;
use crate::support::storage::{Azurite, S3Server};
use crate::support::tus_server::TusServer;
use crate::support::{files, postgres, rows, wait};

mod client;
mod places;

const CLIENTS: u64 = 8;
/// Between a start and its kill, in milliseconds.
const LIFE: std::ops::RangeInclusive<u64> = 5..=500;

#[test]
fn nothing_acknowledged_is_lost_by_kills_on_sqlite() {
    run(&[], rounds(5), &places::stored_in_folder(), &[places::folder()]);
}

#[test]
fn nothing_acknowledged_is_lost_by_kills_on_postgresql() {
    let Some(url) = postgres::fresh_database() else { return };
    let settings = [("CDEX_DATABASE__URL", &*url)];
    run(&settings, rounds(2), &places::stored_in_folder(), &[places::folder()]);
}

/// Uploads lie in a bucket and are delivered into it: the service copies what it can.
#[test]
fn nothing_acknowledged_is_lost_by_kills_on_a_bucket() {
    let server = S3Server::start();
    let settings = s3_store(&server);
    let targets = [places::bucket("same", &server)];
    run(&borrowed(&settings), rounds(2), &places::stored_in_bucket(&server), &targets);
}

/// One route leads to every kind of target.
#[test]
fn d_01_d_02_nothing_is_lost_or_doubled_at_any_target_by_kills_on_a_folder() {
    at_every_target(&Settings::new(), rounds(3), &places::stored_in_folder());
}

#[test]
fn d_01_d_02_nothing_is_lost_or_doubled_at_any_target_by_kills_on_s3() {
    let server = S3Server::start();
    at_every_target(&s3_store(&server), rounds(3), &places::stored_in_bucket(&server));
}

#[test]
fn d_01_d_02_nothing_is_lost_or_doubled_at_any_target_by_kills_on_azure() {
    let Some(azurite) = Azurite::get() else { return };
    let container = azurite.container();
    at_every_target(&azure_store(&container), rounds(3), &places::stored_in_container(&container));
}

fn rounds(unless_set: u64) -> u64 {
    number("CDEX_TEST_KILL_ROUNDS").unwrap_or(unless_set)
}

/// A folder, S3, Azure, another gateway, and a tus server that is not ours, as far as this machine has them.
fn at_every_target(settings: &Settings, rounds: u64, stored: &Store<'_>) {
    let server = S3Server::start();
    let receiver = Gateway::start();
    let container = Azurite::get().map(Azurite::container);
    let foreign = TusServer::start();
    let mut targets =
        vec![places::folder(), places::bucket("lake", &server), places::gateway("cdc", &receiver)];
    targets.extend(container.as_ref().map(|container| places::container("blob", container)));
    targets.extend(foreign.as_ref().map(|server| places::tus_server("foreign", server)));
    run(&borrowed(settings), rounds, stored, &targets);
}

fn run(settings: &[(&str, &str)], rounds: u64, stored: &Store<'_>, targets: &[Target<'_>]) {
    let seed = Random::seed();
    note(&format!("crash test: {rounds} rounds, CDEX_TEST_SEED={seed}"));
    let mut random = Random::new(seed);
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|number| Client::new(number, Random::new(random.next()))).collect();
    let mut gateway = prepare(settings, targets);
    gateway.launch();
    let mut life = || Duration::from_millis(LIFE.start() + random.below(LIFE.end() - LIFE.start() + 1));
    for _ in 0..rounds {
        disturb(&mut gateway, &mut clients, life());
        gateway.launch();
        for client in &mut clients {
            client.check_offsets(gateway.address());
        }
    }
    for client in &mut clients {
        client.finish(gateway.address());
    }
    // Now deliveries alone are under way.
    for _ in 0..rounds {
        wait::pause(life());
        gateway.kill();
        gateway.launch();
    }
    check(&gateway, &clients, targets);
    check_store(&gateway, stored);
}

/// A gateway that takes everything to these targets.
fn prepare(settings: &[(&str, &str)], targets: &[Target<'_>]) -> Gateway {
    let further = [
        ("CDEX_DELIVERY__CONFIG_FILE", "{data}/../delivery.yml"),
        // A target that a kill disturbed need not be waited for as long as in life.
        PATIENT,
    ];
    let gateway = Gateway::prepare(&[settings, &further].concat());
    let entries: String = targets.iter().map(|target| target.entry.as_str()).collect();
    let route: Vec<String> = targets
        .iter()
        .map(|target| format!("      - {{ name: {}, path_template: '{{{{.UploadId}}}}' }}\n", target.name))
        .collect();
    let routing = format!(
        "targets:\n{entries}routing_groups:\n  - data_stream_id: cdex\n    data_stream_route: attachment\n    \
         delivery_targets:\n{}",
        route.concat()
    );
    furnish(&gateway, "delivery.yml", &routing);
    gateway
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
fn check(gateway: &Gateway, clients: &[Client], targets: &[Target<'_>]) {
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    for client in clients {
        expected.extend(client.acknowledged());
    }
    assert!(!expected.is_empty(), "the clients did something");
    for id in expected.keys() {
        let info = gateway.wait_delivered(id, targets.len());
        assert_eq!(info["upload_status"]["status"], "Complete");
        for target in targets {
            let is_success = |one: &&Value| one["name"] == target.name && one["status"] == "SUCCESS";
            let successes = info["deliveries"].as_array().into_iter().flatten().filter(is_success).count();
            assert_eq!(successes, 1, "one delivery, one success: {info}");
        }
    }
    wait::until("every delivery to settle", || {
        (rows::count(gateway, "delivery WHERE status <> 'delivered'") == 0).then_some(())
    });
    for target in targets {
        let name = target.name;
        let arrived = wait::until("what broken attempts left to be removed", || (target.look)(gateway));
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for (id, sha256) in &arrived {
            assert!(seen.insert(id, sha256).is_none(), "{id} was delivered twice to {name}");
        }
        for (id, sha256) in &expected {
            let is_there = seen.get(id.as_str()) == Some(&sha256.as_str());
            assert!(is_there, "{id} did not arrive at {name} as it was sent");
        }
        // What is there beyond the ledger was finished, and its answer lost to a kill: it is known all the same.
        for id in seen.keys().filter(|id| !expected.contains_key(**id)) {
            assert_eq!(gateway.info(id)["upload_status"]["status"], "Complete");
        }
    }
    let submissions: usize = clients.iter().map(Client::submissions).sum();
    assert_eq!(rows::count(gateway, "submission"), i64::try_from(submissions).expect("a small number"));
    let (uploads, targets) = (expected.len(), targets.len());
    note(&format!(
        "crash test: {uploads} uploads, {submissions} of them submitted, arrived at {targets} targets"
    ));
}

/// Fails on a file in the upload store that no upload knows, and on an upload that lost its file.
fn check_store(gateway: &Gateway, stored: &Store<'_>) {
    let ids = || -> BTreeSet<String> {
        let id =
            |path: &std::path::PathBuf| files::uuid_in(path).expect("what is stored carries its upload id");
        stored(gateway).iter().map(id).collect()
    };
    wait::until("unknown files to leave the upload store", || {
        let is_known = |id: &String| gateway.get(&format!("/upload/info/{id}")).status == 200;
        ids().iter().all(is_known).then_some(())
    });
    let known = rows::count(gateway, "upload WHERE upload_offset > 0");
    let stored = ids().len();
    assert!(i64::try_from(stored).is_ok_and(|stored| stored >= known), "{known} uploads, {stored} files");
}
