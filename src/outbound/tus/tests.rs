//! The client against a server that fails as it is told, over real sockets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::testing::{FakeTus, Fault, HASTY, Nobody, Numbered};
use super::*;
use crate::outbound::testing::Reply;
use crate::outbound::{Client, Limits, OutboundError, Reach};

const CONTENT: &str = "0123456789abcdefghij";

fn client_with(fake: &FakeTus, locations: Locations, identity: Arc<dyn Identity>) -> TusClient {
    let limits = Limits { reach: Reach::Everywhere, ..Limits::default() };
    let settings = TusSettings { create_url: fake.create_url(), locations, patience: HASTY };
    TusClient::new(Client::new(limits).expect("TLS can be set up"), settings, identity)
}

fn client(fake: &FakeTus) -> TusClient {
    client_with(fake, Locations::AsIs, Arc::new(Nobody))
}

/// Sends the content in chunks of seven bytes, from where the server is.
async fn send(sending: &mut Sending<'_>) -> Result<(), RemoteError> {
    while !sending.is_complete() {
        let start = usize::try_from(sending.offset()).expect("a short content");
        let end = CONTENT.len().min(start + 7);
        sending.append(Bytes::from_static(&CONTENT.as_bytes()[start..end])).await?;
    }
    Ok(())
}

async fn upload(client: &TusClient) -> Result<(), RemoteError> {
    let url = client.create(CONTENT.len() as u64, "name bm90ZQ==").await?;
    send(&mut Sending::begin(client, url, CONTENT.len() as u64)).await
}

/// F-02, F-04
#[tokio::test]
async fn f_02_f_04_an_upload_is_created_empty_and_sent_in_chunks_with_their_checksums() {
    let fake = FakeTus::start().await;
    upload(&client(&fake)).await.expect("it is uploaded");
    let complete = fake.complete();
    assert_eq!(
        (complete.len(), &*complete[0].content, &*complete[0].metadata),
        (1, CONTENT, "name bm90ZQ==")
    );
    assert_eq!(fake.methods(), ["POST", "OPTIONS", "PATCH", "PATCH", "PATCH"]);
    let seen = fake.seen();
    assert_eq!(seen[0].header("content-length"), Some("0"));
    assert_eq!(seen[0].header("upload-length"), Some("20"));
    assert_eq!(seen[1].header("tus-resumable"), None);
    assert_eq!(seen[2].header("content-type"), Some("application/offset+octet-stream"));
    assert!(seen[2].header("upload-checksum").is_some_and(|sum| sum.starts_with("sha256 ")));
    assert_eq!(seen[4].header("upload-offset"), Some("14"));
}

#[tokio::test]
async fn a_server_without_extensions_is_sent_no_checksum() {
    let fake = FakeTus::start().await;
    fake.state().extensions = "creation".to_owned();
    upload(&client(&fake)).await.expect("it is uploaded");
    assert!(fake.seen().iter().all(|request| request.header("upload-checksum").is_none()));
    assert!(!client(&fake).features().await.concatenation);
}

/// F-02: OPTIONS is a question, and no answer is no reason to give up.
#[tokio::test]
async fn f_02_a_server_that_refuses_options_takes_uploads_and_is_asked_again_for_the_next() {
    for fault in [400, 401, 403, 404, 405, 500, 501, 503].map(Fault::status).into_iter().chain([Fault::Mute])
    {
        let fake = FakeTus::start().await;
        let client = client(&fake);
        fake.fail("OPTIONS", [fault.clone()]);
        for checks in [false, true] {
            upload(&client).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
            let last = fake.seen().pop().expect("a request");
            assert_eq!(last.header("upload-checksum").is_some(), checks, "{fault:?}");
        }
        let asked = fake.methods().iter().filter(|method| *method == "OPTIONS").count();
        assert_eq!((fake.complete().len(), asked), (2, 2), "{fault:?}");
    }
}

/// F-05, F-08: whatever happens on the way, the server says where to go on.
#[tokio::test]
async fn f_05_a_line_that_breaks_costs_what_was_under_way_and_nothing_else() {
    let faults = [
        Fault::Cut(0),
        Fault::Cut(3),
        Fault::Mute,
        Fault::status(500),
        Fault::status(503),
        Fault::status(409),
        Fault::status(423),
        Fault::status(429),
        Fault::status(460),
        Fault::Answer(Reply::new(503, "Retry-After: 0\r\n", "")),
    ];
    for fault in faults {
        for head in [None, Some(Fault::status(500)), Some(Fault::status(423)), Some(Fault::Mute)] {
            let fake = FakeTus::start().await;
            let told = format!("{fault:?} {head:?}");
            fake.fail("PATCH", [fault.clone()]);
            fake.fail("HEAD", head);
            upload(&client(&fake)).await.unwrap_or_else(|error| panic!("{told}: {error}"));
            let complete = fake.complete();
            assert_eq!((complete.len(), &*complete[0].content), (1, CONTENT), "{told}");
            assert_eq!(fake.state().uploads.len(), 1, "{told}: no other upload was created");
        }
    }
}

