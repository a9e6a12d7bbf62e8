//! Tests of path templates: DEX's documented cases, and that no manifest leads out of a target.

use std::path::{Component, Path};

use proptest::prelude::*;

use super::*;

const ID: &str = "8f40fed6-4431-4ee3-8506-2e08871af41d";
const EVERY_VARIABLE: &str =
    "{{.DataStreamID}}-{{.DataStreamRoute}}/{{.Prefix}}{{.Suffix}}/{{.Hour}}/{{.Filename}}_{{.UploadId}}";

fn manifest(filename: &str, ingested: Option<&str>) -> SenderManifest {
    let mut fields = serde_json::json!({
        "data_stream_id": "dextesting", "data_stream_route": "testevent1", "upload_id": ID,
        "received_filename": filename,
    });
    if let Some(ingested) = ingested {
        fields["dex_ingest_datetime"] = ingested.into();
    }
    SenderManifest::from_json(fields.to_string().as_bytes()).expect("these fields are a manifest")
}

fn render(template: &str, filename: &str) -> String {
    let manifest = manifest(filename, Some("2020-04-11T05:12:30.00000005Z"));
    PathTemplate::parse(template)
        .and_then(|template| template.render(&manifest))
        .expect("the template renders")
}

#[test]
fn documented_templates_give_documented_paths() {
    let id_txt = format!("{ID}.txt");
    let cases = [
        (
            "routine-immunization-zip/{{.Year}}/{{.Month}}/{{.Day}}/{{.Filename}}",
            "test.txt",
            "routine-immunization-zip/2020/04/11/test.txt".to_owned(),
        ),
        ("{{.UploadId}}", "test.txt", id_txt.clone()),
        ("", "test.txt", "2020/04/11/test.txt".to_owned()),
        ("{{ .Filename }}", "a.tar.gz", "a.tar.gz".to_owned()),
        ("{{.Filename}}_{{.UploadId}}", "a.tar.gz", format!("a.tar_{ID}.gz")),
        ("{{.UploadId}}", ".hidden", format!("{ID}.hidden")),
        ("{{.Filename}}", "v1.2", "v1.2".to_owned()),
        ("{{.UploadId}}", "dex-smoke-test", ID.to_owned()),
        (
            "DHDD (new+old)/EHDI x/{{.Hour}}/{{.Filename}}",
            "Befund (2) + Röntgen 写真.pdf",
            "DHDD (new+old)/EHDI x/05/Befund (2) + Röntgen 写真.pdf".to_owned(),
        ),
        (EVERY_VARIABLE, "f.x", format!("dextesting-testevent1/05/f_{ID}.x")),
    ];
    for (template, filename, expected) in cases {
        assert_eq!(render(template, filename), expected, "{template}");
    }
}

/// W-05
#[test]
fn harmful_names_become_harmless_ones() {
    let cases = [
        ("..", "__"),
        (".", "_"),
        ("../../etc/passwd", "______etc_passwd"),
        ("/etc/passwd", "_etc_passwd"),
        ("..\\..\\boot.ini", "______boot.ini"),
        ("a\0b\r\n.txt", "a_b__.txt"),
        ("exe\u{202e}gpj.txt", "exe_gpj.txt"),
        (".part-1", "_part-1"),
        (".PART-1", "_PART-1"),
        ("a. ", "a__"),
        ("b .", "b__"),
        ("x.meta.json", "x.meta_.json"),
        ("x.META.json", "x.META_.json"),
        ("", ID),
    ];
    for (filename, expected) in cases {
        assert_eq!(render("{{.Filename}}", filename), expected, "{filename:?}");
    }
    assert_eq!(render("in/{{.Filename}}", ""), format!("in/{ID}"));
    assert_eq!(render("{{.Prefix}}/{{.Filename}}", "a"), "a");
}

#[test]
fn long_names_are_cut_and_keep_upload_id_and_extension() {
    let path = render("{{.Filename}}_{{.UploadId}}", &format!("{}.pdf", "ü".repeat(300)));
    assert_eq!(path, format!("{}_{ID}.pdf", "ü".repeat(75)));
    let path = render("{{.Filename}}{{.Filename}}_{{.UploadId}}", &format!("{}.pdf", "x".repeat(300)));
    assert_eq!(path.len(), SEGMENT_LIMIT_BYTES);
    assert!(path.ends_with(&format!("_{ID}.pdf")));
}

#[test]
fn templates_that_cannot_work_are_refused_at_load() {
    use PathTemplateError as E;
    let cases = [
        ("{{.Filename", E::Unclosed),
        ("{{.Nope}}", E::UnknownVariable("Nope".to_owned())),
        ("{{Filename}}", E::NotASubstitution("Filename".to_owned())),
        ("{{}}", E::NotASubstitution(String::new())),
        ("{{if .Year}}a{{end}}", E::NotASubstitution("if .Year".to_owned())),
        ("{{- .Year -}}", E::NotASubstitution("- .Year -".to_owned())),
        ("/abs/{{.Filename}}", E::UnsafePath),
        ("a/../{{.Filename}}", E::UnsafePath),
        ("./{{.Filename}}", E::UnsafePath),
        ("a\\{{.Filename}}", E::UnsafePath),
        ("a\n{{.Filename}}", E::UnsafePath),
    ];
    for (template, error) in cases {
        assert_eq!(PathTemplate::parse(template), Err(error), "{template:?}");
    }
    assert_eq!(E::NotASubstitution("x".to_owned()).to_string().split(' ').next(), Some("`{{x}}`"));
}

#[test]
fn a_missing_or_bogus_ingest_timestamp_is_an_error() {
    let template = PathTemplate::parse("{{.UploadId}}").expect("the template is good");
    for ingested in [None, Some(""), Some("bogus"), Some("2020-04-11")] {
        let rendered = template.render(&manifest("test.txt", ingested));
        assert_eq!(rendered, Err(PathTemplateError::IngestTimestamp), "{ingested:?}");
    }
}

/// Strings in which the harmful parts are likely.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "([./\\\\]|\\.\\.|%2e|a|\u{202e}|é|\0|\n|\\.part-|\\.meta\\.json){0,12}",
        "[a-z.]{0,400}"
    ]
}

proptest! {
    #[test]
    fn every_path_stays_below_the_root(
        names in [hostile(), hostile(), hostile(), hostile()],
        template in prop_oneof![
            Just(EVERY_VARIABLE),
            Just(""),
            Just(".{{.Filename}}"),
            Just("{{.DataStreamID}}{{.DataStreamRoute}}"),
            Just(".{{.DataStreamID}}/{{.Filename}}/{{.UploadId}}"),
        ],
    ) {
        let [filename, id, route, upload_id] = names;
        let fields = serde_json::json!({
            "data_stream_id": id, "data_stream_route": route, "upload_id": upload_id, "filename": filename,
            "dex_ingest_datetime": "2020-04-11T15:12:30Z",
        });
        let manifest = SenderManifest::from_json(fields.to_string().as_bytes()).expect("these fields are a manifest");
        let path = PathTemplate::parse(template).and_then(|template| template.render(&manifest));
        let path = path.expect("the template renders");
        prop_assert!(!path.is_empty() && !path.contains(['\0', '\n', '\\']));
        prop_assert!(Path::new(&path).components().all(|component| matches!(component, Component::Normal(_))));
        for segment in path.split('/') {
            prop_assert!(!segment.is_empty() && segment.len() <= SEGMENT_LIMIT_BYTES + 2);
            prop_assert!(!segment.starts_with(".part-") && !segment.ends_with(".meta.json"));
        }
    }
}
