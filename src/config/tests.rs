use secrecy::ExposeSecret;

use super::*;

fn read(env: &[(&str, &str)], file: &str) -> Result<Config, Vec<Problem>> {
    let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Config::read(env, Some(file))
}

fn problems(env: &[(&str, &str)], file: &str) -> Vec<String> {
    read(env, file).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_set_is_an_embedded_server() {
    let config = read(&[], "").unwrap();
    assert!(config.embedded());
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.public_url, "http://127.0.0.1:8080");
    assert_eq!(config.database_url.expose_secret(), "sqlite:./switchboard-data/switchboard.db?mode=rwc");
    assert_eq!(config.roles, Roles::ALL);
    assert_eq!(config.session, Duration::from_secs(7 * 86_400));
    assert_eq!(config.bcrypt_cost, 12);
    assert_eq!(config.rates.auth, Some(Rate { count: 5, per: Duration::from_secs(900) }));
    assert!(config.model.is_none() && config.owner.is_none() && config.tls.is_none());
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = "session_days = 3\ncors_origins = [\"https://a.example\", \"https://b.example:8443\"]\n\
                [rate]\nread = \"10/1s\"\nwrite = \"off\"\n";
    let config = read(&[("SWITCHBOARD_SESSION_DAYS", "5"), ("SWITCHBOARD_AUTOSEND", "off")], file).unwrap();
    assert_eq!(config.session, Duration::from_secs(5 * 86_400));
    assert_eq!(config.cors_origins, ["https://a.example", "https://b.example:8443"]);
    assert_eq!(config.rates.read, Some(Rate { count: 10, per: Duration::from_secs(1) }));
    assert_eq!(config.rates.write, None);
    assert!(!config.autosend && config.decision_engine);
    let source = |name: &str| config.describe().iter().find(|s| s.name == name).unwrap().source;
    assert_eq!(source("SWITCHBOARD_SESSION_DAYS"), Source::Environment);
    assert_eq!(source("SWITCHBOARD_RATE_READ"), Source::File);
    assert_eq!(source("SWITCHBOARD_LISTEN"), Source::Default);
}

#[test]
fn all_problems_come_at_once_and_name_the_variable() {
    let env = [
        ("SWITCHBOARD_LISTEN", "here"),
        ("DATABASE_URL", "mysql://u:hunter2@h/db"),
        ("REDIS_URL", "rediss://h"),
        ("SWITCHBOARD_BCRYPT_COST", "40"),
        ("SWITCHBOARD_MASTER_KEY", "hunter2"),
        ("SWITCHBOARD_PEPPER", "hunter2"),
        ("SWITCHBOARD_TLS_CERT", "/no/such/cert.pem"),
        ("SWITCHBOARD_OPENAI_MODEL", "m"),
        ("SWITCHBOARD_OWNER_EMAIL", "o@example.com"),
        ("SWITCHBOARD_RATE_READ", "lots"),
        ("SWITCHBOARD_CORS_ORIGINS", "https://a.example/path"),
    ];
    let problems = problems(&env, "colour = 1\nlisten = {}\n");
    let names: Vec<_> = problems.iter().map(|text| text.split(':').next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "SWITCHBOARD_LISTEN",
            "DATABASE_URL",
            "REDIS_URL",
            "SWITCHBOARD_TLS_KEY",
            "SWITCHBOARD_TLS_CERT",
            "SWITCHBOARD_CORS_ORIGINS",
            "SWITCHBOARD_BCRYPT_COST",
            "SWITCHBOARD_RATE_READ",
            "SWITCHBOARD_OPENAI_BASE_URL",
            "SWITCHBOARD_OWNER_PASSWORD",
            "SWITCHBOARD_MASTER_KEY",
            "SWITCHBOARD_PEPPER",
            "SWITCHBOARD_CONFIG",
        ],
        "{problems:#?}"
    );
    assert_eq!(problems.last().unwrap(), "SWITCHBOARD_CONFIG: `colour` is no setting");
    assert!(!problems.join("\n").contains("hunter2"), "{problems:#?}");
}

