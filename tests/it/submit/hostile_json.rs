//! JSON that is wrong, huge or sly (`security` J-01 to J-08): each gets its right answer, nothing is kept, and
//! the process stays small and alive.

use serde_json::{Value, json};

use super::assert_nothing_left;
use crate::support::content::{base64, replace_once};
use crate::support::gateway::Gateway;
use crate::support::submission::{accepted, document, names, note, parameters, refused, request, submit};

/// What a hostile body may add to the resident memory, in KiB.
const ROOM_KIB: u64 = 64 * 1024;

#[test]
fn broken_json_is_400_and_leaves_nothing() {
    let whole = note("broken", b"x");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("cut off", whole.as_bytes()[..whole.len() - 1].to_vec()),
        ("text behind", format!("{whole}{{}}").into_bytes()),
        ("byte order mark", format!("\u{feff}{whole}").into_bytes()),
        ("array", format!("[{whole}]").into_bytes()),
        ("string", b"\"Parameters\"".to_vec()),
        ("null", b"null".to_vec()),
        (
            "trailing comma",
            replace_once(&whole, "\"resourceType\":\"Parameters\",", "\"resourceType\":\"Parameters\",,")
                .into_bytes(),
        ),
        ("UTF-16", whole.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("invalid UTF-8", splice(&whole, b"\xc3\x28")),
        ("overlong UTF-8", splice(&whole, b"\xc0\xaf")),
        ("raw control character", splice(&whole, b"\x01")),
        ("NUL", splice(&whole, br"\u0000")),
        ("lone surrogate", splice(&whole, br"\ud800")),
        ("escaped control character", splice(&whole, br"\u0007")),
        ("bad escape", splice(&whole, br"\x")),
    ];
    let gateway = Gateway::start();
    for (name, body) in cases {
        let answer = submit(&gateway, body);
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
        refused(&answer, 400);
    }
    assert_nothing_left(&gateway);
    accepted(&submit(&gateway, whole));
}

#[test]
fn duplicate_keys_are_400_even_when_escaped() {
    let whole = note("duplicate", b"x");
    let resource = "\"resourceType\":\"DocumentReference\"";
    let cases = [
        replace_once(
            &whole,
            "\"resourceType\":\"Parameters\"",
            "\"resourceType\":\"Parameters\",\"resourceType\":\"Parameters\"",
        ),
        replace_once(&whole, resource, &format!("{resource},\"status\":\"current\"")),
        replace_once(&whole, resource, &format!("{resource},\"st\\u0061tus\":\"current\"")),
        replace_once(
            &whole,
            "\"valueCode\":\"claim\"",
            "\"valueCode\":\"claim\",\"valueCode\":\"preauthorization\"",
        ),
    ];
    let gateway = Gateway::start();
    for body in cases {
        refused(&submit(&gateway, body), 400);
    }
    assert_nothing_left(&gateway);
}

#[test]
fn numbers_out_of_measure_are_400() {
    let gateway = Gateway::start();
    for number in [
        "1".repeat(100_000),
        format!("0.{}", "3".repeat(100_000)),
        "01".into(),
        "1.".into(),
        "+1".into(),
        "NaN".into(),
    ] {
        let observation = format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"valueQuantity":{{"value":{number}}}}}"#
        );
        refused(&submit(&gateway, with_content("number", &observation)), 400);
    }
    assert_nothing_left(&gateway);
}

