//! How fast the FHIR repository is: the release binary over loopback with full durability on SQLite. Creations are
//! held against bare commits of one row, searches against requests that look at nothing (`/health/live`), and a
//! search among many documents against the same search among few. Data requests are held against a plain Task and the
//! search that it asks for, and polling what has changed among many Tasks against polling the same among few.
//!
//! `cargo bench --bench fhir`; `CDEX_BENCH_DOCUMENTS` and `CDEX_BENCH_TASKS` say how many are many (100,000 unless
//! set). Client and gateway share the machine.

mod commit;
#[expect(dead_code, reason = "the benches need a part of what the tests share")]
#[path = "../it/support/mod.rs"]
mod support;
mod table;

use std::error::Error;
use std::time::Duration;

use self::commit::BareDatabase;
use self::support::environment;
use self::support::gateway::Gateway;
use self::support::http::Request;
use self::table::{speed, timed};

type Failure = Box<dyn Error + Send + Sync>;

const TASKS: usize = 10_000;
const SEARCHES: usize = 10_000;
/// Data requests.
const ANSWERED: usize = 1_000;
/// Patients whom they are about.
const ASKED_ABOUT: usize = 100;
/// Documents of one patient.
const OF_ONE_PATIENT: usize = 50;
const FEW: usize = 10_000;
/// Tasks on one page of a poll.
const OF_ONE_PAGE: usize = 500;
/// Rows that the limit commits one after the other.
const ALONE: usize = 1_000;
/// Documents that one transaction Bundle carries when many are put in place.
const OF_ONE_BUNDLE: usize = 500;

fn main() -> Result<(), Failure> {
    tasks()?;
    answers()?;
    polls()?;
    documents()
}

/// Tasks created one by one and searched for.
fn tasks() -> Result<(), Failure> {
    let gateway = Gateway::start();
    table::heading(&format!("Task creations, in {}", gateway.scratch().display()), "Task");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut database = runtime.block_on(BareDatabase::sqlite(&gateway.scratch().join("bare.db")))?;
    let (time, committed) = timed(|| -> Result<(), Failure> {
        for _ in 0..ALONE {
            runtime.block_on(database.commit_row())?;
        }
        Ok(())
    });
    committed?;
    let limit = table::limit("bare SQLite: one row, one commit", speed(ALONE, time));
    for connections in [1, 8, 64] {
        let count = TASKS / connections;
        let time = at_once(connections, |connection| {
            let mut line = gateway.connect().expect("it listens");
            for number in 0..count {
                let request = json("/fhir/Task", task(connection * count + number));
                assert_eq!(line.exchange(&request).expect("it answers").status, 201);
            }
        });
        table::row(&format!("{connections} connections"), speed(count * connections, time), limit);
    }

    table::heading("Task searches", "search");
    let nothing = gets(&gateway, 8, |_| "/health/live".to_owned());
    let limit = table::limit("8 connections, /health/live", nothing);
    for connections in [1, 8, 64] {
        let rate = gets(&gateway, connections, |_| "/fhir/Task?_count=10".to_owned());
        table::row(&format!("{connections} connections, Task?_count=10"), rate, limit);
    }
    let rate =
        gets(&gateway, 8, |n| format!("/fhir/Task?patient=Patient/p{}&status=requested&_count=10", n % 500));
    table::row("8 connections, Task?patient=…&status=…&_count=10", rate, limit);
    Ok(())
}

/// Data requests that the gateway answers by itself, from the first POST to the last answer, against creating a plain
/// Task and searching the same.
fn answers() -> Result<(), Failure> {
    let gateway = Gateway::start();
    table::heading("Data requests answered, 8 connections", "Task");
    let mut line = gateway.connect()?;
    for patient in 0..ASKED_ABOUT {
        let entries: Vec<String> = [format!(r#"{{"resourceType":"Patient","id":"p{patient}"}}"#)]
            .into_iter()
            .chain((0..4).map(|number| condition(patient, number)))
            .map(|resource| {
                let (name, id) = name_of(&resource);
                format!(r#"{{"resource":{resource},"request":{{"method":"PUT","url":"{name}/{id}"}}}}"#)
            })
            .collect();
        let entries = entries.join(",");
        let body = format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{entries}]}}"#);
        assert_eq!(line.exchange(&json("/fhir", body))?.status, 200);
    }
    let connections = 8;
    let count = ANSWERED / connections;
    let time = at_once(connections, |connection| {
        let mut line = gateway.connect().expect("it listens");
        for number in (0..count).map(|number| connection * count + number) {
            let created = line.exchange(&json("/fhir/Task", task(number))).expect("it answers");
            let path = format!("/fhir/Condition?patient=p{}&clinical-status=active", number % ASKED_ABOUT);
            let found = line.exchange(&Request::new("GET", &path)).expect("it answers");
            assert_eq!((created.status, found.status), (201, 200));
        }
    });
    let limit = table::limit("a plain Task and the search", speed(count * connections, time));
    let (time, answered) = timed(|| -> Result<(), Failure> {
        at_once(connections, |connection| {
            let mut line = gateway.connect().expect("it listens");
            for number in (0..count).map(|number| connection * count + number) {
                let created = line.exchange(&json("/fhir/Task", data_request(number))).expect("it answers");
                assert_eq!(created.status, 201, "{}", created.text());
            }
        });
        support::wait::until("the Tasks to be answered", || {
            let path = "/fhir/Task?status=completed&_summary=count";
            let answer = line.exchange(&Request::new("GET", path)).ok()?;
            (answer.json()["total"] == count * connections).then_some(())
        });
        Ok(())
    });
    answered?;
    table::row("a data request and its answer", speed(count * connections, time), limit);
    Ok(())
}

