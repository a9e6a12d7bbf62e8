//! Exports over both databases, with a clock that is turned by hand.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::auth::Caller;
use crate::db::Db;
use crate::db::testing::{assert_prepares, for_each_database};
use crate::exchange::testing::Gateway;
use crate::fhir::address::parameters;
use crate::repository::{self, Draft, Precondition, index};

const BASE: &str = "http://gateway.example/fhir";

/// Settings with small files.
pub(in crate::exchange) fn settings(folder: &Path) -> ExportSettings {
    ExportSettings {
        folder: folder.join("exports"),
        durable: false,
        jobs_per_owner: 2,
        file_resources: 3,
        retention: Duration::from_hours(1),
    }
}

fn requester() -> Requester {
    Requester { caller: Caller::anonymous(), request_id: "request-1".to_owned(), base: BASE.into() }
}

fn somebody_else() -> Access {
    Access::of_owner("default", "somebody-else")
}

/// Keeps a resource as its next version.
async fn keep(gateway: &Gateway, access: &Access, resource_type: &'static str, resource: &Value) {
    let entries = index::entries(access.tenant(), resource_type, resource, BASE);
    let draft = Draft {
        resource_type,
        id: resource["id"].as_str().expect("an id").to_owned(),
        text: Bytes::from(format!("{resource:#}")),
        entries,
        bytes: None,
        errands: Vec::new(),
    };
    let now = gateway.exchange.clock.now();
    let db: &Db = &gateway.exchange.db;
    db.write((access.clone(), [(draft, Precondition::None)]), move |(access, drafts), tx| {
        Box::pin(async move { repository::keep(tx, access, drafts, true, now).await.map(drop) })
    })
    .await
    .expect("it writes");
    gateway.clock.advance(Duration::from_millis(5));
}

async fn keep_patients(gateway: &Gateway, count: usize) {
    for n in 0..count {
        let patient = json!({"resourceType": "Patient", "id": format!("p{n}"), "active": true});
        keep(gateway, &requester().access(), "Patient", &patient).await;
    }
}

async fn delete(gateway: &Gateway, resource_type: &'static str, id: &'static str) {
    let now = gateway.exchange.clock.now();
    let db: &Db = &gateway.exchange.db;
    db.write(requester().access(), move |access, tx| {
        Box::pin(async move {
            repository::delete(tx, access, (resource_type, id), &Precondition::None, now).await.map(drop)
        })
    })
    .await
    .expect("it writes");
    gateway.clock.advance(Duration::from_millis(5));
}

async fn begin(gateway: &Gateway, place: Place, query: &str) -> Result<ExportId, ExportError> {
    let call = ExportCall {
        place,
        url: format!("{BASE}/$export?{query}"),
        parameters: parameters(query),
        lenient: false,
        content: Content::None,
    };
    let begun = gateway.exchange.begin_export(&requester(), call).await;
    gateway.clock.advance(Duration::from_millis(5));
    begun
}

/// Makes an export, and gives each of its resources once as `Type/id` with its version.
async fn made(gateway: &Gateway, id: ExportId) -> BTreeMap<String, String> {
    gateway.clock.advance(SETTLE);
    let never = CancellationToken::new();
    while gateway.exchange.make_next_export(&never).await.expect("the database answers") {}
    let (output, _) = contents(gateway, id).await;
    let mut found = BTreeMap::new();
    for resource in output {
        let text = |pointer: &str| resource.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = format!("{}/{}", text("/resourceType"), text("/id"));
        let twice = found.insert(name.clone(), text("/meta/versionId").to_owned());
        assert!(twice.is_none(), "{name} was exported twice");
    }
    found
}

async fn export(gateway: &Gateway, place: Place, query: &str) -> BTreeMap<String, String> {
    let id = begin(gateway, place, query).await.expect("the export is taken");
    made(gateway, id).await
}

