//! Faults of the world around the gateway: a full disk, a target in the way, a database that drops its
//! connections, a rotten file, a rival, a kill. Nothing acknowledged is lost, nothing false is told.
//! Files that are faulty on purpose are made so by the tests themselves.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::environment::skipped;
use crate::support::gateway::{Gateway, PATIENT, for_each_database, furnish};
use crate::support::http::Request;
use crate::support::random::Random;
use crate::support::submission::{SUBMIT, accepted, linked, note, refused, request, submit};
use crate::support::{postgres, rows, tus, wait};

const MIB: usize = 1024 * 1024;
/// One stream with two targets.
const ROUTING: &str = "\
version: 1.0
targets:
  edav:
    name: edav
    type: file
    path: ./delivered/edav
  archive:
    name: archive
    type: file
    path: ./delivered/archive
routing_groups:
  - data_stream_id: dextesting
    data_stream_route: testevent1
    delivery_targets:
      - name: edav
        path_template: '{{.UploadId}}'
      - name: archive
        path_template: '{{.UploadId}}'
";
const STREAM: &str = r#"{"metadata_config":{"fields":[{"field_name":"sender_id","required":true}]}}"#;
const ROUTED: &[(&str, &str)] = &[
    ("data_stream_id", "dextesting"),
    ("data_stream_route", "testevent1"),
    ("sender_id", "x"),
    ("received_filename", "note.txt"),
];

/// W-38
#[test]
fn a_full_disk_is_507_and_everything_goes_on_when_there_is_space_again() {
    let mut gateway = Gateway::prepare(&[PATIENT]);
    let Some(_disk) = Disk::mount(&gateway.data_dir(), 40) else { return };
    gateway.launch();
    let ballast = gateway.data_dir().join("ballast");
    std::fs::write(&ballast, vec![0; 28 * MIB]).expect("the ballast fits");
    let content = Random::new(31).bytes(14 * MIB);
    let upload = tus::create(&gateway, content.len() as u64);

    let answer = gateway.ask(&tus::patch(&upload.path, 0).body(content.as_slice()));
    assert_eq!(answer.status, 507, "a PATCH that does not fit: {}", answer.text());
    refused(&submit(&gateway, note("full", &content)), 507);
    let offset = tus::head(&gateway, &upload.path);
    assert!(offset < content.len() as u64, "{offset} bytes were kept where 14 MiB do not fit");
    gateway.get("/health/live").expect(200);
    gateway.get("/fhir/metadata").expect(200);
    assert_eq!(gateway.info(&upload.id)["upload_status"]["status"], "In Progress");

    std::fs::remove_file(&ballast).expect("the ballast is there");
    wait::until("readiness after the disk has space", || {
        (gateway.get("/health/ready").status == 200).then_some(())
    });
    let from = usize::try_from(offset).expect("small");
    tus::append(&gateway, &upload.path, offset, &content[from..]);
    let ids = accepted(&submit(&gateway, note("not full", b"a note")));
    gateway.wait_delivered(&upload.id, 1);
    assert!(gateway.delivered_bytes(&upload.id) == content, "other bytes arrived");
    gateway.wait_delivered(&ids[0], 1);
    assert_eq!(gateway.delivered_bytes(&ids[0]), b"a note");
    assert_eq!(rows::count(&gateway, "upload"), 2, "the refused submission left nothing");
}