/// F-05: patience is for failures without progress between them.
#[tokio::test]
async fn f_05_a_server_that_fails_again_and_again_is_left_alone_unless_there_is_progress() {
    let fake = FakeTus::start().await;
    fake.fail("PATCH", (0..20).map(|_| Fault::Cut(1)));
    upload(&client(&fake)).await.expect("a byte at a time is progress");

    fake.fail("PATCH", (0..20).map(|_| Fault::status(500)));
    let error = upload(&client(&fake)).await.expect_err("it is given up");
    assert_eq!(error.remedy(), Remedy::Wait(None));
    let tries = fake.methods().iter().rev().take_while(|method| *method != "POST").count();
    assert_eq!(tries, 8, "OPTIONS, four PATCH, three HEAD");
}

#[tokio::test]
async fn a_server_that_wants_to_be_left_alone_for_long_is() {
    let fake = FakeTus::start().await;
    fake.fail("PATCH", [Fault::Answer(Reply::new(429, "Retry-After: 120\r\n", ""))]);
    let error = upload(&client(&fake)).await.expect_err("it is given up");
    assert_eq!(error.remedy(), Remedy::Wait(Some(Duration::from_mins(2))));
    assert!(!fake.methods().contains(&"HEAD".to_owned()));
}

/// F-05: what cannot be mended is not tried again.
#[tokio::test]
async fn f_05_f_08_what_would_fail_again_is_not_tried_again() {
    for (method, status, remedy) in [
        ("POST", 400, Remedy::Nothing),
        ("POST", 403, Remedy::Nothing),
        ("POST", 413, Remedy::Nothing),
        ("PATCH", 400, Remedy::Nothing),
        ("PATCH", 413, Remedy::Nothing),
        ("PATCH", 403, Remedy::NewUpload),
        ("PATCH", 404, Remedy::NewUpload),
        ("PATCH", 410, Remedy::NewUpload),
    ] {
        let fake = FakeTus::start().await;
        fake.fail(method, [Fault::status(status)]);
        let error = upload(&client(&fake)).await.expect_err("it is refused");
        assert_eq!(error.remedy(), remedy, "{method} {status}");
        assert_eq!(fake.methods().last().map(String::as_str), Some(method));
    }
}

/// F-06
#[tokio::test]
async fn f_06_an_upload_is_resumed_where_the_server_is() {
    let fake = FakeTus::start().await;
    let client = client(&fake);
    let url = client.create(20, "").await.expect("it is created");
    fake.state().uploads[0].content.push_str(&CONTENT[..9]);
    fake.fail("HEAD", [Fault::status(500)]);
    let mut sending = Sending::resume(&client, url.clone(), 20).await.expect("it is there");
    assert_eq!(sending.offset(), 9);
    send(&mut sending).await.expect("it is uploaded");
    assert_eq!(fake.complete()[0].content, CONTENT);
    // Complete, of another length, gone.
    let complete = Sending::resume(&client, url.clone(), 20).await.expect("it is there");
    assert!(complete.is_complete());
    let other = Sending::resume(&client, url.clone(), 21).await.err().expect("another length");
    assert_eq!(other.remedy(), Remedy::NewUpload);
    fake.state().uploads[0].is_gone = true;
    let gone = Sending::resume(&client, url, 20).await.err().expect("it is gone");
    assert_eq!(gone.remedy(), Remedy::NewUpload);
}

/// F-01, F-08
#[tokio::test]
async fn f_08_a_token_that_ends_on_the_way_is_replaced_and_the_request_repeated() {
    let fake = FakeTus::start().await;
    fake.state().authorization = Some("Bearer 0".to_owned());
    let client = client_with(&fake, Locations::AsIs, Arc::new(Numbered::default()));
    let url = client.create(20, "").await.expect("it is created");
    fake.state().authorization = Some("Bearer 1".to_owned());
    send(&mut Sending::begin(&client, url, 20)).await.expect("it is uploaded");
    assert_eq!(fake.complete().len(), 1);
    assert_eq!(fake.methods(), ["POST", "OPTIONS", "PATCH", "PATCH", "PATCH", "PATCH"]);
    fake.state().authorization = Some("Bearer none".to_owned());
    let error = client.create(20, "").await.expect_err("nobody lets us in");
    assert_eq!(error.remedy(), Remedy::Permission);
}

