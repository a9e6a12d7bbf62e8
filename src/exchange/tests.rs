//! The use cases over real files and both databases, with a clock that is turned by hand.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::json;

use super::receive_upload::{CreateRequest, Creation, FirstBytes};
use super::redeliver::{Redelivery, RedeliveryRefused};
use super::submit_attachment::{Answer, SubmitError};
use super::testing::{Gateway, base64, body_of, document, manifest, submission};
use super::*;
use crate::audit::AuditOutcome;
use crate::auth::Caller;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::delivery::AttemptOutcome;
use crate::id::UploadId;
use crate::upload::{AppendRequest, UploadState};

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    for_each_database(|db| async move { assert_prepares(&db, store::STATEMENTS).await }).await;
}

#[tokio::test]
async fn a_submission_becomes_uploads_that_are_complete_reported_and_delivered() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let long = vec![7_u8; 5000];
        let observation = json!({ "resourceType": "Basic", "code": { "text": "any" } });
        let answer = gateway
            .submit(&submission(&[
                document(json!({ "contentType": "text/plain", "data": base64(b"a note") })),
                json!({ "resourceType": "Binary", "contentType": "application/pdf", "data": base64(&long) }),
                observation.clone(),
            ]))
            .await
            .expect("it is accepted");
        assert_eq!(answer.upload_ids.len(), 3);
        assert_eq!(gateway.deliver().await, 3);
        let mut expected = vec![b"a note".to_vec(), long, observation.to_string().into_bytes()];
        expected.sort();
        assert!(gateway.files("delivered") == expected);
        for id in &answer.upload_ids {
            let access = Caller::anonymous().access();
            let seen =
                gateway.exchange.inspect_upload(&access, *id).await.expect("it reads").expect("it exists");
            assert_eq!(seen.upload.state, UploadState::Complete);
            assert!(matches!(
                seen.attempts[..],
                [crate::delivery::Attempt { outcome: AttemptOutcome::Success { .. }, .. }]
            ));
            assert!(!String::from_utf8(seen.upload.manifest.to_json()).expect("UTF-8").contains("ZZMEMBER"));
            assert_eq!(
                gateway.stages(*id).await,
                [
                    "metadata-transform",
                    "metadata-verify",
                    "upload-started",
                    "upload-status",
                    "upload-completed",
                    "blob-file-copy"
                ]
            );
        }
        assert_eq!(gateway.audit().await, [(AuditOutcome::Success, None)]);
    })
    .await;
}

#[tokio::test]
async fn large_data_is_taken_out_whatever_the_order_of_properties() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let long = vec![9_u8; 3000];
        // The type comes after the data, so the text is kept raw first and decoded when the type is seen.
        let text = format!(
            r#"{{"content":[{{"attachment":{{"data":"{0}"}}}}],"status":"current","resourceType":"DocumentReference"}}"#,
            base64(&long)
        );
        let marker = json!({ "marker": true });
        let body = submission(std::slice::from_ref(&marker)).to_string().replace(&marker.to_string(), &text);
        gateway.submit_as(body.as_bytes(), None).await.expect("it is accepted");
        // A resource of another type is its text, exactly, large strings and odd spacing included.
        let bundle = format!(
            r#"{{ "type":"collection",  "entry":[{{"resource":{{"data":"{0}","contentType":"text/plain","resourceType":"Binary"}}}}] ,"resourceType":"Bundle"}}"#,
            base64(&long)
        );
        let body = submission(std::slice::from_ref(&marker)).to_string().replace(&marker.to_string(), &bundle);
        gateway.submit_as(body.as_bytes(), None).await.expect("it is accepted");
        gateway.deliver().await;
        let mut expected = vec![long, bundle.into_bytes()];
        expected.sort();
        assert!(gateway.files("delivered") == expected);
        assert_eq!(gateway.files("uploads").len(), 2, "nothing else is left in the store");
    })
    .await;
}

