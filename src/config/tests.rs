//! Tests of the whole configuration: every problem has its path, all are told at once, and the commented
//! default file is complete.

use std::ffi::OsString;
use std::time::Duration;

use super::load::{DEFAULTS, load};
use super::*;

/// Loads `file` and `environment` over the defaults.
fn read(file: &str, environment: &[(&str, &str)]) -> Result<Config, Problems> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, file).expect("the file is written");
    let environment: Vec<_> =
        environment.iter().map(|&(name, value)| (name.to_owned(), OsString::from(value))).collect();
    load(&LoadOptions { file: Some(path), flags: Vec::new() }, &environment)
}

fn problem_paths(outcome: Result<Config, Problems>) -> Vec<String> {
    outcome.expect_err("there are problems").iter().map(|problem| problem.path.clone()).collect()
}

#[test]
fn the_defaults_are_sound() {
    let config = Config::defaults_in(Path::new("/srv/gateway")).expect("the defaults are sound");
    assert_eq!(config.data_dir, Path::new("/srv/gateway"));
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:0");
    assert_eq!(config.database_url().reveal(), "sqlite:/srv/gateway/gateway.db");
    assert_eq!(config.upload_store(), StorePlace::Folder("/srv/gateway/uploads".into()));
    assert_eq!(config.warnings(), Vec::<String>::new());
    let plain = load(&LoadOptions::default(), &[]).expect("the defaults are sound");
    assert_eq!(plain.server.listen.to_string(), "127.0.0.1:8080");
    assert!(plain.data_dir.is_absolute() && plain.data_dir.ends_with("data"));
}

#[test]
fn the_default_file_shows_every_key_of_every_section() {
    let mut section = String::new();
    let mut shown = Vec::new();
    for line in DEFAULTS.lines() {
        let line = line.trim_start_matches("# ");
        if line.starts_with('[') {
            let name = line.trim_matches(['[', ']']);
            section = format!("{name}.");
            shown.push(name.to_owned());
            // `[partner.NAME]` shows the section `partner`.
            shown.extend(name.match_indices('.').map(|(at, _)| name[..at].to_owned()));
        } else if let Some((key, _)) = line.split_once(" = ") {
            shown.push(format!("{section}{key}"));
        }
    }
    // A key that does not exist makes each section name those that do.
    let sections = [
        "",
        "server",
        "database",
        "upload",
        "fhir",
        "fhir.upstream",
        "manifest",
        "manifest.store",
        "manifest.fhir",
        "delivery",
        "report",
        "retention",
        "auth",
        "auth.oauth_front",
        "policy",
        "policy.trust",
        "telemetry",
    ];
    for section in sections {
        let table: figment::value::Dict =
            <figment::providers::Toml as figment::providers::Format>::from_str(DEFAULTS)
                .expect("the defaults are TOML");
        let figment = figment::Figment::from(figment::providers::Serialized::defaults(table));
        let key = if section.is_empty() { "nothing".to_owned() } else { format!("{section}.nothing") };
        let error = figment.merge((&key, 1)).extract::<Config>().expect_err("the key is unknown");
        let figment::error::Kind::UnknownField(_, known) = &error.kind else { panic!("{error}") };
        for name in *known {
            let key = if section.is_empty() { (*name).to_owned() } else { format!("{section}.{name}") };
            assert!(shown.contains(&key), "{key} is not in examples/gateway.toml");
        }
    }
}

