//! Memory for a large attachment is the same as for a small one (design: bytes stream, JSON is read once). The
//! body is made while it is sent; neither side ever holds it.

use std::fs::File;
use std::io::Read;

use sha2::{Digest, Sha256};

use crate::support::content::{base64, hex};
use crate::support::environment::{large, skipped};
use crate::support::gateway::Gateway;
use crate::support::http::Request;
use crate::support::random::Random;
use crate::support::submission::{SUBMIT, accepted, note};

/// What one submission may add to the idle memory, in KiB.
const ROOM_KIB: u64 = 64 * 1024;
/// A multiple of three: blocks encode to base64 without padding between them.
const BLOCK: usize = 3 * 64 * 1024;

#[test]
fn a_64_mib_attachment_arrives_in_constant_memory() {
    submit_large(64 << 20);
}

#[test]
fn a_1_gib_attachment_arrives_in_constant_memory() {
    if large() {
        submit_large(1 << 30);
    } else {
        skipped("the 1 GiB attachment: set CDEX_TEST_LARGE=1");
    }
}

fn submit_large(length: usize) {
    let gateway = Gateway::start();
    let idle = gateway.memory();
    let (before, after) = envelope();
    let encoded = length.div_ceil(3) * 4;
    let head = Request::new("POST", SUBMIT)
        .header("Content-Type", "application/fhir+json")
        .header("Content-Length", &(before.len() + encoded + after.len()).to_string());
    let mut connection = gateway.connect().expect("it listens");
    connection.begin(&head).expect("a head goes out");
    connection.send(before.as_bytes()).expect("the envelope goes out");
    let mut random = Random::new(length as u64);
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK];
    let mut left = length;
    while left > 0 {
        let bytes = &mut block[..left.min(BLOCK)];
        random.fill(bytes);
        hash.update(&*bytes);
        connection.send(base64(&*bytes).as_bytes()).expect("a block goes out");
        left -= bytes.len();
    }
    connection.send(after.as_bytes()).expect("the envelope goes out");
    let ids = accepted(&connection.answer(false).expect("it answers"));
    gateway.wait_delivered(&ids[0], 1);

    assert_eq!(delivered_hash(&gateway, &ids[0]), hex(&hash.finalize()));
    if let (Some(idle), Some(now)) = (idle, gateway.memory()) {
        assert!(now.peak_kib <= idle.resident_kib + ROOM_KIB, "{now:?} after {idle:?}");
    }
}

/// The submission before and behind its data.
fn envelope() -> (String, String) {
    let whole = note("large", b"HERE");
    let (before, after) = whole.split_once(&base64(b"HERE")).expect("the data are in it");
    (before.to_owned(), after.to_owned())
}

/// The SHA-256 of the one delivered file, read in blocks.
fn delivered_hash(gateway: &Gateway, id: &str) -> String {
    let files = gateway.delivered();
    assert_eq!(files.len(), 1, "delivered once: {files:?}");
    assert!(files[0].to_string_lossy().contains(id));
    let mut file = File::open(&files[0]).expect("a delivered file is readable");
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut block).expect("a delivered file is readable");
        if read == 0 {
            return hex(&hash.finalize());
        }
        hash.update(&block[..read]);
    }
}