/// F-03, F-13
#[tokio::test]
async fn f_03_an_upload_behind_a_gateway_that_rewrites_paths_is_found() {
    let cases = [
        ("http://inner.example:8080/files/", Locations::RebaseHost, true),
        ("http://inner.example:8080/inner/", Locations::Rebase, true),
        ("files/", Locations::AsIs, true),
        ("http://inner.example:8080/files/", Locations::AsIs, false),
    ];
    for (base, locations, is_found) in cases {
        let fake = FakeTus::start().await;
        base.clone_into(&mut fake.state().locations);
        let outcome = upload(&client_with(&fake, locations, Arc::new(Nobody))).await;
        assert_eq!(outcome.is_ok(), is_found, "{base} {locations:?}");
        assert_eq!(fake.complete().len(), usize::from(is_found));
    }
}

#[tokio::test]
async fn an_answer_that_is_not_tus_is_not_believed() {
    for fields in ["", "Location: http://[\r\n"] {
        let fake = FakeTus::start().await;
        fake.fail("POST", [Fault::Answer(Reply::new(201, fields, ""))]);
        let error = upload(&client(&fake)).await.expect_err("it is not believed");
        assert!(matches!(error, RemoteError::Protocol(_)), "{fields}: {error}");
    }
    // Of an upload the server is asked again, and is believed when it speaks tus.
    for fields in ["", "Upload-Offset: 21\r\n", "Upload-Offset: 0\r\n", "Upload-Offset: x\r\n"] {
        let fake = FakeTus::start().await;
        fake.fail("PATCH", [Fault::Answer(Reply::new(204, fields, ""))]);
        upload(&client(&fake)).await.expect("it is uploaded");
        assert_eq!(fake.complete()[0].content, CONTENT, "{fields}");
    }
    let fake = FakeTus::start().await;
    let client = client(&fake);
    let elsewhere = client.standing("http://127.0.0.1:1/files/0").await.expect_err("not our server");
    assert!(matches!(elsewhere, RemoteError::OtherServer));
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn parts_become_one_upload_in_their_order() {
    let fake = FakeTus::start().await;
    let client = client(&fake);
    let mut parts = Vec::new();
    for part in ["0123456", "789"] {
        let url = client.create_partial(part.len() as u64, "").await.expect("it is created");
        let mut sending = Sending::begin(&client, url.clone(), part.len() as u64);
        sending.append(Bytes::from_static(part.as_bytes())).await.expect("it is sent");
        parts.push(url);
    }
    let url = client.concatenate(&parts, "name bm90ZQ==").await.expect("it is made");
    let standing = client.standing(&url).await.expect("it is there");
    assert_eq!(standing, Standing { offset: 10, length: Some(10) });
    assert_eq!((fake.complete().len(), &*fake.complete()[0].content), (1, "0123456789"));
}

#[tokio::test]
async fn whoever_watches_is_told_how_far_it_is_and_also_when_it_falls_back() {
    let fake = FakeTus::start().await;
    let client = client(&fake);
    let url = client.create(20, "").await.expect("it is created");
    let told = Arc::new(Mutex::new(Vec::new()));
    let memory = told.clone();
    let watch: Watch = Arc::new(move |at| memory.lock().expect("no test panics in here").push(at));
    fake.fail("PATCH", [Fault::Cut(3)]);
    let mut sending = Sending::begin(&client, url, 20).watched_by(watch);
    send(&mut sending).await.expect("it is uploaded");
    assert_eq!(*told.lock().expect("no test panics in here"), [7, 3, 10, 17, 20]);
}

#[tokio::test]
async fn a_server_that_nobody_reaches_is_a_failure_that_passes() {
    let limits = Limits { reach: Reach::Everywhere, ..Limits::default() };
    let settings = TusSettings {
        create_url: "http://127.0.0.1:1/files".to_owned(),
        locations: Locations::AsIs,
        patience: HASTY,
    };
    let client = TusClient::new(Client::new(limits).expect("TLS"), settings, Arc::new(Nobody));
    let error = client.ask_features().await.expect_err("nobody is there");
    assert!(
        matches!(error, RemoteError::Call(OutboundError::Connect)) && error.remedy() == Remedy::Wait(None)
    );
}
