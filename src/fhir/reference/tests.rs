//! The forms of references, and which texts of a resource are references.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fhir::testing;

const BASE: &str = "https://gateway.example/fhir";

fn target<'a>(resource_type: &'static str, id: &'a str, version: Option<&'a str>) -> Target<'a> {
    Target { resource_type, id, version }
}

#[test]
fn each_form_of_a_reference_is_told_apart() {
    let local = |id| Some(Reference::Local(target("Patient", id, None)));
    let remote = |url, target| Some(Reference::Remote { url, target });
    for (text, expected) in [
        ("Patient/1", local("1")),
        ("Patient/1/_history/2", Some(Reference::Local(target("Patient", "1", Some("2"))))),
        ("https://gateway.example/fhir/Patient/a.b-C", local("a.b-C")),
        ("https://gateway.example/fhir/metadata", remote("https://gateway.example/fhir/metadata", None)),
        ("https://gateway.example/fhirPatient/1", remote("https://gateway.example/fhirPatient/1", None)),
        (
            "http://other.example/r4/Patient/1",
            remote("http://other.example/r4/Patient/1", Some(target("Patient", "1", None))),
        ),
        (
            "http://other.example/Patient/1/_history/2",
            remote("http://other.example/Patient/1/_history/2", Some(target("Patient", "1", Some("2")))),
        ),
        ("http://other.example", remote("http://other.example", None)),
        ("urn:uuid:0c1a5b7e", Some(Reference::Urn("urn:uuid:0c1a5b7e"))),
        ("urn:oid:1.2.3", Some(Reference::Urn("urn:oid:1.2.3"))),
        ("urn:isbn:1", remote("urn:isbn:1", None)),
        ("#p1", Some(Reference::Contained("p1"))),
        ("#", Some(Reference::Contained(""))),
        (
            "Patient?identifier=s|1&active=true",
            Some(Reference::Conditional { resource_type: "Patient", query: "identifier=s|1&active=true" }),
        ),
        ("", None),
        ("urn:uuid:", None),
        ("Patient", None),
        ("Patient/", None),
        ("Patient?", None),
        ("Patient/1/", None),
        ("Patient/1/_history", None),
        ("Patient/1/_history/2/3", None),
        ("Patient/1/$everything", None),
        ("patient/1", None),
        ("Unknown/1", None),
        ("/Patient/1", None),
        ("Patient/1_2", None),
        ("Patient/ 1", None),
        ("#p/1", None),
    ] {
        assert_eq!(Reference::parse(text, BASE), expected, "{text}");
        assert_eq!(Reference::parse(text, &format!("{BASE}/")), expected, "{text}");
    }
    assert_eq!(Reference::parse("/Patient/1", ""), None);
}

fn transaction_entry() -> Value {
    json!({
        "resourceType": "DocumentReference",
        "id": "urn:uuid:1",
        "identifier": [{ "system": "urn:ietf:rfc:3986", "value": "urn:uuid:1" }],
        "meta": { "profile": ["urn:uuid:1"] },
        "text": { "status": "generated", "div": "<div><a href=\"urn:uuid:1\">urn:uuid:1</a></div>" },
        "subject": { "reference": "urn:uuid:1", "type": "Patient", "_reference": { "id": "r" } },
        "author": [{ "reference": "Practitioner?identifier=a" }, { "reference": "#c" }, { "display": "urn:uuid:1" }],
        "content": [{ "attachment": { "url": "urn:uuid:1", "title": "urn:uuid:1" } }],
        "extension": [
            { "url": "e", "valueUri": "urn:uuid:1" },
            { "url": "e", "valueCanonical": "urn:uuid:1" },
            { "url": "e", "valueString": "urn:uuid:1" },
            { "url": "e", "valueReference": { "reference": "urn:uuid:1" } },
        ],
        "instantiatesUri": ["urn:uuid:1", "relative"],
        "contained": [
            { "resourceType": "Basic", "id": "c", "subject": { "reference": "urn:uuid:1" } },
            { "resourceType": "Bundle", "entry": [{ "resource": { "subject": { "reference": "urn:uuid:1" } } }] },
        ],
        "other": { "reference": "urn:uuid:1", "unlike": "a Reference" },
    })
}

#[test]
fn references_are_rewritten_and_what_only_looks_like_one_is_not() {
    let mut resource = transaction_entry();
    let mut asked = Vec::new();
    rewrite_references(&mut resource, |text| {
        asked.push(text.to_owned());
        (text == "urn:uuid:1").then(|| "Patient/7".to_owned())
    });

    let mut expected = transaction_entry();
    expected["text"]["div"] = json!("<div><a href=\"Patient/7\">urn:uuid:1</a></div>");
    expected["subject"]["reference"] = json!("Patient/7");
    expected["content"][0]["attachment"]["url"] = json!("Patient/7");
    expected["extension"][0]["valueUri"] = json!("Patient/7");
    expected["extension"][3]["valueReference"]["reference"] = json!("Patient/7");
    expected["instantiatesUri"][0] = json!("Patient/7");
    expected["contained"][0]["subject"]["reference"] = json!("Patient/7");
    assert_eq!(resource, expected);
    asked.retain(|text| text != "urn:uuid:1");
    assert_eq!(asked, ["Practitioner?identifier=a", "#c"]);
}