/// What a password may stand in is not repeated, and a setting that is wrong is not called missing.
#[test]
fn a_wrong_half_of_a_pair_is_its_only_problem() {
    let env = [
        ("SWITCHBOARD_OPENAI_BASE_URL", "https://me:hunter2@model.example/v1"),
        ("SWITCHBOARD_OPENAI_MODEL", "m"),
        ("SWITCHBOARD_OTLP_ENDPOINT", "http://h:4317?token=hunter2"),
        ("SWITCHBOARD_OWNER_EMAIL", "nobody"),
        ("SWITCHBOARD_OWNER_PASSWORD", "p"),
    ];
    let problems = problems(&env, "");
    let names: Vec<_> = problems.iter().map(|text| text.split(':').next().unwrap()).collect();
    assert_eq!(
        names,
        ["SWITCHBOARD_OPENAI_BASE_URL", "SWITCHBOARD_OWNER_EMAIL", "SWITCHBOARD_OTLP_ENDPOINT"],
        "{problems:#?}"
    );
    assert!(!problems.join("\n").contains("hunter2"), "{problems:#?}");
}

#[test]
fn urls_are_read_as_the_connections_will_read_them() {
    for (name, value) in [
        ("DATABASE_URL", "postgres://u:hunter2@h:x/db"),
        ("DATABASE_URL", "postgres://u:hunter2@h:70000/db"),
        ("DATABASE_URL", "sqlite::memory:"),
        ("REDIS_URL", "redis://:hunter2@h:x"),
        ("REDIS_URL", "redis://h/notanumber"),
    ] {
        let found = problems(&[(name, value)], "");
        assert!(found[0].starts_with(name) && !found.join("").contains("hunter2"), "{value}: {found:?}");
    }
}

#[test]
fn parts_in_different_processes_need_postgres_and_redis() {
    let keys = [
        ("SWITCHBOARD_MASTER_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        ("SWITCHBOARD_PEPPER", "a long enough pepper"),
        ("SWITCHBOARD_ONLY", "api,relay"),
    ];
    let with = |more: &[(&'static str, &'static str)]| {
        let env: Vec<_> = keys.iter().chain(more).copied().collect();
        read(&env, "")
    };
    let (postgres, redis) = (("DATABASE_URL", "postgres://h/db"), ("REDIS_URL", "redis://h"));
    assert_eq!(with(&[postgres, redis]).unwrap().roles, Roles { api: true, worker: false, relay: true });
    for (more, name) in
        [(&[postgres][..], "REDIS_URL"), (&[redis], "SWITCHBOARD_ONLY"), (&[], "SWITCHBOARD_ONLY")]
    {
        let problems = with(more).unwrap_err();
        assert_eq!(problems.iter().map(|problem| problem.name.as_str()).collect::<Vec<_>>(), [name]);
    }
}

#[test]
fn a_variable_that_is_called_like_a_setting_is_one() {
    let names = ["SWITCHBOARD_TYPO", "SWITCHBOARD_LISTEN", "SWITCHBOARD_CONFIG", "SWITCHBOARD_PORT", "PATH"];
    let read = Config::read_named(|_| None, names.map(str::to_owned), None);
    let problems: Vec<_> = read.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["SWITCHBOARD_TYPO: is no setting"]);
}

#[test]
fn postgres_needs_keys_of_its_own() {
    let env = [("DATABASE_URL", "postgres://u:p@h/db"), ("SWITCHBOARD_BCRYPT_COST", "4")];
    let problems = problems(&env, "");
    let named = ["SWITCHBOARD_MASTER_KEY", "SWITCHBOARD_PEPPER", "SWITCHBOARD_BCRYPT_COST"];
    assert_eq!(problems.len(), named.len(), "{problems:#?}");
    for (problem, name) in problems.iter().zip(named) {
        assert!(problem.starts_with(name), "{problem}");
    }
}

#[test]
fn secrets_are_masked() {
    let config = read(
        &[
            ("REDIS_URL", "redis://:hunter2@h:6379"),
            ("SWITCHBOARD_PEPPER", "hunter2hunter2hunter2"),
            ("SWITCHBOARD_OWNER_EMAIL", "Owner@Example.com"),
            ("SWITCHBOARD_OWNER_PASSWORD", "hunter2"),
            ("SWITCHBOARD_OPENAI_API_KEY", "hunter2"),
        ],
        "",
    )
    .unwrap();
    let shown: Vec<_> = config.describe().iter().map(ToString::to_string).collect();
    assert!(!format!("{shown:?} {config:?}").contains("hunter2"));
    assert!(
        shown.iter().any(|line| line.starts_with("REDIS_URL") && line.contains("redis://:********@h:6379"))
    );
    assert_eq!(config.owner.unwrap().email, "owner@example.com");
}

#[test]
fn a_broken_file_is_a_problem_with_its_line() {
    let problems = problems(&[], "listen = \"127.0.0.1:1\"\nlisten 2\n");
    assert!(
        problems[0].starts_with("SWITCHBOARD_CONFIG: ") && problems[0].contains("line 2"),
        "{problems:?}"
    );
}