/// What has changed since the last poll, taken page by page as a requester does it: the same Tasks, whatever else is
/// stored.
fn polls() -> Result<(), Failure> {
    let many = environment::number("CDEX_BENCH_TASKS").map_or(Ok(100_000), usize::try_from)?;
    table::heading(&format!("{FEW} changed Tasks polled by _lastUpdated, pages of {OF_ONE_PAGE}"), "Task");
    let mut few = Vec::new();
    for tasks in [FEW, many] {
        let mut gateway = Gateway::start();
        let created = gateway.ask(&json("/fhir/Task", task(0))).json();
        // What fills the database keeps everybody else from writing for minutes.
        assert!(gateway.stop().success());
        let text = |at: &str| created.pointer(at).and_then(serde_json::Value::as_str).unwrap_or_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut database = BareDatabase::open_sqlite(&gateway.data_dir().join("gateway.db")).await?;
            database.multiply(text("/id"), tasks).await
        })?;
        gateway.launch();
        let mut line = gateway.connect()?;
        // The copies are a millisecond apart.
        let newest: jiff::Timestamp = text("/meta/lastUpdated").parse()?;
        let since = newest - jiff::SignedDuration::from_millis(i64::try_from(FEW)?);
        for (number, of_whom) in
            ["", "&owner=Organization/o0", "&requester:identifier=1407071236"].iter().enumerate()
        {
            let first = format!("/fhir/Task?_lastUpdated=gt{since:.3}{of_whom}&_count={OF_ONE_PAGE}");
            let time = table::best_of_three(|| assert!(poll(&mut line, &first) >= FEW, "{first}"));
            let what = format!("among {tasks}{}", of_whom.replace('&', ", "));
            match few.get(number) {
                None => few.push(table::limit(&what, speed(FEW, time))),
                Some(few) => table::row(&what, speed(FEW, time), *few),
            }
        }
    }
    Ok(())
}

/// Takes all pages of a search; how many Tasks there are on them.
fn poll(line: &mut support::http::Connection, first: &str) -> usize {
    let (mut found, mut next) = (0, Some(first.to_owned()));
    while let Some(path) = next.take() {
        let answer = line.exchange(&Request::new("GET", &path)).expect("it answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        found += page["entry"].as_array().map_or(0, Vec::len);
        let links = page["link"].as_array().into_iter().flatten();
        let url = links.filter(|link| link["relation"] == "next").find_map(|link| link["url"].as_str());
        next = url.and_then(|url| Some(url[url.find("/fhir/")?..].to_owned()));
    }
    found
}

/// The documents of one patient, found among few and among many.
fn documents() -> Result<(), Failure> {
    let many = environment::number("CDEX_BENCH_DOCUMENTS").map_or(Ok(100_000), usize::try_from)?;
    table::heading("DocumentReference?patient=…&type=…&_sort=-date&_count=10, median", "search");
    let mut few = None;
    for documents in [FEW, many] {
        let gateway = Gateway::start();
        put_documents(&gateway, documents);
        let patients = documents / OF_ONE_PATIENT;
        let mut line = gateway.connect()?;
        let mut times = Vec::new();
        for number in 0..2_000 {
            // A step that is prime to the number of patients: each is asked for once before any is again.
            let patient = number * 7919 % patients;
            let path =
                format!("/fhir/DocumentReference?patient=p{patient}&type=11506-3&_sort=-date&_count=10");
            let (time, answer) = timed(|| line.exchange(&Request::new("GET", &path)));
            assert_eq!(answer?.status, 200);
            times.push(time);
        }
        let median = speed(1, median(times));
        let what = format!("one connection, among {documents} documents");
        match few {
            None => few = Some(table::limit(&what, median)),
            Some(few) => table::row(&what, median, few),
        }
    }
    Ok(())
}

fn put_documents(gateway: &Gateway, documents: usize) {
    let connections = 8;
    let bundles = documents / OF_ONE_BUNDLE;
    at_once(connections, |connection| {
        let mut line = gateway.connect().expect("it listens");
        for bundle in (connection..bundles).step_by(connections) {
            let first = bundle * OF_ONE_BUNDLE;
            let entries: Vec<String> = (first..first + OF_ONE_BUNDLE)
                .map(|number| {
                    let resource = document(number, documents / OF_ONE_PATIENT);
                    format!(
                        r#"{{"resource":{resource},"request":{{"method":"POST","url":"DocumentReference"}}}}"#
                    )
                })
                .collect();
            let body = format!(
                r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#,
                entries.join(",")
            );
            let answer = line.exchange(&json("/fhir", body)).expect("it answers");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    });
}

/// Runs the same on several threads; how long until the last is done.
fn at_once(threads: usize, work: impl Fn(usize) + Sync) -> Duration {
    let (time, ()) = timed(|| {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let work = &work;
                scope.spawn(move || work(thread));
            }
        });
    });
    time
}

