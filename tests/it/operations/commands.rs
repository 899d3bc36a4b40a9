//! `switchboard jobs`, as the real binary, on a database that a server may be working on.
use std::process::Command;

use serde_json::{Value, json};
use switchboard::{domain::job::JobState, jobs::Terms, store::jobs::Ending};

use super::{Control, dead};
use crate::{
    jobs::{BLOCKED, CANCELLED, DEAD, READY, Scripted, key, promise},
    support::{Pair, Server, both, server::KEYS},
};

/// Exit code, standard output and standard error of `switchboard jobs ARGUMENTS`.
async fn run(pair: &Pair, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.arg("jobs").args(arguments).env_remove("REDIS_URL").env("DATABASE_URL", &pair.database_url);
    command.envs(KEYS.iter().copied());
    let done =
        tokio::task::spawn_blocking(move || command.output().expect("the program runs")).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (done.status.code().expect("an exit"), text(done.stdout), text(done.stderr))
}

/// What it said, of a command that worked.
async fn ok(pair: &Pair, arguments: &[&str]) -> String {
    let (code, out, err) = run(pair, arguments).await;
    assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}: {out}");
    out
}

async fn json(pair: &Pair, arguments: &[&str]) -> Value {
    let out = ok(pair, &[arguments, &["--json"]].concat()).await;
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_listed_shown_cancelled_and_redriven() {
    both(async |pair| {
        let control = Control::start(&pair).await;
        let died = control.promise(&["Do you deliver?"], Terms::now()).await[0].to_string();
        control.end(dead("no route\nto host")).await;
        let waiting = control.promise(&["w", "x"], Terms::now().ordered(key())).await;

        let listed = json(&pair, &["list", "--state", "dead"]).await;
        assert_eq!(listed["jobs"].as_array().unwrap().len(), 1);
        let job = &listed["jobs"][0];
        assert_eq!((&job["id"], &job["state"]), (&json!(died), &json!("JOB_STATE_DEAD")));
        assert_eq!(job["tenantId"], control.owner.tenant);
        let table = ok(&pair, &["list", "--queue", "send", "--kind", "scripted"]).await;
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4, "{table}");
        assert!(lines[0].starts_with("JOB  ") && lines[0].ends_with("ERROR"), "{table}");
        assert!(lines[3].starts_with(&died) && lines[3].ends_with("no route"), "{table}");
        assert!(!table.contains("deliver"), "{table}");
        assert_eq!(ok(&pair, &["list", "--queue", "ai"]).await.lines().count(), 1);
        assert_eq!(json(&pair, &["list", "--limit", "2"]).await["jobs"].as_array().unwrap().len(), 2);

        let shown = ok(&pair, &["show", &died]).await;
        assert!(shown.contains("state     dead") && shown.contains("to host"), "{shown}");
        let shown = json(&pair, &["show", &died, "--tenant", &control.owner.tenant]).await;
        assert_eq!(shown["job"]["lastError"], "no route\nto host");

        let redriven = json(&pair, &["redrive", &died]).await;
        assert_eq!((&redriven["redriven"], &redriven["more"]), (&json!([died]), &json!(false)));
        assert_eq!(control.state(died.parse().unwrap()).await, READY);
        let (code, _, err) = run(&pair, &["redrive", &died]).await;
        assert!(code == 1 && err.contains("is not dead"), "{code} {err}");
        control.end(dead("again")).await;
        let said = ok(&pair, &["redrive", "--queue", "send", "--limit", "1"]).await;
        assert_eq!(said, "1 redriven; there may be more: run it again\n");
        let said = ok(&pair, &["redrive", "--all"]).await;
        assert_eq!(said, "1 redriven\n", "the head of the order died too");

        let blocked = waiting[1];
        assert_eq!(control.state(blocked).await, READY, "its order went on without the head");
        let told = ok(&pair, &["cancel", &blocked.to_string()]).await;
        assert_eq!(told, format!("{blocked} is cancelled\n"));
        assert_eq!(control.state(blocked).await, CANCELLED);
        let told = json(&pair, &["cancel", &blocked.to_string()]).await;
        assert_eq!(told["alreadyInState"], true);
        let audited =
            control.run("select actor from audit_event where action = 'job.cancel'", Vec::new()).await;
        let actors: Vec<String> = audited.iter().map(|row| row.try_get("", "actor").unwrap()).collect();
        assert!(actors.iter().all(|actor| actor == "platform") && !actors.is_empty(), "{actors:?}");
        assert!(![BLOCKED, DEAD].contains(&control.state(waiting[0]).await));

        // Archived, it is shown as what became of it.
        control.end(Ending::Done).await;
        control.app.store().system().archive_jobs(std::time::Duration::ZERO).await.unwrap();
        assert_eq!(json(&pair, &["show", &died]).await["logEntry"]["outcome"], "JOB_STATE_DONE");
        assert!(ok(&pair, &["show", &died]).await.contains("outcome   done"));
    })
    .await;
}