/// W-38, D-01: small uploads are acknowledged before they have a file of their own.
#[test]
fn small_uploads_that_a_full_disk_took_are_delivered_when_there_is_space_again() {
    let mut gateway = Gateway::prepare(&[PATIENT]);
    let Some(_disk) = Disk::mount(&gateway.data_dir(), 40) else { return };
    gateway.launch();
    let content = Random::new(32).bytes(20_000);
    let create = || {
        let creation = tus::request("POST", "/upload/files")
            .header("Upload-Length", &content.len().to_string())
            .header("Upload-Metadata", &tus::metadata(tus::MANIFEST))
            .header("Content-Type", "application/offset+octet-stream");
        gateway.ask(&creation.body(content.as_slice()))
    };
    gateway.wait_delivered(&tus::created(&create()).id, 1);
    let ballast = gateway.data_dir().join("ballast");
    let full = std::fs::write(&ballast, vec![0; 40 * MIB]);
    assert!(full.is_err(), "nothing is left of the disk");
    let mut acknowledged = Vec::new();
    let refused = loop {
        let answer = create();
        // Who is told that there is an upload is told how much of it.
        if answer.status != 201 || tus::offset_of(&answer) < content.len() as u64 {
            break answer;
        }
        acknowledged.push(tus::created(&answer));
        assert!(acknowledged.len() < 2_000, "a full disk takes for ever");
    };
    assert!([201, 503, 507].contains(&refused.status), "{}", refused.text());

    std::fs::remove_file(&ballast).expect("the ballast is there");
    for upload in &acknowledged {
        // Until its row can be written, nobody says that there is none.
        wait::until("an upload to have its row", || {
            let status = gateway.get(&format!("/upload/info/{}", upload.id)).status;
            assert!([200, 503].contains(&status), "{status}");
            (status == 200).then_some(())
        });
        gateway.wait_delivered(&upload.id, 1);
        assert!(gateway.delivered_bytes(&upload.id) == content, "other bytes arrived");
    }
}

/// D-05
#[test]
fn a_target_in_the_way_waits_and_the_other_one_does_not() {
    let gateway = routed();
    let edav = gateway.data_dir().join("delivered/edav");
    obstruct(&edav);
    let upload = tus::upload(&gateway, ROUTED, b"abc");
    let info = wait::until("the obstructed target to fail twice", || {
        let info = gateway.info(&upload.id);
        (outcomes(&info, "edav").len() >= 2).then_some(info)
    });
    assert!(outcomes(&info, "edav").iter().all(|status| status == "FAILURE"), "{info}");
    let info = gateway.wait_delivered(&upload.id, 1);
    assert_eq!(outcomes(&info, "archive"), ["SUCCESS"]);
    let archived = gateway.data_dir().join("delivered/archive").join(format!("{}.txt", upload.id));
    assert_eq!(std::fs::read(archived).expect("the other target has it"), b"abc");

    clear(&edav);
    let info = gateway.wait_delivered(&upload.id, 2);
    let told = outcomes(&info, "edav");
    let (last, before) = told.split_last().expect("there were attempts");
    assert_eq!(last, "SUCCESS");
    assert!(before.len() >= 2 && before.iter().all(|status| status == "FAILURE"), "{told:?}");
    assert_eq!(std::fs::read(edav.join(format!("{}.txt", upload.id))).expect("it arrived"), b"abc");
}

/// W-37
#[test]
fn a_stop_in_the_middle_of_a_patch_keeps_all_that_arrived() {
    const SENT: usize = 300_000;
    let content = Random::new(33).bytes(MIB);
    for_each_database(&[], |mut gateway| {
        let upload = tus::create(&gateway, content.len() as u64);
        let mut connection = gateway.connect().expect("it listens");
        let length = content.len().to_string();
        connection
            .begin(&tus::patch(&upload.path, 0).header("Content-Length", &length))
            .expect("a head goes out");
        connection.send(&content[..SENT]).expect("a part goes out");
        wait::until("the part to reach the store", || {
            let stored =
                gateway.stored().into_iter().filter_map(|file| file.metadata().ok()).map(|file| file.len());
            (stored.sum::<u64>() >= SENT as u64).then_some(())
        });
        assert!(gateway.stop().success(), "a stop that was asked for is a success");
        drop(connection);
        gateway.launch();
        assert_eq!(tus::head(&gateway, &upload.path), SENT as u64, "the part that arrived is kept");
        tus::append(&gateway, &upload.path, SENT as u64, &content[SENT..]);
        gateway.wait_delivered(&upload.id, 1);
        assert!(gateway.delivered_bytes(&upload.id) == content, "other bytes arrived");
    });
}

