//! The program as those who run it meet it: settings that cannot work, the folder of the embedded database,
//! and a start without Redis.
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path, process::Command};

use serde_json::json;
use switchboard::{app::App, config::Config, env::Env};

use crate::{
    conventions::stage::{Stage, Who},
    support::{Cluster, Pair, app::TestApp, both, server::KEYS},
};

/// Runs `switchboard ARGUMENTS` with these settings and those that PostgreSQL needs; exit code and what it
/// said on standard error.
fn switchboard(arguments: &[&str], settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(arguments).env_remove("DATABASE_URL").env_remove("REDIS_URL");
    command.envs(KEYS.iter().copied()).envs(settings.iter().copied());
    // One that starts after all ends at once: its port is taken.
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let address = taken.local_addr().expect("bound").to_string();
    if !settings.iter().any(|(name, _)| *name == "SWITCHBOARD_LISTEN") {
        command.env("SWITCHBOARD_LISTEN", address);
    }
    let done = command.output().expect("the program runs");
    (done.status.code(), String::from_utf8(done.stderr).expect("UTF-8"))
}

/// Parts in different processes that could never meet do not start.
#[test]
fn a_split_that_cannot_work_is_refused_by_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}?mode=rwc", folder.path().join("shop.db").display());
    let postgres = "postgres://u@127.0.0.1:1/db";
    let redis = "redis://127.0.0.1:1";
    for (arguments, settings, expected) in [
        (&["serve", "--only", "api"][..], &[("DATABASE_URL", postgres)][..], "REDIS_URL: "),
        (&["serve"], &[("DATABASE_URL", postgres), ("SWITCHBOARD_ONLY", "worker,relay")], "REDIS_URL: "),
        (&["serve", "--only", "api"], &[("DATABASE_URL", sqlite.as_str())], "SWITCHBOARD_ONLY: "),
        (
            &["serve", "--only", "worker", "--only", "relay"],
            &[("DATABASE_URL", sqlite.as_str()), ("REDIS_URL", redis)],
            "SWITCHBOARD_ONLY: ",
        ),
        (&["serve", "--only", "cook"], &[("DATABASE_URL", postgres)], "SWITCHBOARD_ONLY: "),
    ] {
        let (code, said) = switchboard(arguments, settings);
        assert_eq!(code, Some(64), "{arguments:?} {settings:?}: {said}");
        assert!(
            said.starts_with(expected) && said.lines().count() == 1,
            "{arguments:?} {settings:?}: {said}"
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

/// A variable that is called like a setting and is none is refused, like its twin in the file; what
/// Kubernetes adds for a service of that name is not ours.
#[test]
fn a_variable_that_is_no_setting_is_refused() {
    let (code, said) = switchboard(&["config"], &[("SWITCHBOARD_TYPO", "1"), ("SWITCHBOARD_LISTEN", "here")]);
    assert_eq!(code, Some(64), "{said}");
    assert!(
        said.contains("SWITCHBOARD_TYPO: is no setting") && said.contains("SWITCHBOARD_LISTEN: "),
        "{said}"
    );

    let kubernetes = [
        ("SWITCHBOARD_SERVICE_HOST", "10.0.0.1"),
        ("SWITCHBOARD_PORT", "tcp://10.0.0.1:80"),
        ("SWITCHBOARD_PORT_80_TCP_ADDR", "10.0.0.1"),
    ];
    let (code, said) = switchboard(&["config"], &kubernetes);
    assert_eq!(code, Some(0), "{said}");
}

/// An app on a SQLite file of a folder that is not there yet.
async fn embedded(folder: &Path) -> anyhow::Result<App> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let url = format!("sqlite:{}?mode=rwc", folder.join("switchboard.db").display());
    let config = Config::read(|name| (name == "DATABASE_URL").then(|| url.clone()), None).unwrap();
    App::open(config, Env::system()).await
}

/// Two processes would each take the other's running jobs for lost: the second one is told why it cannot be.
#[tokio::test]
async fn one_server_at_a_time_runs_on_a_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("data");
    let first = embedded(&folder).await.unwrap();
    let refused = embedded(&folder).await.err().expect("refused").to_string();
    assert!(refused.contains("another server runs on") && refused.contains("switchboard.db"), "{refused}");
    drop(first);
    embedded(&folder).await.unwrap();
}

/// The database holds customers' words and sealed secrets: nobody else on the machine reads it.
#[tokio::test]
async fn the_embedded_database_is_its_owners_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("made/for/it");
    let app = embedded(&folder).await.unwrap();
    app.store().ping().await.unwrap();

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let mut seen = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        seen.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    seen.sort();
    let expected = ["switchboard.db", "switchboard.db-shm", "switchboard.db-wal", "switchboard.db.lock"];
    assert_eq!(seen[..4], expected, "{seen:?}");
}

/// Redis is away at the start: calls are answered all the same, and its return is noticed. On PostgreSQL
/// alone: nothing else has a Redis.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_without_redis_and_finds_it_later() {
    let cluster = Cluster::start();
    let pair = Pair::of(&cluster).await;
    cluster.stop_redis();
    let app = TestApp::start(&pair).await;
    let ada = app.sign_up("ada@example.com").await;
    let (address, running) = app.serve().await;
    app.ok("TenantService.GetTenant", &ada, json!({})).await;

    let http = reqwest::Client::builder().build().unwrap();
    let ready = async || http.get(format!("http://{address}/readyz")).send().await.unwrap().status().as_u16();
    assert_eq!(ready().await, 503);
    cluster.start_redis();
    let found = async {
        while ready().await != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), found).await.expect("ready");
    app.ok("TenantService.GetTenant", &ada, json!({})).await;
    running.stop().await;
}

/// Whatever tenants set, the platform's switch keeps every draft for a person.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_can_forbid_sending_without_a_person() {
    for allowed in ["true", "false"] {
        both(async |pair| {
            let stage = Stage::with(&pair, &[("SWITCHBOARD_AUTOSEND", allowed)]).await;
            let mine = json!({"autosendEnabled": true, "autosendAllowed": true});
            stage.ok(Who::Owner, "UpdateDecisionSettings", mine).await;
            let talk = stage.writes("15550000001").await;
            let draft = json!({"suggestionId": stage.draft(&talk).await["id"]});
            let policy = &stage.ok(Who::Owner, "ExplainSuggestion", draft).await["policy"];
            assert_eq!(policy["autosendEnabled"], allowed == "true", "{policy}");
            assert_eq!(policy["autosendAllowed"], true, "{policy}");
            stage.stop().await;
        })
        .await;
    }
}