/// The lines of a complete export: resources, and Bundles of deletions.
async fn contents(gateway: &Gateway, id: ExportId) -> (Vec<Value>, Vec<Value>) {
    let status = gateway.exchange.export_status(&requester(), id).await.expect("it is there");
    assert_eq!(status.state, ExportState::Complete);
    let (mut output, mut deleted) = (Vec::new(), Vec::new());
    for made in status.files {
        assert!((1..=3).contains(&made.resources), "{made:?}");
        let opened = gateway.exchange.open_export_file(&requester(), (id, made.id)).await;
        let (mut file, length) = opened.expect("it is there");
        let mut text = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut file, &mut text).await.expect("it is readable");
        assert_eq!(text.len() as u64, length);
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
        assert_eq!(lines.len() as u64, made.resources);
        match made.kind {
            FileKind::Output => output.extend(lines),
            FileKind::Deleted => deleted.extend(lines),
        }
    }
    (output, deleted)
}

#[tokio::test]
async fn every_statement_fits_the_schema() {
    for_each_database(|db| async move { assert_prepares(&db, store::STATEMENTS).await }).await;
}

#[tokio::test]
async fn resources_come_as_they_were_when_the_export_was_asked_for() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        keep_patients(&gateway, 7).await;
        delete(&gateway, "Patient", "p6").await;
        keep(&gateway, &somebody_else(), "Patient", &json!({"resourceType": "Patient", "id": "x"})).await;
        let id = begin(&gateway, Place::System, "").await.expect("the export is taken");
        keep_patients(&gateway, 2).await;
        keep(&gateway, &requester().access(), "Task", &json!({"resourceType": "Task", "id": "t"})).await;
        let expected = (0..6).map(|n| (format!("Patient/p{n}"), "1".to_owned())).collect();
        assert_eq!(made(&gateway, id).await, expected);
    })
    .await;
}

#[tokio::test]
async fn an_export_that_is_cut_off_goes_on_and_exports_everything_once() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        keep_patients(&gateway, 30).await;
        for files in [1, 2, 5, 9] {
            let id = begin(&gateway, Place::System, "_type=Patient").await.expect("the export is taken");
            gateway.clock.advance(SETTLE);
            let never = CancellationToken::new();
            let folder = gateway.exchange.settings.export.folder.join(id.to_string());
            // As a kill would: it is dropped wherever it is when so many files have begun.
            let so_many = async {
                while std::fs::read_dir(&folder).map_or(0, Iterator::count) < files {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                () = so_many => {}
                made = gateway.exchange.make_next_export(&never) => panic!("it ended: {made:?}"),
            }
            let status = gateway.exchange.export_status(&requester(), id).await.expect("it is there");
            assert_eq!(status.state, ExportState::Running);
            let made_before = status.files.first().cloned();
            gateway.clock.advance(Duration::from_mins(2));
            assert_eq!(made(&gateway, id).await.len(), 30, "after {files} files");
            let status = gateway.exchange.export_status(&requester(), id).await.expect("it is there");
            assert_eq!(status.files.len(), 10);
            assert_eq!(std::fs::read_dir(&folder).map_or(0, Iterator::count), 10, "nothing else lies there");
            assert!(made_before.is_none_or(|file| status.files.contains(&file)));
        }
    })
    .await;
}

#[tokio::test]
async fn exports_of_patients_have_their_compartments() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let own = requester().access();
        keep_patients(&gateway, 4).await;
        for (id, subject) in [("a", "Patient/p0"), ("b", "Patient/p1"), ("c", "Group/g")] {
            let subject = json!({"reference": subject});
            let condition = json!({"resourceType": "Condition", "id": id, "subject": subject});
            keep(&gateway, &own, "Condition", &condition).await;
        }
        keep(&gateway, &own, "Organization", &json!({"resourceType": "Organization", "id": "o"})).await;
        let group = json!({"resourceType": "Group", "id": "g", "member": [
            {"entity": {"reference": "Patient/p0"}},
            {"entity": {"reference": format!("{BASE}/Patient/p2")}},
            {"entity": {"reference": "Patient/p1"}, "inactive": true},
        ]});
        keep(&gateway, &own, "Group", &group).await;
        let names = |found: BTreeMap<String, String>| found.into_keys().collect::<Vec<_>>();

        let all = names(export(&gateway, Place::Type("Patient"), "_type=Condition,Patient").await);
        let patients = ["Patient/p0", "Patient/p1", "Patient/p2", "Patient/p3"];
        assert_eq!(all, [&["Condition/a", "Condition/b"][..], &patients].concat());
        let members = names(export(&gateway, Place::Instance("Group", "g".to_owned()), "").await);
        assert!(
            members
                .iter()
                .all(|name| ["Condition/a", "Group/g", "Patient/p0", "Patient/p2"].contains(&&**name)),
            "{members:?}"
        );
        assert!(
            ["Condition/a", "Patient/p0", "Patient/p2"]
                .iter()
                .all(|name| members.iter().any(|it| it == name)),
            "{members:?}"
        );
        let filtered = names(
            export(
                &gateway,
                Place::System,
                "_type=Condition&_typeFilter=Condition?subject=Patient/p1,Condition?subject=Group/g",
            )
            .await,
        );
        assert_eq!(filtered, ["Condition/b", "Condition/c"]);
        let missing = begin(&gateway, Place::Instance("Group", "nobody".to_owned()), "").await;
        assert!(matches!(missing, Err(ExportError::Interaction(InteractionError::NotFound))));
    })
    .await;
}