#[tokio::test]
async fn a_refused_submission_leaves_one_audit_row_and_nothing_else() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let mut body = submission(&[document(json!({ "data": base64(&[1; 5000]) }))]);
        body["parameter"].as_array_mut().expect("an array").remove(3);
        let Err(SubmitError::Refused(issues)) = gateway.submit(&body).await else {
            panic!("it must be refused")
        };
        let named = |issue: &crate::fhir::Issue| {
            issue.expression.as_deref().is_some_and(|expression| expression.contains("MemberId"))
        };
        assert!(issues.iter().any(named), "{issues:?}");
        assert_eq!(gateway.files("uploads"), Vec::<Vec<u8>>::new());
        assert_eq!(gateway.deliver().await, 0);
        assert_eq!(gateway.audit().await, [(AuditOutcome::Refused, Some("required".to_owned()))]);
    })
    .await;
}

#[tokio::test]
async fn all_problems_of_a_body_are_in_one_answer() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let mut body = submission(&[
            document(json!({ "data": "not base64!" })),
            document(json!({ "url": "https://elsewhere.example/x.pdf" })),
        ]);
        body["parameter"]
            .as_array_mut()
            .expect("an array")
            .retain(|parameter| parameter["name"] != "TrackingId" && parameter["name"] != "ServiceDate");
        let Err(SubmitError::Refused(issues)) = gateway.submit(&body).await else {
            panic!("it must be refused")
        };
        let told: Vec<&str> = issues.iter().filter_map(|issue| issue.expression.as_deref()).collect();
        for part in ["TrackingId", "ServiceDate", "attachment.data", "attachment.url"] {
            assert!(told.iter().any(|expression| expression.contains(part)), "{part}: {told:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_same_submission_again_gets_the_same_answer_and_leaves_nothing_new() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let body = submission(&[document(json!({ "data": base64(&[1; 5000]) }))]);
        let first = gateway.submit(&body).await.expect("it is accepted");
        assert_eq!(gateway.submit(&body).await.expect("it is accepted"), first);
        assert_eq!(gateway.files("uploads").len(), 1);
        let other = submission(&[document(json!({ "data": base64(b"another") }))]);
        let second = gateway.submit(&other).await.expect("it is accepted");
        assert_ne!(second.upload_ids, first.upload_ids);
        assert!(second.outcome.to_string().contains("amendment"), "{}", second.outcome);
        assert!(!first.outcome.to_string().contains("amendment"));
    })
    .await;
}

#[tokio::test]
async fn an_idempotency_key_answers_for_its_body_alone_and_only_for_its_time() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let one = submission(&[document(json!({ "data": base64(b"one") }))]).to_string();
        let two = submission(&[document(json!({ "data": base64(b"two") }))]).to_string();
        let first = gateway.submit_as(one.as_bytes(), Some("key")).await.expect("it is accepted");
        assert_eq!(gateway.submit_as(one.as_bytes(), Some("key")).await.expect("again"), first);
        assert!(matches!(gateway.submit_as(two.as_bytes(), Some("key")).await, Err(SubmitError::KeyReused)));
        gateway.clock.advance(Duration::from_secs(3601));
        gateway.submit_as(two.as_bytes(), Some("key")).await.expect("the key is free again");
    })
    .await;
}

#[tokio::test]
async fn a_key_whose_request_is_still_being_received_is_refused() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let access = Caller::anonymous().access();
        let running = gateway.exchange.running.begin(&access, "key");
        assert!(running.is_some());
        let body = submission(&[document(json!({ "data": base64(b"one") }))]).to_string();
        assert!(matches!(
            gateway.submit_as(body.as_bytes(), Some("key")).await,
            Err(SubmitError::KeyRunning)
        ));
        drop(running);
        gateway.submit_as(body.as_bytes(), Some("key")).await.expect("the key is free again");
    })
    .await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_while_it_arrives() {
    for_each_database(|db| async move {
        let gateway = Gateway::with(&db, |exchange| exchange.settings.payload_limit_bytes = 1000);
        let body = submission(&[document(json!({ "data": base64(&[1; 5000]) }))]);
        assert!(matches!(gateway.submit(&body).await, Err(SubmitError::TooLarge { limit: 1000 })));
        assert_eq!(gateway.files("uploads"), Vec::<Vec<u8>>::new());
    })
    .await;
}