#[test]
fn references_are_found_with_the_paths_of_their_elements() {
    let resource = transaction_entry();
    let found = find_references(&resource, "DocumentReference");
    let found: Vec<(&str, &str)> = found.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    assert_eq!(
        found,
        [
            ("DocumentReference.subject.reference", "urn:uuid:1"),
            ("DocumentReference.author[0].reference", "Practitioner?identifier=a"),
            ("DocumentReference.author[1].reference", "#c"),
            ("DocumentReference.extension[3].valueReference.reference", "urn:uuid:1"),
            ("DocumentReference.contained[0].subject.reference", "urn:uuid:1"),
        ]
    );
}

#[test]
fn only_the_links_in_tags_of_a_narrative_are_links() {
    let rename = |link: &str| (link == "urn:uuid:1").then(|| "Binary/1?a=\"<&'".to_owned());
    let escaped = "Binary/1?a=&quot;&lt;&amp;&#39;";
    for (div, expected) in [
        ("<div>href=\"urn:uuid:1\"</div>", None),
        ("<div title=\"urn:uuid:1\"/>", None),
        ("<div data-href=\"urn:uuid:1\"/>", None),
        ("<div title=\"> href='urn:uuid:1'\"/>", None),
        ("<!-- <a href=\"urn:uuid:1\"/> --><a href='#x'/>", None),
        ("<a href=\"urn:uuid:12\"/>", None),
        ("<a href=\"urn:uuid:1", None),
        ("<a href=urn:uuid:1>", None),
        ("<", None),
        ("<!--", None),
        ("<a href=\"urn:uuid:1\">", Some("<a href=\"@\">")),
        ("<img\n alt='\u{e9}' src = 'urn:uuid:1'/>", Some("<img\n alt='\u{e9}' src = '@'/>")),
        (
            "<p>\u{e9}<a class=\"x\" href=\"urn:uuid:1\">1</a><b/><img src=\"urn:uuid:1\" href=\"\"/></p>",
            Some("<p>\u{e9}<a class=\"x\" href=\"@\">1</a><b/><img src=\"@\" href=\"\"/></p>"),
        ),
    ] {
        let expected = expected.map(|text| text.replace('@', escaped));
        match narrative::rewrite_links(div, rename) {
            Cow::Owned(found) => assert_eq!(Some(found), expected, "{div}"),
            Cow::Borrowed(found) => assert_eq!((found, None), (div, expected), "{div}"),
        }
    }
}

#[test]
fn every_published_example_is_the_same_when_nothing_has_a_new_name() {
    for (name, text) in testing::published_examples() {
        let before: Value = serde_json::from_slice(text).expect(name);
        let mut after = before.clone();
        rewrite_references(&mut after, |_| None);
        assert_eq!(after, before, "{name}");
        // And when each has its old one for a new one.
        rewrite_references(&mut after, |text| Some(text.to_owned()));
        assert_eq!(after, before, "{name}");
    }
}

proptest! {
    #[test]
    fn a_local_reference_reads_back(id in "[A-Za-z0-9.-]{1,64}", version in proptest::option::of("[a-z0-9]{1,9}"), absolute in any::<bool>()) {
        let base = if absolute { format!("{BASE}/") } else { String::new() };
        let version_path = version.as_ref().map_or_else(String::new, |version| format!("/_history/{version}"));
        let text = format!("{base}Task/{id}{version_path}");
        let expected = target("Task", &id, version.as_deref());
        prop_assert_eq!(Reference::parse(&text, BASE), Some(Reference::Local(expected)));
    }

    #[test]
    fn no_text_makes_it_panic(
        text in "(urn:uuid:|https?://|Patient|/|_history|#|\\?|a|\u{e9}){0,8}",
        div in "(<a |<!--|-->|href|src|=|\"|'|>|urn:a:b|\u{e9}| ){0,14}",
    ) {
        let _ = Reference::parse(&text, BASE);
        let rewritten = narrative::rewrite_links(&div, |_| Some("urn:c:d".to_owned())).into_owned();
        prop_assert_eq!(narrative::rewrite_links(&div, |link| Some(link.to_owned())).into_owned(), div);
        let again = narrative::rewrite_links(&rewritten, |_| Some("urn:c:d".to_owned())).into_owned();
        prop_assert_eq!(again, rewritten);
    }
}
