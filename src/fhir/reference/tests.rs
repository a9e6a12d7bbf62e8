//! Which texts of a resource are references.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fhir::testing;

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
    fn links_are_rewritten_whatever_is_around_them(
        div in "(<a |<!--|-->|href|src|=|\"|'|>|urn:a:b|\u{e9}| ){0,14}",
    ) {
        let rewritten = narrative::rewrite_links(&div, |_| Some("urn:c:d".to_owned())).into_owned();
        prop_assert_eq!(narrative::rewrite_links(&div, |link| Some(link.to_owned())).into_owned(), div);
        let again = narrative::rewrite_links(&rewritten, |_| Some("urn:c:d".to_owned())).into_owned();
        prop_assert_eq!(again, rewritten);
    }
}