/// Beside a server that works: what is paused holds, and a drain waits for what runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_are_paused_drained_and_resumed_beside_a_server() {
    both(async |pair| {
        let server = Server::start(&pair, &[]).await;
        let (store, scope) = crate::transaction::store(&pair).await;
        let state = async |job| store.of(scope.clone()).job(job).await.unwrap().unwrap().state.unwrap();
        assert_eq!(
            ok(&pair, &["pause", "send", "ai", "--reason", "the provider is down"]).await,
            "send was paused\nai was paused\n"
        );
        assert_eq!(ok(&pair, &["pause", "send"]).await, "send was paused before\n");
        // Longer than any relay takes to hear of it.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let held = promise(&store, &scope, &[Scripted::new("held", &[])], Terms::now()).await[0];
        let queues = json(&pair, &["queues"]).await;
        let send = &queues["queues"][0];
        assert_eq!((&send["paused"], &send["pauseReason"]), (&json!(true), &json!("the provider is down")));
        assert_eq!(send["readyCount"], "1");
        assert!(
            ok(&pair, &["queues"])
                .await
                .lines()
                .any(|line| line.starts_with("send") && line.contains("down"))
        );

        let drained = ok(&pair, &["drain"]).await;
        assert!(drained.starts_with("drained: "), "{drained}");
        assert_eq!(state(held).await, JobState::Ready);
        let resumed = ok(&pair, &["resume", "--all"]).await;
        assert_eq!(resumed.lines().count(), 7, "{resumed}");
        assert!(resumed.lines().all(|line| !line.contains("before")), "{resumed}");
        // The server has it now; it knows no job of that kind, and asks for it again later.
        let begin = std::time::Instant::now();
        while state(held).await == JobState::Ready {
            assert!(begin.elapsed() < std::time::Duration::from_secs(30), "{}", server.output());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let (code, out, _) = run(&pair, &["drain", "--timeout", "1", "--json"]).await;
        let told: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &told["drained"]), (75, &json!(false)), "{told}");
        drop(server);
    })
    .await;
}

/// What cannot be done is said, with an exit code of its own kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_said() {
    both(async |pair| {
        let nobodys = "job_01h2xcejqtf2nbrexx3vqjhp41";
        for (arguments, code, expected) in [
            (&["show", nobodys][..], 1, "switchboard: there is no job job_01"),
            (&["cancel", nobodys], 1, "switchboard: there is no job job_01"),
            (&["show", "msg_01h2xcejqtf2nbrexx3vqjhp41"], 2, "expected a job id"),
            (&["redrive"], 2, "required"),
            (&["redrive", nobodys, "--all"], 2, "cannot be used with"),
            (&["pause"], 2, "required"),
            (&["pause", "sand"], 2, "a queue is one of send, ai"),
            (&["list", "--state", "gone"], 2, "a state is one of ready, scheduled"),
            (&["list", "--limit", "0"], 2, "0 is not in"),
        ] {
            let (exit, out, err) = run(&pair, arguments).await;
            assert_eq!((exit, out.as_str()), (code, ""), "{arguments:?}: {err}");
            assert!(err.contains(expected), "{arguments:?}: {err}");
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(["jobs", "list"]).env_remove("DATABASE_URL").env_remove("REDIS_URL");
    let done = command.env("SWITCHBOARD_DATA_DIR", folder.path()).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("there is no database at"), "{done:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}