#[test]
fn a_second_gateway_on_the_same_folder_is_refused_and_told_why() {
    let gateway = Gateway::start();
    let mut rival = gateway
        .command()
        .env("CDEX_SERVER__LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary under test runs");
    wait::until("the rival to end", || rival.try_wait().expect("our child can be waited for"));
    let output = rival.wait_with_output().expect("it has ended");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{told}");
    assert!(told.contains("is in use by another gateway"), "{told}");
    let ids = accepted(&submit(&gateway, note("undisturbed", b"x")));
    gateway.wait_delivered(&ids[0], 1);
}

/// W-14
#[test]
fn a_database_that_drops_its_connections_loses_nothing_that_was_acknowledged() {
    let Some(url) = postgres::fresh_database() else { return };
    let gateway = Gateway::with(&[("CDEX_DATABASE__URL", &url), PATIENT]);
    let is_over = AtomicBool::new(false);
    let acknowledged: Vec<(String, String)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (gateway, is_over) = (&gateway, &is_over);
                scope.spawn(move || {
                    let mut acknowledged = Vec::new();
                    for number in 0.. {
                        if is_over.load(Ordering::Relaxed) {
                            break;
                        }
                        let text = format!("note {client}-{number}");
                        let answer = gateway.ask(&request(note(&text, text.as_bytes())));
                        if answer.status == 200 {
                            acknowledged.extend(linked(&answer).into_iter().map(|id| (id, text.clone())));
                        } else {
                            assert!(answer.status >= 500, "{} for a good request", answer.status);
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        for _ in 0..10 {
            wait::pause(std::time::Duration::from_millis(150));
            end_connections(&url);
        }
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("a client ends")).collect()
    });
    assert!(!acknowledged.is_empty(), "some requests were answered between the breaks");
    for (id, text) in &acknowledged {
        gateway.wait_delivered(id, 1);
        assert_eq!(String::from_utf8_lossy(&gateway.delivered_bytes(id)), *text);
    }
    gateway.get("/health/ready").expect(200);
}

/// How stored bytes go bad.
type Rot = fn(&Path);

/// W-04, D-04
#[test]
fn stored_bytes_that_rotted_are_never_told_to_be_delivered() {
    let content = Random::new(36).bytes(200_000);
    let rot: [(&str, Rot); 4] = [
        ("one bit", |file| {
            let mut bytes = std::fs::read(file).expect("it is there");
            bytes[100_000] ^= 1;
            std::fs::write(file, bytes).expect("it takes bytes");
        }),
        ("shorter", |file| {
            let bytes = std::fs::read(file).expect("it is there");
            std::fs::write(file, &bytes[..bytes.len() - 1]).expect("it takes bytes");
        }),
        ("longer", |file| {
            let bytes = std::fs::read(file).expect("it is there");
            std::fs::write(file, [bytes.as_slice(), b"x"].concat()).expect("it takes bytes");
        }),
        ("gone", |file| std::fs::remove_file(file).expect("it is there")),
    ];
    for (case, spoil) in rot {
        let gateway = routed();
        let targets = ["edav", "archive"].map(|target| gateway.data_dir().join("delivered").join(target));
        for target in &targets {
            obstruct(target);
        }
        let upload = tus::upload(&gateway, ROUTED, &content);
        let stored = gateway.stored();
        let [file] = &stored[..] else { panic!("{case}: one upload is one file: {stored:?}") };
        wait::until("the obstruction to be met", || {
            let info = gateway.info(&upload.id);
            (!outcomes(&info, "edav").is_empty() && !outcomes(&info, "archive").is_empty()).then_some(())
        });
        spoil(file);
        let before = gateway.info(&upload.id)["deliveries"].as_array().map_or(0, Vec::len);
        for target in &targets {
            clear(target);
        }
        let info = wait::until("the rot to be met by both targets", || {
            let info = gateway.info(&upload.id);
            let fresh: Vec<Value> = info["deliveries"].as_array()?.iter().skip(before).cloned().collect();
            let met = |target: &str| {
                fresh
                    .iter()
                    .any(|attempt| attempt["name"] == target && !attempt.to_string().contains("director"))
            };
            (met("edav") && met("archive")).then_some(info)
        });
        let is_harmless = case == "longer";
        for target in ["edav", "archive"] {
            let told = outcomes(&info, target);
            assert!(is_harmless || told.iter().all(|status| status == "FAILURE"), "{case}: {info}");
        }
        for file in gateway.delivered() {
            let name = file.to_string_lossy().into_owned();
            assert!(
                is_harmless && std::fs::read(&file).is_ok_and(|bytes| bytes == content),
                "{case}: {name}"
            );
        }
    }
}

#[test]
fn killed_in_the_middle_of_a_submission_it_leaves_nothing() {
    for_each_database(&[], |mut gateway| {
        let body = note("killed", &Random::new(37).bytes(16 * MIB));
        let mut connection = gateway.connect().expect("it listens");
        let head = Request::new("POST", SUBMIT)
            .header("Content-Type", "application/fhir+json")
            .header("Content-Length", &body.len().to_string());
        connection.begin(&head).expect("a head goes out");
        connection.send(&body.as_bytes()[..body.len() / 2]).expect("half of it goes out");
        wait::until("bytes to be spooled", || (!gateway.stored().is_empty()).then_some(()));
        gateway.kill();
        assert!(!gateway.stored().is_empty(), "the kill came while bytes lay there");
        gateway.launch();
        wait::until("the upload store to be swept", || gateway.stored().is_empty().then_some(()));
        for table in ["upload", "delivery", "submission", "audit"] {
            assert_eq!(rows::count(&gateway, table), 0, "{table}");
        }
        let ids = accepted(&submit(&gateway, body));
        gateway.wait_delivered(&ids[0], 1);
        assert_eq!(gateway.stored().len(), 1);
    });
}

/// Ends every other connection to a database, as a restart of its server does.
fn end_connections(url: &str) {
    let statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let status = Command::new("psql").args([url, "-qc", statement]).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "the test cluster ends no connections");
}

