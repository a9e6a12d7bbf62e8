//! Tests of delivery files and routing: DEX's shipped files load, and everything that is wrong with a file
//! is said at once.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::manifest::testing::{dex_folder, files};

fn variables(name: &str) -> Option<String> {
    match name {
        "EICR_PATH_TEMPLATE" => Some("eicr/{{.Year}}/{{.Filename}}".to_owned()),
        "UNSET" => None,
        _ if name.ends_with("KEY") => Some("c2VjcmV0".to_owned()),
        _ if name.ends_with("ENDPOINT") => Some("https://storage.example".to_owned()),
        _ => Some(format!("value-of-{name}").to_lowercase().replace('_', "-")),
    }
}

fn routing(yaml: &str) -> Result<Routing, Vec<String>> {
    Routing::from_yaml("d.yml", yaml, &variables)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn delivery_files() -> Option<Vec<PathBuf>> {
    let folder = dex_folder("deliver")?;
    let files = [folder.join("head"), folder].map(|folder| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_file()).collect::<Vec<_>>()
    });
    Some(files.concat())
}

const TWO_FOLDERS: &str = "
targets:
  x: { name: a, type: file, path: ./out/a }
  y: { name: b, type: file, path: /out/b, clash_policy: overwrite, metadata_sidecar: true }
";

#[test]
fn every_shipped_delivery_file_loads() {
    let Some(files) = delivery_files() else { return };
    assert_eq!(files.len(), 14);
    for file in files {
        let yaml = std::fs::read_to_string(&file).unwrap();
        let routing = routing(&yaml).unwrap_or_else(|problems| panic!("{file:?}: {problems:?}"));
        let targets = routing.targets_for("dextesting", "testevent1");
        assert_eq!(targets.len(), 1, "{file:?}");
        assert_eq!(targets[0].target, "edav", "{file:?}");
    }
}

