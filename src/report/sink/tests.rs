//! What a file holds after a line was added, whatever was there before.

use std::path::Path;

use super::super::store::outbox::Outgoing;
use super::FileSink;
use crate::clock::Timestamp;

fn report(body: &str) -> Outgoing {
    Outgoing {
        place: 1,
        sequence: 1,
        upload_id: "upload".to_owned(),
        stage: "upload-status".to_owned(),
        body: body.as_bytes().to_vec(),
        created_at: Timestamp::from_nanos(1),
    }
}

async fn add(folder: &Path, bodies: &[&str]) {
    let sink = FileSink::new(folder.to_owned(), true);
    for body in bodies {
        sink.send(&report(body)).await.expect("it is written");
    }
    sink.flush().await.expect("it is durable");
    sink.flush().await.expect("there is nothing to do");
}

/// W-19: a crash leaves no half line, and what was written before it is not written twice.
#[tokio::test]
async fn a_file_holds_whole_lines_each_once() {
    let long = format!("{}\n", "x".repeat(3 << 20));
    let cases: [(&str, &[&str], &str); 9] = [
        ("", &["{}"], "{}\n"),
        ("{\"a\":1}\n", &["{\"b\":2}"], "{\"a\":1}\n{\"b\":2}\n"),
        ("{\"a\":1}\n{\"b\"", &["{\"b\":2}"], "{\"a\":1}\n{\"b\":2}\n"),
        ("{\"a\"", &["{\"a\":1}"], "{\"a\":1}\n"),
        ("{\"a\":1}", &["{\"a\":1}"], "{\"a\":1}\n"),
        (
            "{\"a\":1}\n{\"b\":2}\n",
            &["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"],
            "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n",
        ),
        ("x{\"a\":1}\n", &["{\"a\":1}"], "x{\"a\":1}\n{\"a\":1}\n"),
        ("{\"a\":12}\n", &["{\"a\":1}"], "{\"a\":12}\n{\"a\":1}\n"),
        (&long, &["{}"], &format!("{long}{{}}\n")),
    ];
    for (number, (before, bodies, after)) in cases.into_iter().enumerate() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("upload_upload-status");
        if !before.is_empty() {
            std::fs::write(&file, before).expect("it is written");
        }
        add(folder.path(), bodies).await;
        assert!(std::fs::read_to_string(&file).expect("it reads") == after, "case {number}");
    }
}

#[tokio::test]
async fn the_folder_is_made_and_what_is_no_file_of_lines_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let below = folder.path().join("a/b");
    add(&below, &["{}"]).await;
    assert!(below.join("upload_upload-status").exists());
    let foreign = "x".repeat(2 << 20);
    std::fs::write(below.join("upload_upload-status"), &foreign).expect("it is written");
    let refused = FileSink::new(below.clone(), true).send(&report("{}")).await;
    assert!(refused.is_err(), "{refused:?}");
    assert!(std::fs::read_to_string(below.join("upload_upload-status")).expect("it reads") == foreign);
}
