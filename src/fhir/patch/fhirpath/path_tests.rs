//! Which texts are paths of a patch, and what they say.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::path::{Equation, Path, Step};

#[test]
fn a_path_of_another_form_is_not_half_understood() {
    let steps = |text: &str| Path::parse(text).map(|path| path.steps);
    let element = |name: &str| Step::Element(name.to_owned());
    let equation = |path: &[&str], literal: Value| Equation {
        path: path.iter().map(|&step| step.to_owned()).collect(),
        literal,
    };
    assert_eq!(
        steps(" Patient . name [ 0 ] . given "),
        Some(vec![element("name"), Step::Index(0), element("given")])
    );
    assert_eq!(
        steps(
            "telecom.where(system = 'phone' and rank = 1 and period.start=@2020-01-01 and $this.x = true).single()"
        ),
        Some(vec![
            element("telecom"),
            Step::Where(vec![
                equation(&["system"], json!("phone")),
                equation(&["rank"], json!(1)),
                equation(&["period", "start"], json!("2020-01-01")),
                equation(&["x"], json!(true)),
            ]),
            Step::Single,
        ])
    );
    assert_eq!(
        steps(r"x.extension('a\'\u0041\\').as(FHIR.Quantity)").expect("a path")[1],
        Step::Extension("a'A\\".to_owned())
    );
    assert_eq!(steps("text.`div`"), Some(vec![element("text"), element("div")]));
    for text in [
        "",
        " ",
        ".",
        "Patient.",
        "Patient..name",
        "Patient.name[",
        "Patient.name[-1]",
        "Patient.name[x]",
        "Patient.name[0",
        "Patient.name[99999999999999999999999]",
        "Patient.name.count()",
        "Patient.name.where()",
        "Patient.name.where(a)",
        "Patient.name.where(a='x' or b='y')",
        "Patient.name.where(a='x)",
        "Patient.name | Patient.contact",
        "(Patient.name)",
        "Patient.extension(u)",
        "Patient.name.first(1)",
        "%resource.name",
        "Patient name",
        "x.where(a='\\q')",
        "x.``",
        &"x.".repeat(2000),
    ] {
        assert_eq!(Path::parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_path_reader_panic(text in "(Patient|name|where\\(|first\\(\\)|'|\\\\|\\.|\\[0\\]|=|and|@|`|\u{e9}| ){0,12}") {
        let _ = Path::parse(&text);
    }
}