#[tokio::test]
async fn a_document_can_name_an_upload_made_before_and_is_not_delivered_twice() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let id = gateway.create(5).await;
        let reference = |size| {
            document(json!({ "url": format!("http://gateway.example/upload/files/{id}"), "size": size }))
        };
        let named = |refused: Result<Answer, SubmitError>, part: &str| match refused {
            Err(SubmitError::Refused(issues)) => issues.iter().any(|issue| {
                issue.expression.as_deref().is_some_and(|expression| expression.ends_with(part))
            }),
            other => panic!("{other:?}"),
        };
        assert!(
            named(gateway.submit(&submission(&[reference(5)])).await, "attachment.url"),
            "it is incomplete"
        );
        gateway.append(id, 0, b"bytes").await;
        assert!(
            named(gateway.submit(&submission(&[reference(6)])).await, "attachment.size"),
            "the size is another"
        );
        let answer = gateway.submit(&submission(&[reference(5)])).await.expect("it is accepted");
        assert_eq!(answer.upload_ids, [id]);
        assert_eq!(gateway.deliver().await, 1);
        assert_eq!(gateway.files("delivered"), [b"bytes".to_vec()]);
    })
    .await;
}

#[tokio::test]
async fn a_refused_creation_writes_its_two_reports_and_nothing_else() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let mut fields = manifest();
        fields.set("data_stream_route", "unknown");
        let request = CreateRequest { length: Some(5), fields, is_partial: false };
        let creation = gateway.exchange.create_upload(&Caller::anonymous(), request).await;
        let Ok(Creation::Refused { id, .. }) = creation else { panic!("{creation:?}") };
        assert_eq!(gateway.stages(id).await, ["metadata-transform", "metadata-verify"]);
        let access = Caller::anonymous().access();
        assert!(gateway.exchange.inspect_upload(&access, id).await.expect("it reads").is_none());
        assert_eq!(gateway.files("uploads"), Vec::<Vec<u8>>::new());
    })
    .await;
}

/// T-22, D-01: whenever the client goes away, bytes have a row that names them.
#[tokio::test]
async fn a_small_upload_whose_client_goes_away_exists_whole_or_leaves_nothing() {
    for_each_database(|db| async move {
        for polls in 0..24 {
            let gateway = Gateway::new(&db);
            let request = CreateRequest { length: Some(5), fields: manifest(), is_partial: false };
            let first = FirstBytes { declared: Some(5), checksum: None, body: body_of(b"bytes") };
            let caller = Caller::anonymous();
            {
                let mut creating = Box::pin(gateway.exchange.create_upload_with(&caller, request, first));
                for _ in 0..polls {
                    if creating.as_mut().now_or_never().is_some() {
                        break;
                    }
                    // Others work meanwhile.
                    tokio::task::spawn_blocking(|| ()).await.expect("it ends");
                }
            }
            gateway.exchange.tracker.close();
            gateway.exchange.tracker.wait().await;
            let stored = gateway.files("uploads");
            assert_eq!(gateway.deliver().await, stored.len(), "after {polls} looks");
            assert_eq!(gateway.files("delivered"), stored, "after {polls} looks");
        }
    })
    .await;
}

