//! `JobService`: each method, as staff call it.
use chrono::TimeDelta;
use serde_json::{Value, json};
use switchboard::{
    env::Env,
    id::JobId,
    jobs::Terms,
    store::jobs::{Ending, LOOKED_THROUGH},
};
use tonic::Code;

use super::{Control, dead};
use crate::{
    jobs::{DONE, key},
    support::{app::TestApp, both, rpc},
};

/// The ids of all pages.
async fn pages(control: &Control, mut request: Value) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let page = control.ok("ListJobs", request.clone()).await;
        let jobs = page["jobs"].as_array().unwrap();
        ids.extend(jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        if page["nextPageToken"] == "" {
            return ids;
        }
        request["pageToken"] = page["nextPageToken"].clone();
    }
}

fn texts(ids: &[JobId]) -> Vec<String> {
    ids.iter().rev().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_listed_by_what_they_are_and_where_they_stand() {
    both(async |pair| {
        let control = Control::start(&pair).await;
        let died = control.promise(&["Do you deliver?"], Terms::now()).await;
        assert_eq!(control.end(dead("no route")).await, 1);
        let later = Env::system().now() + TimeDelta::days(1);
        let scheduled = control.promise(&["s"], Terms::now().at(later)).await;
        let ordered = control.promise(&["o1", "o2", "o3"], Terms::now().ordered(key())).await;
        let running = control.admit().await[0].clone();
        control.app.store().system().start(std::slice::from_ref(&running), super::TTL).await.unwrap();
        let ready = control.promise(&["r"], Terms::now()).await;

        for (state, expected) in [
            ("JOB_STATE_DEAD", &died[..]),
            ("JOB_STATE_SCHEDULED", &scheduled),
            ("JOB_STATE_BLOCKED", &ordered[1..]),
            ("JOB_STATE_RUNNING", &ordered[..1]),
            ("JOB_STATE_READY", &ready),
            ("JOB_STATE_DONE", &[]),
            ("JOB_STATE_DISPATCHED", &[]),
        ] {
            let mut request = json!({"state": state, "pageSize": 1});
            assert_eq!(pages(&control, request.clone()).await, texts(expected), "{state}");
            request["tenantId"] = control.owner.tenant.clone().into();
            request["queue"] = "JOB_QUEUE_SEND".into();
            request["kind"] = "scripted".into();
            assert_eq!(pages(&control, request.clone()).await, texts(expected), "{state}");
            for (field, other) in [("queue", "JOB_QUEUE_AI"), ("kind", "nothing")] {
                let mut request = request.clone();
                request[field] = other.into();
                assert_eq!(pages(&control, request).await, [""; 0], "{state} {field}");
            }
        }
        let all = [&died[..], &scheduled, &ordered, &ready].concat();
        assert_eq!(pages(&control, json!({"pageSize": 2})).await, texts(&all), "the newest first");
        let stranger = control.app.sign_up("else@shop.example").await;
        assert_eq!(pages(&control, json!({"tenantId": stranger.tenant})).await, [""; 0]);

        // A token is good for its own list alone.
        let page = control.ok("ListJobs", json!({"pageSize": 1})).await;
        let other = json!({"pageToken": page["nextPageToken"], "state": "JOB_STATE_DEAD"});
        assert_eq!(control.call("ListJobs", other).await.unwrap_err().fields, ["page_token"]);

        let got = control.ok("GetJob", control_get(&control, died[0])).await;
        let job = &got["job"];
        assert_eq!((&job["state"], &job["lastError"]), (&json!("JOB_STATE_DEAD"), &json!("no route")));
        assert_eq!((&job["queue"], &job["epoch"]), (&json!("JOB_QUEUE_SEND"), &json!(1)));
        assert!(!got.to_string().contains("deliver"), "{got}");
        let got = control.ok("GetJob", control_get(&control, ordered[2])).await;
        assert_eq!(got["job"]["orderNumber"], "2");
        let foreign = json!({"tenantId": stranger.tenant, "jobId": died[0].to_string()});
        assert_eq!(control.call("GetJob", foreign).await.unwrap_err().code, Code::NotFound);
    })
    .await;
}

fn control_get(control: &Control, job: JobId) -> Value {
    json!({"tenantId": control.owner.tenant, "jobId": job.to_string()})
}

/// A list that finds little in much goes through a bounded piece a call, and says where to go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_through_many_jobs_is_done_in_pieces() {
    both(async |pair| {
        let control = Control::start(&pair).await;
        let many = LOOKED_THROUGH + 50;
        let (series, id) = match pair.name {
            "postgres" => (format!("generate_series(1, {many})"), "gen_random_uuid()"),
            _ => (
                format!("(with recursive c (n) as (select 1 union all select n + 1 from c where n < {many}) select n from c)"),
                "randomblob(16)",
            ),
        };
        let now = Env::system().now();
        let insert = format!(
            "insert into job (tenant_id, id, shard, queue, kind, state, run_at, payload, created_at, finished_at) \
             select $1, {id}, 0, 0, 'common', 3, $2, $3, $2, $2 from {series} s"
        );
        let payload = sea_orm::Value::from(b"{}".to_vec());
        control.run(&insert, vec![control.tenant.into(), now.into(), payload.clone()]).await;
        let oldest = JobId(uuid::Uuid::from_u128(1));
        let rare = "insert into job (tenant_id, id, shard, queue, kind, state, run_at, payload, created_at, finished_at) \
             values ($1, $4, 0, 0, 'rare', 3, $2, $3, $2, $2)";
        control.run(rare, vec![control.tenant.into(), now.into(), payload, oldest.into()]).await;

        let first = control.ok("ListJobs", json!({"kind": "rare"})).await;
        assert_eq!(first["jobs"], json!([]));
        assert_ne!(first["nextPageToken"], "");
        assert_eq!(pages(&control, json!({"kind": "rare"})).await, [oldest.to_string()]);
        let found = pages(&control, json!({"kind": "common", "pageSize": 200})).await;
        assert_eq!(found.len(), many as usize);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stats_tell_how_full_each_queue_is() {
    both(async |pair| {
        let control = Control::start(&pair).await;
        control.promise(&["d1", "d2", "d3"], Terms::now()).await;
        control.end(dead("no")).await;
        let began = control.promise(&["x"], Terms::now()).await;
        let tickets = control.admit().await;
        control.app.store().system().start(&tickets, super::TTL).await.unwrap();
        assert_eq!((tickets.len(), began.len()), (1, 1));
        control.promise(&["y"], Terms::now()).await;
        assert_eq!(control.admit().await.len(), 1);
        control.promise(&["s1", "s2"], Terms::now().at(Env::system().now() + TimeDelta::days(1))).await;
        control.promise(&["o1", "o2", "o3"], Terms::now().ordered(key())).await;
        let pause = json!({"queue": "JOB_QUEUE_SEND", "reason": "the provider is down"});
        control.ok("PauseQueue", pause).await;

        let stats = control.ok("GetQueueStats", json!({})).await;
        assert_eq!(stats["queues"].as_array().unwrap().len(), 7);
        let send = &stats["queues"][0];
        for (count, expected) in
            [("ready", 1), ("scheduled", 2), ("blocked", 2), ("dispatched", 1), ("running", 1), ("dead", 3)]
        {
            assert_eq!(send[format!("{count}Count")], expected.to_string(), "{count}: {send}");
        }
        assert_eq!((&send["queue"], &send["paused"]), (&json!("JOB_QUEUE_SEND"), &json!(true)));
        assert_eq!((&send["pauseReason"], &send["capped"]), (&json!("the provider is down"), &json!(false)));
        let age = send["oldestReadyAge"].as_str().unwrap().trim_end_matches('s').parse::<f64>().unwrap();
        assert!((0.0..60.0).contains(&age), "{age}");
        assert_eq!(
            (&stats["queues"][1]["readyCount"], &stats["queues"][1]["paused"]),
            (&json!("0"), &json!(false))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_job_is_cancelled_at_once_and_a_running_one_is_told() {
    both(async |pair| {
        let control = Control::start(&pair).await;
        let running = control.promise(&["running"], Terms::now()).await[0];
        let tickets = control.admit().await;
        control.app.store().system().start(&tickets, super::TTL).await.unwrap();
        let dispatched = control.promise(&["dispatched"], Terms::now()).await[0];
        control.admit().await;
        let ordered = control.promise(&["ready", "blocked"], Terms::now().ordered(key())).await;
        for job in [dispatched, ordered[1], ordered[0]] {
            let answer = control.ok("CancelJob", control.of(job)).await;
            assert_eq!(answer["job"]["state"], "JOB_STATE_CANCELLED", "{answer}");
            assert_eq!(answer["alreadyInState"], false);
            assert_eq!(control.ok("CancelJob", control.of(job)).await["alreadyInState"], true);
        }
        let answer = control.ok("CancelJob", control.of(running)).await;
        let job = &answer["job"];
        assert_eq!((&job["state"], &job["cancelRequested"]), (&json!("JOB_STATE_RUNNING"), &json!(true)));
        assert_eq!(control.ok("CancelJob", control.of(running)).await["alreadyInState"], true);

        // Too late: it is done, and says that somebody asked.
        let outcome = switchboard::store::jobs::Outcome { ticket: tickets[0].clone(), ending: Ending::Done };
        control.app.store().system().finish(&[outcome]).await.unwrap();
        assert_eq!(control.state(running).await, DONE);
        let refused = control.call("CancelJob", control.of(running)).await.unwrap_err();
        assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "JOB_ENDED"));
        let nobodys = JobId(uuid::Uuid::from_u128(7));
        let refused = control.call("CancelJob", control.of(nobodys)).await.unwrap_err();
        assert_eq!(refused.code, Code::NotFound);

        let actions = control.app.store().system().actions_on("job", &running.to_string()).await.unwrap();
        let recorded: Vec<_> = actions.iter().map(|action| action.previous.is_some()).collect();
        assert_eq!(recorded, [true, false], "the repeat is recorded as one");
        let audited =
            control.run("select actor from audit_event where action = 'job.cancel'", Vec::new()).await;
        assert_eq!(audited.len(), 8);

        // In the log it is told apart.
        control.app.store().system().archive_jobs(std::time::Duration::ZERO).await.unwrap();
        let logged = control.ok("GetJob", control_get(&control, running)).await;
        assert_eq!(
            (&logged["logEntry"]["cancelTooLate"], &logged["logEntry"]["outcome"]),
            (&json!(true), &json!("JOB_STATE_DONE"))
        );
        let refused = control.call("CancelJob", control.of(running)).await.unwrap_err();
        assert_eq!(refused.reason, "JOB_ENDED");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_listed_by_time_and_by_tenant() {
    both(async |pair| {
        let control = Control::start(&pair).await;
        let done = control.promise(&["a", "b", "c"], Terms::now()).await;
        control.end(Ending::Done).await;
        let gone = control.promise(&["d"], Terms::now()).await;
        control.end(Ending::Cancelled).await;
        control.app.store().system().archive_jobs(std::time::Duration::ZERO).await.unwrap();

        let list = async |request: Value| -> Vec<String> {
            let mut request = request;
            let mut found = Vec::new();
            loop {
                let page = control.ok("ListJobLog", request.clone()).await;
                let entries = page["entries"].as_array().unwrap();
                found.extend(entries.iter().map(|entry| entry["jobId"].as_str().unwrap().to_owned()));
                if page["nextPageToken"] == "" {
                    return found;
                }
                request["pageToken"] = page["nextPageToken"].clone();
            }
        };
        let all = texts(&[&done[..], &gone].concat());
        for tenant in [String::new(), control.owner.tenant.clone()] {
            let found = list(json!({"tenantId": tenant, "pageSize": 1})).await;
            assert_eq!(found[0], gone[0].to_string());
            assert_eq!(found.len(), 4);
            if !tenant.is_empty() {
                assert_eq!(found, all);
            }
            let cancelled =
                json!({"tenantId": tenant, "outcome": "JOB_STATE_CANCELLED", "queue": "JOB_QUEUE_SEND"});
            assert_eq!(list(cancelled).await, texts(&gone));
        }
        let now = Env::system().now();
        let hour = |hours: i64| (now + TimeDelta::hours(hours)).to_rfc3339();
        assert_eq!(list(json!({"startTime": hour(-1), "endTime": hour(1)})).await.len(), 4);
        assert_eq!(list(json!({"startTime": hour(1)})).await, [""; 0]);
        assert_eq!(list(json!({"endTime": hour(-1)})).await, [""; 0]);
        let refused = control.call("ListJobLog", json!({"outcome": "JOB_STATE_READY"})).await.unwrap_err();
        assert_eq!(refused.fields, ["outcome"]);
    })
    .await;
}

/// Administrators look and cancel; what moves many jobs at once is the owner's.
#[tokio::test]
async fn what_moves_many_jobs_is_for_the_owner() {
    let pair = crate::support::Pair::sqlite().await; // policies are the same on both
    let app = TestApp::start(&pair).await;
    for (method, owner) in [
        ("ListJobs", false),
        ("GetJob", false),
        ("GetQueueStats", false),
        ("CancelJob", false),
        ("ListJobLog", false),
        ("RedriveJobs", true),
        ("PauseQueue", true),
        ("ResumeQueue", true),
    ] {
        let path = rpc::path(&rpc::method(&format!("JobService.{method}")));
        let audience = app.app.policies().of(&path).unwrap().audience;
        let expected = match owner {
            true => switchboard::access::Audience::PlatformOwner,
            false => switchboard::access::Audience::PlatformAdmin,
        };
        assert_eq!(audience, expected, "{method}");
    }
}