/// A gateway with two targets for one stream.
fn routed() -> Gateway {
    let mut gateway = Gateway::prepare(&[
        ("CDEX_DELIVERY__CONFIG_FILE", "{data}/../delivery.yml"),
        ("CDEX_MANIFEST__CONFIG_DIR", "{data}/../streams"),
        PATIENT,
    ]);
    furnish(&gateway, "delivery.yml", ROUTING);
    furnish(&gateway, "streams/dextesting_testevent1.json", STREAM);
    gateway.launch();
    gateway
}

/// Puts a file where a target has its folder. Taking away rights would not stop a gateway that root runs.
fn obstruct(target: &Path) {
    let _ = std::fs::remove_dir_all(target);
    std::fs::create_dir_all(target.parent().expect("a target has a parent")).expect("the parent can be made");
    std::fs::write(target, b"in the way").expect("a file can be put there");
}

/// Takes it away again.
fn clear(target: &Path) {
    std::fs::remove_file(target).expect("the file is still in the way");
}

/// How each ended attempt at a target went, oldest first.
fn outcomes(info: &Value, target: &str) -> Vec<String> {
    let attempts = info["deliveries"].as_array().into_iter().flatten();
    let attempts = attempts.filter(|attempt| attempt["name"] == target);
    attempts.filter_map(|attempt| attempt["status"].as_str().map(str::to_owned)).collect()
}

/// A small file system of its own, in memory.
struct Disk(PathBuf);

impl Disk {
    /// Mounts one of so many MiB, or says that this user may not.
    fn mount(at: &Path, mebibytes: usize) -> Option<Self> {
        let size = format!("size={mebibytes}m,mode=700");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        if output.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        skipped("a full disk: this user may not mount one");
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a gateway that still runs has files open there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