/// How many GETs a second are answered.
fn gets(gateway: &Gateway, connections: usize, path: impl Fn(usize) -> String + Sync) -> f64 {
    let count = SEARCHES / connections;
    let time = at_once(connections, |connection| {
        let mut line = gateway.connect().expect("it listens");
        for number in 0..count {
            let request = Request::new("GET", &path(connection * count + number));
            assert_eq!(line.exchange(&request).expect("it answers").status, 200);
        }
    });
    speed(count * connections, time)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn json(path: &str, body: String) -> Request {
    Request::new("POST", path).header("Content-Type", "application/fhir+json").body(body)
}

fn task(number: usize) -> String {
    let patient = number % 500;
    format!(
        r#"{{"resourceType":"Task","identifier":[{{"system":"http://payer.example/task","value":"t{number}"}}],
        "status":"requested","intent":"order","code":{{"coding":[{{"system":"http://hl7.org/fhir/CodeSystem/task-code",
        "code":"fulfill"}}]}},"for":{{"reference":"Patient/p{patient}"}},"authoredOn":"2026-03-14T09:26:53Z",
        "lastModified":"2026-03-14T09:26:53Z","requester":{{"identifier":{{"system":"http://hl7.org/fhir/sid/us-npi",
        "value":"1407071236"}}}},"owner":{{"reference":"Organization/o{patient}"}},
        "input":[{{"type":{{"text":"what is asked"}},"valueString":"progress notes of the last visit"}}]}}"#
    )
}

fn condition(patient: usize, number: usize) -> String {
    let status = ["active", "resolved"][number % 2];
    format!(
        r#"{{"resourceType":"Condition","id":"p{patient}-{number}","clinicalStatus":{{"coding":[{{"system":
        "http://terminology.hl7.org/CodeSystem/condition-clinical","code":"{status}"}}]}},
        "code":{{"text":"a condition"}},"subject":{{"reference":"Patient/p{patient}"}},"recordedDate":"2025-01-01"}}"#
    )
}

/// The type and id of a resource.
fn name_of(resource: &str) -> (String, String) {
    let tree: serde_json::Value = serde_json::from_str(resource).expect("it is JSON");
    let text = |name: &str| tree[name].as_str().expect("it is there").to_owned();
    (text("resourceType"), text("id"))
}

fn data_request(number: usize) -> String {
    let patient = number % ASKED_ABOUT;
    format!(
        r#"{{"resourceType":"Task","status":"requested","intent":"order","code":{{"coding":[{{"system":
        "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp","code":"data-request-query"}}]}},
        "for":{{"reference":"Patient/p{patient}"}},"authoredOn":"2026-03-14T09:26:53Z",
        "requester":{{"identifier":{{"system":"http://payer.example/payers","value":"p"}}}},
        "owner":{{"identifier":{{"system":"http://hl7.org/fhir/sid/us-npi","value":"1407071236"}}}},
        "input":[{{"type":{{"coding":[{{"system":"http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp",
        "code":"data-query"}}]}},"valueString":"Condition?patient=p{patient}&clinical-status=active"}}]}}"#
    )
}

fn document(number: usize, patients: usize) -> String {
    let (patient, turn) = (number % patients, number / patients);
    let code = ["11506-3", "34117-2", "18842-5", "11504-8", "11502-2"][turn % 5];
    let (month, day) = (turn % 12 + 1, number % 28 + 1);
    format!(
        r#"{{"resourceType":"DocumentReference","identifier":[{{"system":"http://ehr.example/document","value":"d{number}"}}],
        "status":"current","type":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},
        "category":[{{"coding":[{{"system":"http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
        "code":"clinical-note"}}]}}],"subject":{{"reference":"Patient/p{patient}"}},
        "date":"2025-{month:02}-{day:02}T08:00:00Z","author":[{{"reference":"Practitioner/a{}"}}],
        "content":[{{"attachment":{{"contentType":"text/plain","data":"UGF0aWVudCBmZWVscyB3ZWxsLgo="}}}}]}}"#,
        number % 97
    )
}