#[tokio::test]
async fn what_was_deleted_since_is_told_and_what_did_not_change_is_not() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        keep_patients(&gateway, 5).await;
        delete(&gateway, "Patient", "p0").await;
        let since = gateway.exchange.clock.now();
        gateway.clock.advance(Duration::from_millis(5));
        keep_patients(&gateway, 2).await;
        delete(&gateway, "Patient", "p3").await;
        let id = begin(&gateway, Place::Type("Patient"), &format!("_since={since}")).await;
        let id = id.expect("the export is taken");
        delete(&gateway, "Patient", "p4").await;
        let found: Vec<String> = made(&gateway, id).await.into_keys().collect();
        assert_eq!(found, ["Patient/p0", "Patient/p1"]);
        let (_, deleted) = contents(&gateway, id).await;
        assert_eq!(deleted.len(), 1);
        assert_eq!(deleted[0]["entry"], json!([{"request": {"method": "DELETE", "url": "Patient/p3"}}]));
    })
    .await;
}

#[tokio::test]
async fn an_export_is_its_owners_and_ends_with_its_time() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        keep_patients(&gateway, 1).await;
        let id = begin(&gateway, Place::System, "").await.expect("the export is taken");
        begin(&gateway, Place::System, "").await.expect("two may be under way");
        assert!(matches!(begin(&gateway, Place::System, "").await, Err(ExportError::TooMany)));
        made(&gateway, id).await;
        let (mut reader, now) = (db.reader().await.expect("a reader"), gateway.exchange.clock.now());
        let own = requester().access();
        let status = store::find(&mut reader.tx(), &own, id).await.expect("it reads").expect("it is there");
        let file = status.files[0].id;
        for (access, sees) in
            [(own, true), (somebody_else(), false), (Access::of_owner("other", "anonymous"), false)]
        {
            let mut tx = reader.tx();
            assert_eq!(store::find(&mut tx, &access, id).await.expect("it reads").is_some(), sees);
            assert_eq!(store::find_file(&mut tx, &access, id, file).await.expect("it reads").is_some(), sees);
            if !sees {
                let removed =
                    db.write(access, move |access, tx| Box::pin(store::remove(tx, access, id))).await;
                assert!(!removed.expect("it writes"));
            }
        }
        drop(reader);
        gateway.exchange.tidy_exports(now).await.expect("it tidies");
        assert!(gateway.exchange.export_status(&requester(), id).await.is_ok(), "its time is not over");
        gateway.clock.advance(Duration::from_hours(1));
        gateway.exchange.tidy_exports(gateway.exchange.clock.now()).await.expect("it tidies");
        let gone = gateway.exchange.export_status(&requester(), id).await;
        assert!(matches!(gone, Err(InteractionError::NotFound)));
        let folder = &gateway.exchange.settings.export.folder;
        assert_eq!(std::fs::read_dir(folder).map_or(0, Iterator::count), 0);
    })
    .await;
}

#[tokio::test]
async fn a_removed_export_is_not_made_any_more() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        keep_patients(&gateway, 4).await;
        let id = begin(&gateway, Place::System, "").await.expect("the export is taken");
        gateway.exchange.remove_export(&requester(), id).await.expect("it is removed");
        gateway.clock.advance(SETTLE);
        let never = CancellationToken::new();
        assert!(!gateway.exchange.make_next_export(&never).await.expect("the database answers"));
        let again = gateway.exchange.remove_export(&requester(), id).await;
        assert!(matches!(again, Err(InteractionError::NotFound)));
    })
    .await;
}