#[test]
fn each_problem_carries_the_path_of_its_key() {
    let cases = [
        ("colour = 1", "colour"),
        ("durability = \"some\"", "durability"),
        ("data_dir = \"\"", "data_dir"),
        ("server = 1", "server"),
        ("[server]\nlisten = \"localhost\"", "server.listen"),
        ("[server]\nlisten = \"0.0.0.0:80\"", "server.listen"),
        ("[server]\nlisten = \"[::]:80\"", "server.listen"),
        ("[server]\nadmin_listen = \"127.0.0.1:8080\"", "server.admin_listen"),
        ("[server]\npublic_url = \"gateway.example.org\"", "server.public_url"),
        ("[server]\npublic_url = \"https://u@h/\"", "server.public_url"),
        ("[server]\nmax_header_bytes = 100", "server.max_header_bytes"),
        ("[server]\nheader_timeout_secs = -1", "server.header_timeout_secs"),
        ("[server]\nheader_timeout_secs = 0", "server.header_timeout_secs"),
        ("[server]\nidle_timeout_secs = 31622401", "server.idle_timeout_secs"),
        ("[server]\nmax_connections = 1000001", "server.max_connections"),
        ("[server]\nmax_connections = \"many\"", "server.max_connections"),
        ("[server]\ncors_origins = [1]", "server.cors_origins"),
        ("[server]\ncors_origins = [\"https://a.example\", \"*\"]", "server.cors_origins[1]"),
        ("[server]\nlistens = 1", "server.listens"),
        ("[database]\nurl = \"mysql://h/d\"", "database.url"),
        ("[database]\nurl = \"sqlite::memory:\"", "database.url"),
        ("[database]\nconnections = 0", "database.connections"),
        ("[database]\nconnections = 4000000000", "database.connections"),
        ("[database]\nbusy_timeout_secs = 1.5", "database.busy_timeout_secs"),
        ("[database]\nmigrate_on_start = 1", "database.migrate_on_start"),
        ("[upload]\nstore_url = \"s3:///x\"", "upload.store_url"),
        ("[upload]\nstore_url = \"az://container/../x\"", "upload.store_url"),
        ("[upload.store]\nendpoint = \"minio:9000\"", "upload.store.endpoint"),
        ("[manifest]\nconfig_dir = \"s3://\"", "manifest.config_dir"),
        ("[manifest.store]\nendpoint = \"minio:9000\"", "manifest.store.endpoint"),
        ("[manifest]\nreload_secs = \"often\"", "manifest.reload_secs"),
        ("[upload]\nstore_url = \"ftp://x\"", "upload.store_url"),
        ("[upload]\nmax_size_bytes = 0", "upload.max_size_bytes"),
        ("[upload]\ncheckpoint_interval_ms = 0", "upload.checkpoint_interval_ms"),
        ("[fhir]\nskeleton_limit_bytes = 1", "fhir.skeleton_limit_bytes"),
        ("[fhir]\nidempotency_hours = 0", "fhir.idempotency_hours"),
        ("[fhir.upstream]\nurl = \"ehr.example.org\"\ntypes = [\"Patient\"]", "fhir.upstream.url"),
        ("[fhir.upstream]\nurl = \"https://h/\"\ntypes = [\"Task\"]", "fhir.upstream.types[0]"),
        ("[fhir.upstream]\ntimeout_ms = \"x\"", "fhir.upstream.timeout_ms"),
        ("[fhir.upstream]\ncolour = 1", "fhir.upstream.colour"),
        ("[manifest]\nlenient_metadata = \"yes\"", "manifest.lenient_metadata"),
        ("[manifest]\nconfig_dir = 1", "manifest.config_dir"),
        ("[fhir]\nvalidation = \"some\"", "fhir.validation"),
        ("[fhir]\npage_size = 0", "fhir.page_size"),
        ("[fhir]\npage_size = 2000", "fhir.page_size"),
        ("[fhir]\nmax_page_size = 10001", "fhir.max_page_size"),
        ("[fhir]\nbundle_entries = 0", "fhir.bundle_entries"),
        ("[partner.a]\nclient_id = \"\"", "partner.a.client_id"),
        ("[partner.a]\nclient_id = \"c\"\n[partner.b]\nclient_id = \"c\"", "partner.b.client_id"),
        ("[partner.a]\nfhir_base = \"ftp://h\"", "partner.a.fhir_base"),
        ("[partner.a]\nhosts = [\"https://h/path\"]", "partner.a.hosts[0]"),
        ("[partner.a]\nidentifiers = [\"123\"]", "partner.a.identifiers[0]"),
        ("[partner.a]\ncredentials = { client_id = \"c\" }", "partner.a.credentials"),
        ("[partner.a]\npolicy = { tasks = \"never\" }", "partner.a.policy.tasks"),
        ("[partner.a]\npolicy = { trust = { pinned = [\"xyz\"] } }", "partner.a.policy.trust.pinned[0]"),
        ("[policy]\ntask_output = \"paper\"", "policy.task_output"),
        ("[delivery]\nunrouted = \"drop\"", "delivery.unrouted"),
        ("[delivery]\nretry_schedule_secs = [1, \"x\"]", "delivery.retry_schedule_secs"),
        ("[delivery]\nlease_secs = 0", "delivery.lease_secs"),
        ("[delivery]\nretry_schedule_secs = [9000000000]", "delivery.retry_schedule_secs"),
        ("[delivery]\nconcurrency = 100000", "delivery.concurrency"),
        ("[auth]\nmode = \"builtin\"", "auth.mode"),
        ("[auth]\nmode = \"external\"", "auth.mode"),
        ("[auth]\nmode = \"maybe\"", "auth.mode"),
        ("[telemetry]\nlog_format = \"xml\"", "telemetry.log_format"),
        ("[telemetry]\nlog_filter = \"\"", "telemetry.log_filter"),
    ];
    for (file, path) in cases {
        assert_eq!(problem_paths(read(file, &[])), [path], "{file}");
    }
}