/// T-22: who has sent all bytes by now need not send them again because of a stop.
#[tokio::test]
async fn a_small_upload_that_is_on_its_way_when_the_gateway_stops_is_taken() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let stopping = gateway.exchange.stopping.clone();
        let rest = stream::once(async move {
            stopping.cancel();
            tokio::task::yield_now().await;
            Ok(Bytes::from_static(b"tes"))
        });
        let body = body_of(b"by").chain(rest).boxed();
        let request = CreateRequest { length: Some(5), fields: manifest(), is_partial: false };
        let first = FirstBytes { declared: Some(5), checksum: None, body };
        let caller = Caller::anonymous();
        let created = gateway.exchange.create_upload_with(&caller, request, first).await.expect("it exists");
        let (Creation::Created { .. }, Some(Ok(reception))) = created else { panic!("{created:?}") };
        assert!(reception.is_complete);
        assert_eq!(gateway.files("uploads"), [b"bytes"]);
    })
    .await;
}

/// T-34
#[tokio::test]
async fn what_a_crash_left_full_but_open_is_finished_at_the_start_and_only_once() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let id = gateway.create(5).await;
        // The crash comes between the last offset and its consequences.
        let access = Caller::anonymous().access();
        let request = AppendRequest::new(access.clone(), id, 0);
        let stop = CancellationToken::new();
        let appended =
            gateway.exchange.uploads.append(request, body_of(b"bytes"), &stop).await.expect("it appends");
        assert!(!appended.tail.is_empty(), "bytes came");
        gateway.exchange.uploads.advance(&appended.upload, &appended.tail).await.expect("the offset moves");
        drop(appended);
        assert_eq!(gateway.exchange.finish_left_over().await.expect("it finishes"), 1);
        assert_eq!(gateway.exchange.finish_left_over().await.expect("nothing is left"), 0);
        let upload = gateway.exchange.uploads.find(&access, id).await.expect("it reads").expect("it exists");
        gateway.exchange.finish_upload(upload, Vec::new()).await.expect("finishing again is no error");
        assert_eq!(gateway.deliver().await, 1);
        assert_eq!(gateway.stages(id).await.iter().filter(|stage| *stage == "upload-completed").count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_repeat_delivers_again_and_is_refused_for_what_cannot_be_delivered() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let caller = Caller::anonymous();
        let repeat = |id, target: &'static str| {
            let (exchange, caller) = (gateway.exchange.clone(), caller.clone());
            // A dry run says what the call says.
            let told = |said: &Result<Redelivery, RedeliveryRefused>| match said {
                Ok(Redelivery::Queued(_)) => "queued".to_owned(),
                Ok(Redelivery::AlreadyUnderWay(_)) => "under way".to_owned(),
                Err(refused) => refused.to_string(),
            };
            async move {
                let dry = exchange.redeliver(&caller, "request-1", id, (target, true)).await;
                let said = exchange.redeliver(&caller, "request-1", id, (target, false)).await;
                assert_eq!(told(&dry), told(&said));
                said
            }
            .boxed()
        };
        let id = gateway.create(5).await;
        assert!(matches!(repeat(UploadId::new(), "nowhere").await, Err(RedeliveryRefused::UnknownUpload)));
        assert!(matches!(repeat(id, "local").await, Err(RedeliveryRefused::Incomplete)));
        gateway.append(id, 0, b"bytes").await;
        assert!(matches!(repeat(id, "nowhere").await, Err(RedeliveryRefused::UnknownTarget)));
        assert!(matches!(repeat(id, "local").await, Ok(Redelivery::AlreadyUnderWay(Some(_)))));
        gateway.deliver().await;
        assert!(matches!(repeat(id, "local").await, Ok(Redelivery::Queued(_))));
        assert_eq!(gateway.deliver().await, 1);
        let seen = gateway
            .exchange
            .inspect_upload(&caller.access(), id)
            .await
            .expect("it reads")
            .expect("it exists");
        assert_eq!(seen.attempts.len(), 2);
        assert_eq!(gateway.files("delivered").len(), 1);
    })
    .await;
}