#[test]
fn the_shipped_file_that_misspells_a_stream_is_warned_about() {
    let Some(files) = delivery_files() else { return };
    let file = files.iter().find(|file| file.ends_with("testing-mix-v2.6.1.yml")).unwrap();
    let routing = routing(&std::fs::read_to_string(file).unwrap()).unwrap();
    let warnings = routing.warnings(&StreamConfigs::built_in());
    assert!(warnings[0].contains("repeats the routing group"), "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("rsp-prevention/csv is routed but has no rules")));
}

#[test]
fn the_built_in_route_leads_to_the_local_folder() {
    for routing in [Routing::built_in(), routing("").unwrap(), routing(TWO_FOLDERS).unwrap()] {
        let [routed] = routing.targets_for("cdex", "attachment") else { panic!("one target expected") };
        assert_eq!(routed.target, "local");
        assert_eq!(routed.path_template, PathTemplate::parse(BUILT_IN_TARGET.2).unwrap());
        let TargetConfig::File(target) = &routing.targets()["local"] else { panic!("a folder expected") };
        assert_eq!(target.root(Path::new("/data")), Path::new("/data/delivered/local"));
        assert_eq!((target.clash_policy, target.metadata_sidecar), (ClashPolicy::SuffixUploadId, false));
        let warnings = routing.warnings(&StreamConfigs::built_in());
        assert!(
            warnings.iter().all(|warning| {
                warning.ends_with("nothing is delivered there") || warning.contains("has no routing_groups")
            }),
            "{warnings:?}"
        );
    }
}

#[test]
fn a_file_may_route_the_built_in_stream_or_define_its_target() {
    let own_route = format!(
        "{TWO_FOLDERS}
routing_groups: [{{ data_stream_id: CDEX, data_stream_route: attachment, delivery_targets: [{{ name: b }}] }}]"
    );
    let routing_of_its_own = routing(&own_route).unwrap();
    assert_eq!(routing_of_its_own.targets_for("cdex", "attachment")[0].target, "b");
    assert!(!routing_of_its_own.targets().contains_key("local"));

    let own_target = routing("targets: { l: { name: local, type: file, path: elsewhere } }").unwrap();
    assert_eq!(own_target.targets_for("cdex", "attachment")[0].target, "local");
    let TargetConfig::File(target) = &own_target.targets()["local"] else { panic!("a folder expected") };
    assert_eq!(target.path, Path::new("elsewhere"));
}

#[test]
fn streams_are_told_apart_by_the_pair_and_not_by_letter_case() {
    let routing = routing(&format!(
        "{TWO_FOLDERS}
routing_groups:
  - {{ data_stream_id: A_b, data_stream_route: c, delivery_targets: [{{ name: a }}, {{ name: a, path_template: x }}] }}
  - {{ data_stream_id: a, data_stream_route: b_c, delivery_targets: [{{ name: b }}] }}"
    ))
    .unwrap();
    let names = |id, route| {
        let targets = routing.targets_for(id, route).iter();
        targets.map(|routed| routed.target.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names("a_B", "C"), ["a", "a"]);
    assert_eq!(names("a", "b_c"), ["b"]);
    assert!(names("a", "b").is_empty());
}

#[test]
fn keys_of_the_other_way_to_log_in_may_be_there_without_anything_in_them() {
    let read = |keys: &str| {
        routing(&format!("targets: {{ a: {{ name: a, type: az-blob, container_name: c, {keys} }} }}")).map(
            |routing| match &routing.targets()["a"] {
                TargetConfig::Object(target) => matches!(
                    &target.bucket,
                    crate::outbound::bucket::BucketSettings::Azure(settings)
                        if matches!(settings.credential, crate::outbound::bucket::AzureCredential::ServicePrincipal { .. })
                ),
                _ => panic!("another target"),
            },
        )
    };
    let endpoint = "endpoint: 'https://a.example'";
    let key = "storage_account: a, storage_key:";
    let principal = "tenant_id: t, client_id: i, client_secret: s";
    assert_eq!(read(&format!("{endpoint}, {key} '', {principal}")), Ok(true));
    assert_eq!(read(&format!("{endpoint}, {key} , {principal}")), Ok(true));
    assert_eq!(read(&format!("{endpoint}, {key} c2VjcmV0, {principal}")), Ok(false));
    let refused = read(&format!("{endpoint}, {key} ''")).unwrap_err();
    assert_eq!(refused, ["d.yml: targets.a.storage_key: is missing"]);
}

#[test]
fn a_file_may_put_the_keys_of_one_map_into_another() {
    let routing = routing(
        "
targets:
  a: &folder { name: a, type: file, path: /out/a, clash_policy: overwrite }
  b: { <<: *folder, name: b }
",
    )
    .unwrap();
    let paths = ["a", "b"].map(|name| match &routing.targets()[name] {
        TargetConfig::File(target) => (target.path.clone(), target.clash_policy),
        _ => panic!("another target"),
    });
    assert_eq!(paths[0], paths[1]);
}

#[test]
fn everything_wrong_with_a_file_is_said_at_once_with_its_place() {
    let problems = routing(
        "
version: 1.0
programs: []
targets:
  a: { name: a, type: file, path: out, pth: x }
  b: { name: b, type: ftp }
  c: { name: c, type: s3, bucket_name: '', access_key_id: k }
  d: { name: d, type: az-blob, endpoint: e, container_name: c, tenant_id: t, client_id: '' }
  e: { name: e, type: az-blob, endpoint: e, container_name: c }
  f: { type: file, path: [hidden] }
  g: { name: g, type: file, path: hidden, metadata_sidecar: 1.5, clash_policy: x }
  h: hidden
  i: { name: i, type: s3, bucket_name: b, access_key_id: k, secret_access_key: s, metadata: x, read_back: 1, copy: 0 }
routing_groups:
  - { data_stream_id: x, data_stream_route: y/z, delivery_targets: [{ name: a, path_template: '{{.Nope}}' }] }
  - { data_stream_id: x, delivery_targets: 5 }
",
    )
    .unwrap_err();
    let expected = [
        "d.yml: programs: is not a key of a delivery file",
        "d.yml: targets.a.pth: is not a key that is known here",
        "d.yml: targets.b.type: Unknown destination type: ftp (known are file, s3, az-blob and dex)",
        "d.yml: targets.c.bucket_name: is missing",
        "d.yml: targets.c.secret_access_key: is missing",
        "d.yml: targets.d.client_id: is missing",
        "d.yml: targets.d.client_secret: is missing",
        "d.yml: targets.d.endpoint: must be http:// or https:// with a host, and perhaps a path; no user, query, fragment or space",
        "d.yml: targets.e.storage_account: is missing",
        "d.yml: targets.e.storage_key: is missing",
        "d.yml: targets.e.endpoint: must be http:// or https:// with a host, and perhaps a path; no user, query, fragment or space",
        "d.yml: targets.f.name: is missing",
        "d.yml: targets.f.path: must be a text: put it in quotes",
        "d.yml: targets.g.clash_policy: must be overwrite, fail or suffix-upload-id",
        "d.yml: targets.g.metadata_sidecar: must be true or false",
        "d.yml: targets.h: must be a map",
        "d.yml: targets.i.metadata: must be auto, object or sidecar",
        "d.yml: targets.i.read_back: must be true or false",
        "d.yml: targets.i.copy: must be true or false",
        "d.yml: routing_groups[1].data_stream_route: is missing",
        "d.yml: routing_groups[1].delivery_targets: must be a list",
        "d.yml: routing_groups[0].data_stream_route: must be made of A-Z, a-z, 0-9, '.', '_' and '-'",
        "d.yml: routing_groups[0].delivery_targets[0].path_template: there is no variable .Nope",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn entries_that_do_not_fit_together_are_problems() {
    let problems = routing(
        "
targets:
  x: { name: a, type: file, path: x }
  y: { name: a, type: file, path: y }
routing_groups:
  - { data_stream_id: s, data_stream_route: r, delivery_targets: [{ name: nowhere }, { name: a }, { name: a }] }
  - { data_stream_id: S, data_stream_route: R, delivery_targets: [] }
",
    )
    .unwrap_err();
    let expected = [
        "d.yml: targets.y: another target has this name",
        "d.yml: routing_groups[0].delivery_targets[0]: there is no target named nowhere",
        "d.yml: routing_groups[0].delivery_targets[2]: names the same target with the same path again",
        "d.yml: routing_groups[1]: another routing group is for this data stream",
    ];
    assert_eq!(problems, expected);
    let one_is_broken = "targets: { a: { name: a, type: ftp } }
routing_groups: [{ data_stream_id: s, data_stream_route: r, delivery_targets: [{ name: a }, { name: b }] }]";
    let expected = [
        "d.yml: targets.a.type: Unknown destination type: ftp (known are file, s3, az-blob and dex)",
        "d.yml: routing_groups[0].delivery_targets[1]: there is no target named b",
    ];
    assert_eq!(routing(one_is_broken).unwrap_err(), expected);
    assert_eq!(routing("[]").unwrap_err(), ["d.yml: must be a map with targets and routing_groups"]);
    let unset = "targets: {a: {name: a, type: file, path: $UNSET}}";
    assert_eq!(routing(unset).unwrap_err(), ["d.yml: the environment variable UNSET is not set"]);
    assert_eq!(routing("a: [").unwrap_err().len(), 1);
}

/// W-26: configurations against routes and targets, both ways, whatever the letter case.
#[test]
fn w_26_what_does_not_fit_together_is_warned_about_in_both_directions() {
    let empty = r#"{"metadata_config":{"fields":[]}}"#;
    let files = files([
        ("S_r.json", empty),
        ("lost_r.json", empty),
        ("nowhere.json", empty),
        ("v1/Old-lab.json", empty),
        ("v1/gone-lab.json", empty),
    ]);
    let configs = StreamConfigs::read(&files, true, &variables).unwrap();
    let routing = routing(
        "targets: { a: { name: a, type: file, path: a }, b: { name: b, type: file, path: b } }
routing_groups:
  - { data_stream_id: s, data_stream_route: R }
  - { data_stream_id: OLD, data_stream_route: Lab, delivery_targets: [{ name: a }] }
  - { data_stream_id: strange, data_stream_route: lab, delivery_targets: [{ name: a }] }",
    )
    .unwrap();
    let expected = [
        "data stream file nowhere.json: no data stream has this name, which is {id}_{route}.json",
        "data stream s/r has a routing group without targets: its uploads go nowhere",
        "data stream strange/lab is routed but has no rules: its uploads are refused",
        "data stream file lost_r.json has no routing group: its uploads go nowhere",
        "data stream file nowhere.json has no routing group: its uploads go nowhere",
        "data stream file v1/gone-lab.json has no routing group: its uploads go nowhere",
        "target b is in no routing group: nothing is delivered there",
    ];
    assert_eq!(routing.warnings(&configs), expected);
}

proptest! {
    /// Whatever becomes of a shipped file, it is read or everything that is wrong with it has a place.
    #[test]
    fn a_shipped_delivery_file_with_bytes_changed_is_read_or_refused_with_places(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..8_usize, "[\\[\\]{}:,$ \na-z0-9-]{0,3}"), 1..4),
    ) {
        let Some(files) = delivery_files() else { return Ok(()) };
        let mut yaml = std::fs::read_to_string(which.get(&files)).unwrap();
        for (at, length, new) in cuts {
            let from = yaml.floor_char_boundary(at.index(yaml.len()));
            let to = yaml.floor_char_boundary((from + length).min(yaml.len())).max(from);
            yaml.replace_range(from..to, &new);
        }
        match Routing::from_yaml("d.yml", &yaml, &variables) {
            Ok(routing) => {
                routing.warnings(&StreamConfigs::built_in());
            }
            Err(problems) => prop_assert!(problems.iter().all(|problem| problem.place.starts_with("d.yml"))),
        }
    }
}

#[test]
fn credentials_do_not_show_in_debug_output() {
    let routing = routing(
        "targets: { c: { name: c, type: s3, bucket_name: b, access_key_id: AKIA, secret_access_key: 12345 } }",
    )
    .unwrap();
    let shown = format!("{routing:?}");
    assert!(!shown.contains("AKIA") && !shown.contains("12345"), "{shown}");
}

#[test]
fn w_33_a_manifest_is_held_against_every_bucket_that_wants_it_with_the_object() {
    let bucket = |name: &str, metadata: &str| {
        format!(
            "{{ name: {name}, type: s3, bucket_name: b, access_key_id: k, secret_access_key: s, metadata: {metadata} }}"
        )
    };
    let routing = routing(&format!(
        "targets: {{ a: {}, b: {} }}
routing_groups:
  - {{ data_stream_id: s, data_stream_route: strict, delivery_targets: [{{ name: a }}, {{ name: b }}] }}
  - {{ data_stream_id: s, data_stream_route: free, delivery_targets: [{{ name: b }}] }}",
        bucket("a", "object"),
        bucket("b", "auto")
    ))
    .unwrap();
    let fields = [("sender_id", "test sender"), ("received_filename", "naïve.txt")];
    assert_eq!(
        routing.misfits(("S", "Strict"), &fields).into_iter().map(|(field, _)| field).collect::<Vec<_>>(),
        ["received_filename"]
    );
    assert!(routing.misfits(("s", "free"), &fields).is_empty());
    assert!(routing.misfits(("s", "strict"), &fields[..1]).is_empty());
}

#[test]
fn variables_that_are_not_set_and_other_problems_are_told_together() {
    let yaml = "targets:\n  a: {type: s3, name: a, bucket_name: $BUCKET, endpoint: \"$URL\", access_key_id: k, \
                secret_access_key: s}\n  b: {type: az-blob, name: b, endpoint: \"https://b.example\", container_name: c, \
                storage_account: d, storage_key: \"$KEY\"}\n  c: {type: tape, name: c}\n";
    let problems = Routing::from_yaml("f.yml", yaml, &|_| None).expect_err("it is broken");
    let places: Vec<&str> = problems.iter().map(|problem| problem.place.as_str()).collect();
    assert_eq!(places.len(), 4, "{problems:?}");
    assert!(places.contains(&"f.yml: targets.c.type"), "{problems:?}");
    let empty = Routing::from_yaml("f.yml", "targets: {}", &|_| None).expect("it is legal");
    let warnings = empty.warnings(&StreamConfigs::built_in());
    assert!(warnings.iter().any(|warning| warning.contains("has no routing_groups")), "{warnings:?}");
}

#[test]
fn w_33_a_manifest_is_held_against_every_other_dex_that_it_goes_to() {
    let routing = routing(
        "targets:
  d: { name: d, type: dex, url: 'https://dex.example/upload' }
  e: { name: e, type: dex, url: 'https://dex.example/upload', metadata: { received_filename: '' } }
routing_groups:
  - { data_stream_id: s, data_stream_route: strict, delivery_targets: [{ name: d }] }
  - { data_stream_id: s, data_stream_route: changed, delivery_targets: [{ name: e }] }",
    )
    .unwrap();
    let fields = [("sender_id", "test sender"), ("received_filename", "naïve.txt")];
    assert_eq!(
        routing.misfits(("s", "strict"), &fields).into_iter().map(|(field, _)| field).collect::<Vec<_>>(),
        ["received_filename"]
    );
    assert!(routing.misfits(("s", "strict"), &fields[..1]).is_empty());
    assert!(routing.misfits(("s", "changed"), &fields).is_empty());
}