#[test]
fn all_problems_of_all_layers_are_told_at_once_with_their_origin() {
    let problems = read(
        "colour = 1\n[server]\nmax_connections = \"many\"\nlisten = \"0.0.0.0:1\"\n[auth]\nmode = \"builtin\"",
        &[("CDEX_SERVR__LISTEN", "x"), ("CDEX_DATABASE__CONNECTIONS", "lots"), ("CDEX_FHIR__NEW", "1")],
    )
    .expect_err("there are problems");
    let mut told: Vec<String> = problems.iter().map(|p| format!("{} {}", p.path, p.text)).collect();
    told.sort();
    assert_eq!(
        told,
        [
            "auth.mode only \"none\" is available in this version",
            "colour is not a known key",
            "database.connections must be a whole number that is not negative",
            "fhir.new is not a known key",
            "server.max_connections must be a whole number that is not negative",
            "servr is not a known key",
        ]
    );
    let origins = problems.to_string();
    assert!(
        origins.contains("gateway.toml)") && origins.contains("(CDEX_DATABASE__CONNECTIONS)"),
        "{origins}"
    );
    assert_eq!(origins.lines().count(), problems.iter().count());
}

#[test]
fn the_environment_is_over_the_file_and_flags_are_over_both() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, "data_dir = \"/file\"\n[server]\nlisten = \"127.0.0.1:1\"\nmax_connections = 7")
        .expect("the file is written");
    let environment = [
        ("CDEX_DATA_DIR", "/2024"),
        ("CDEX_SERVER__LISTEN", "127.0.0.1:2"),
        ("CDEX_SERVER__CORS_ORIGINS", "[\"https://a.example\"]"),
        ("CDEX_SERVER__PUBLIC_URL", ""),
        ("CDEX_DATABASE__MIGRATE_ON_START", "false"),
        ("CDEX_DELIVERY__RETRY_SCHEDULE_SECS", "[1, 2]"),
        ("CDEX_UPLOAD__STORE_URL", "12"),
    ]
    .map(|(name, value)| (name.to_owned(), OsString::from(value)));
    let flags = vec![Flag { name: "listen", key: "server.listen", value: "127.0.0.1:3".to_owned() }];
    let config = load(&LoadOptions { file: Some(file), flags }, &environment).expect("it is sound");
    assert_eq!(config.data_dir, Path::new("/2024"));
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:3");
    assert_eq!(config.server.max_connections, 7);
    assert_eq!(config.server.cors_origins, ["https://a.example"]);
    assert_eq!(config.server.public_url, None);
    assert!(!config.database.migrate_on_start);
    assert_eq!(config.delivery.retry_schedule, [1, 2].map(Duration::from_secs));
    assert_eq!(config.upload_store(), StorePlace::Folder("/2024/12".into()));
}

#[test]
fn what_is_kept_is_seen_from_the_data_folder_and_configuration_files_are_not() {
    let config = read(
        "data_dir = \"/srv/g\"\n[manifest]\nconfig_dir = \"streams\"\n[delivery]\nconfig_file = \"/etc/d.yml\"\n\
         [database]\nurl = \"sqlite:rows.db\"\n[upload]\nstore_url = \"file:///big/uploads\"",
        &[],
    )
    .expect("it is sound");
    assert_eq!(config.stream_files(), std::path::absolute("streams").ok().map(StorePlace::Folder));
    assert_eq!(config.delivery.config_file.as_deref(), Some(Path::new("/etc/d.yml")));
    assert_eq!(config.database_url().reveal(), "sqlite:/srv/g/rows.db");
    assert_eq!(config.upload_store(), StorePlace::Folder("/big/uploads".into()));
}

#[test]
fn no_output_shows_a_secret() {
    let url = "postgres://gateway:ZZSECRET@db/x";
    let config = read("", &[("CDEX_DATABASE__URL", url)]).expect("it is sound");
    assert_eq!(config.database_url().reveal(), url);
    assert!(!format!("{config:?}").contains("ZZSECRET"));
    for file in
        ["[database]\nurl = [\"ZZSECRET\"]", "[database]\nurl = \"mysql://ZZSECRET\"", "url = \"ZZSECRET\" x"]
    {
        let problems = read(file, &[]).expect_err("there are problems");
        assert!(!format!("{problems} {problems:?}").contains("ZZSECRET"), "{file}: {problems}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let options = LoadOptions { file: Some("/nowhere/gateway.toml".into()), flags: Vec::new() };
    assert_eq!(problem_paths(load(&options, &[])), ["/nowhere/gateway.toml"]);
}
