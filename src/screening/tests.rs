//! What is held and what is told, for each setting; and what the table gives back.

use super::*;
use crate::auth::Caller;
use crate::config::Reaction::{Note, Quarantine};
use crate::db::Db;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::id::UploadId;
use scanner::Clamd;

const PDF: &[u8] = b"%PDF-1.7";

fn gate(allow: &[&str], on_mismatch: Reaction, on_infected: Option<Reaction>) -> Screening {
    let clamd = Clamd::new("127.0.0.1:1", std::time::Duration::from_secs(1));
    Screening {
        allow: allow.iter().map(|allowed| (*allowed).to_owned()).collect(),
        on_mismatch,
        on_infected: on_infected.unwrap_or(Quarantine),
        scanner: on_infected.map(|_| Scanner::Clamd(clamd)),
    }
}

#[test]
fn nothing_is_remembered_where_there_is_nothing_to_tell() {
    let gate = gate(&[], Note, None);
    for (declared, head) in [
        (Some("application/pdf"), PDF),
        (Some("application/x-own"), b"\x01\x02"),
        (Some("application/pdf"), b"\x01\x02"),
        (None, PDF),
    ] {
        assert_eq!(gate.open(gate.look(declared, head)), None, "{declared:?}");
    }
}

#[test]
fn a_mismatch_is_told_and_held_only_by_setting() {
    for (reaction, is_held) in [(Note, false), (Quarantine, true)] {
        let gate = gate(&[], reaction, None);
        let screened = gate.open(gate.look(Some("image/png"), PDF)).expect("it is noteworthy");
        assert_eq!((screened.is_held, screened.verdict), (is_held, Verdict::Skipped));
        let remark = screened.look.remark().expect("there is something to say");
        assert!(remark.ends_with("they look like application/pdf"), "{remark}");
    }
}

#[test]
fn the_list_of_allowed_types_is_held_against_what_the_bytes_are() {
    let gate = gate(&["application/pdf", "image/*"], Note, None);
    for (declared, head, is_allowed) in [
        (Some("application/pdf"), PDF, true),
        (Some("Image/PNG"), b"\x89PNG\r\n\x1A\n", true),
        (Some("image/png"), b"#!/bin/sh", false),
        (Some("text/plain"), b"words", false),
        (None, PDF, true),
        (None, b"\x01\x02", false),
    ] {
        assert_eq!(gate.look(declared, head).is_allowed, is_allowed, "{declared:?}");
    }
}

#[test]
fn deliveries_wait_for_the_scanner_where_its_finding_would_hold_them() {
    let found = || Finding::Infected("Eicar".to_owned());
    for (on_mismatch, on_infected, declared, finding, before, after, verdict) in [
        (Note, Quarantine, "application/pdf", Some(Finding::Clean), true, false, Verdict::Clean),
        (Note, Quarantine, "application/pdf", Some(found()), true, true, Verdict::Infected),
        (Note, Quarantine, "application/pdf", None, true, true, Verdict::Failed),
        (Quarantine, Quarantine, "image/png", Some(Finding::Clean), true, true, Verdict::Clean),
        (Note, Note, "image/png", Some(found()), false, false, Verdict::Infected),
        (Quarantine, Note, "image/png", Some(Finding::Clean), true, true, Verdict::Clean),
        (Note, Note, "application/pdf", None, false, false, Verdict::Failed),
    ] {
        let gate = gate(&[], on_mismatch, Some(on_infected));
        let opened = gate.open(gate.look(Some(declared), PDF)).expect("it is scanned");
        assert_eq!((opened.is_held, opened.verdict), (before, Verdict::Pending));
        let judged = gate.judged(&opened, finding, Timestamp::from_nanos(1));
        assert_eq!((judged.is_held, judged.verdict), (after, verdict), "{declared} {on_mismatch:?}");
        assert_eq!(judged.scanned_at, Some(Timestamp::from_nanos(1)));
    }
}

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    for_each_database(|db| async move { assert_prepares(&db, store::STATEMENTS).await }).await;
}

#[tokio::test]
async fn of_an_upload_that_does_not_exist_nothing_is_known() {
    for_each_database(|db: Db| async move {
        let mut reader = db.reader().await.expect("a reader");
        let found = find(&mut reader.tx(), &Caller::anonymous().access(), UploadId::new()).await;
        assert_eq!(found.expect("it reads"), None);
    })
    .await;
}