#[test]
fn depth_is_bounded_and_costs_nothing() {
    let gateway = Gateway::start();
    let idle = gateway.memory();
    for depth in [128, 10_000, 1_000_000] {
        let arrays = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let contained =
            format!("{}{{}}{}", r#"{"resourceType":"Basic","contained":["#.repeat(depth), "]}".repeat(depth));
        let extensions = format!("{}{{}}{}", r#"{"extension":["#.repeat(depth), "]}".repeat(depth));
        for body in [
            arrays.clone(),
            with_content("deep", &arrays),
            with_content("deep", &contained),
            with_content("deep", &extensions),
        ] {
            let answer = submit(&gateway, body);
            assert!(matches!(answer.status, 400 | 413), "depth {depth}: {}", answer.status);
        }
        let unclosed = submit(&gateway, "{\"a\":".repeat(depth));
        assert!(matches!(unclosed.status, 400 | 413), "depth {depth}: {}", unclosed.status);
    }
    assert_stays_small(&gateway, idle);
    assert_nothing_left(&gateway);
}

#[test]
fn a_bomb_of_small_values_is_refused_before_it_grows() {
    let gateway = Gateway::start();
    let idle = gateway.memory();
    let many = |value: &str| format!("[{}{value}]", format!("{value},").repeat(3_000_000));
    for list in [many("0"), many("{}"), many("\"\"")] {
        let answer = submit(
            &gateway,
            with_content("bomb", &format!(r#"{{"resourceType":"Basic","extension":{list}}}"#)),
        );
        assert!(matches!(answer.status, 400 | 413), "{}", answer.status);
        refused(&answer, answer.status);
    }
    assert_stays_small(&gateway, idle);
    assert_nothing_left(&gateway);
}

#[test]
fn keys_may_come_in_any_order() {
    let gateway = Gateway::start();
    let last = r#"{"status":"current","content":[{"attachment":{"data":"eA=="}}],"resourceType":"DocumentReference"}"#;
    let contained = concat!(
        r#"{"status":"current","contained":[{"id":"p","active":true,"resourceType":"Patient"}],"#,
        r##""subject":{"reference":"#p"},"resourceType":"DocumentReference","##,
        r#""content":[{"attachment":{"contentType":"text/plain","data":"eA=="}}]}"#,
    );
    for (number, content) in [last, contained].into_iter().enumerate() {
        let ids = accepted(&submit(&gateway, with_content(&format!("order-{number}"), content)));
        gateway.wait_delivered(&ids[0], 1);
        assert_eq!(gateway.delivered_bytes(&ids[0]), b"x");
    }
    let body = note("parameters-last", b"x");
    let body = replace_once(&body, "\"resourceType\":\"Parameters\",", "");
    let body = format!("{},\"resourceType\":\"Parameters\"}}", &body[..body.len() - 1]);
    accepted(&submit(&gateway, body));
}

#[test]
fn wrong_resource_types_are_400() {
    let gateway = Gateway::start();
    for kind in ["\"parameters\"", "\"Bundle\"", "\"Nothing\"", "1", "[\"Parameters\"]", "null"] {
        let body = note("type", b"x").replacen(
            "\"resourceType\":\"Parameters\"",
            &format!("\"resourceType\":{kind}"),
            1,
        );
        refused(&submit(&gateway, body), 400);
    }
    for content in [
        r#"{"status":"current"}"#,
        r#"{"resourceType":"Nothing"}"#,
        r#"{"resourceType":"documentreference"}"#,
        "[]",
        "1",
    ] {
        refused(&submit(&gateway, with_content("type", content)), 400);
    }
    assert_nothing_left(&gateway);
}

#[test]
fn base64_with_line_breaks_and_escapes_is_decoded() {
    let gateway = Gateway::start();
    // Small ones stay in the skeleton, large ones are decoded while they arrive.
    for length in [57_usize, 400_000] {
        let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect();
        let clean = base64(&bytes);
        let mut broken = String::new();
        for (number, line) in clean.as_bytes().chunks(76).enumerate() {
            broken.push_str(&String::from_utf8_lossy(line));
            broken.push_str([r"\r\n", r"\n", " ", r"\t"][number % 4]);
        }
        let escaped = clean.replace('/', r"\/").replacen('A', r"\u0041", 1);
        for (name, text) in [("breaks", broken), ("escapes", escaped)] {
            let body = note(&format!("{name}-{length}"), b"HERE");
            let body = replace_once(&body, &base64(b"HERE"), &text);
            let ids = accepted(&submit(&gateway, body));
            gateway.wait_delivered(&ids[0], 1);
            assert!(gateway.delivered_bytes(&ids[0]) == bytes, "{name} of {length}: other bytes arrived");
        }
    }
}

#[test]
fn base64_garbage_is_400_naming_the_data() {
    let gateway = Gateway::start();
    let long = "QUJD".repeat(60_000);
    for wrong in ["!!!!", "Q", "QQ", "QQ=", "QQ==QQ==", "QR==", "-_-_", "QUJD\u{e9}"] {
        for text in [wrong.to_owned(), format!("{long}{wrong}")] {
            let body = note("garbage", b"HERE");
            let issues = refused(&submit(&gateway, replace_once(&body, &base64(b"HERE"), &text)), 400);
            assert!(names(&issues, "data"), "{wrong}: {issues:?}");
        }
    }
    assert_nothing_left(&gateway);
}

#[test]
fn names_that_climb_stay_inside_the_target() {
    let climbing = ["../../../climbed", "/etc/climbed", r"..\..\climbed", "a/../../climbed", "..", "."];
    let gateway = Gateway::start();
    let target = gateway.data_dir().join("delivered/local");
    let mut count = 0;
    for name in climbing {
        let attachment = json!({"contentType": "text/plain", "data": "eA==", "title": name});
        let mut body = parameters(name, vec![document(vec![attachment])]);
        for parameter in body["parameter"].as_array_mut().into_iter().flatten() {
            if parameter["valueIdentifier"].is_object() {
                parameter["valueIdentifier"]["value"] = json!(name);
            }
        }
        for id in accepted(&submit(&gateway, body.to_string())) {
            gateway.wait_delivered(&id, 1);
            count += 1;
        }
    }
    let files = gateway.delivered();
    assert_eq!(files.len(), count, "each was delivered once");
    for file in files {
        let file = file.canonicalize().expect("a delivered file is there");
        assert!(file.starts_with(target.canonicalize().expect("the target is there")), "one climbed out");
    }
    assert!(crate::support::files::below(gateway.scratch()).iter().all(|path| !path.ends_with("climbed")));
}

#[test]
fn wrong_methods_and_headers_do_not_shake_the_server() {
    let gateway = Gateway::start();
    for raw in [
        "\r\n\r\n",
        "NONSENSE\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "POST /fhir/$submit-attachment HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    ] {
        let mut connection = gateway.connect().expect("it listens");
        connection.send(raw.as_bytes()).expect("a few bytes go out");
        connection.finish_sending();
        // Whatever it answers, it answers or hangs up.
        let _ = connection.answer(false);
    }
    let both = request(note("smuggle", b"x")).header("Transfer-Encoding", "chunked");
    let _ = gateway.try_ask(&both);
    accepted(&submit(&gateway, note("alive", b"x")));
}

/// A submission whose content is this text.
fn with_content(tracking_id: &str, content: &str) -> String {
    replace_once(&parameters(tracking_id, vec![Value::from("HERE")]).to_string(), "\"HERE\"", content)
}

/// The submission with bytes put into a string that may hold anything.
fn splice(body: &str, bytes: &[u8]) -> Vec<u8> {
    let at = body.find("broken").expect("the tracking id");
    [&body.as_bytes()[..at], bytes, &body.as_bytes()[at..]].concat()
}

#[track_caller]
fn assert_stays_small(gateway: &Gateway, idle: Option<crate::support::process::Memory>) {
    let (Some(idle), Some(now)) = (idle, gateway.memory()) else { return };
    assert!(now.peak_kib <= idle.resident_kib + ROOM_KIB, "{now:?} after {idle:?}");
    gateway.get("/health/live").expect(200);
}
