//! Dead jobs that run again: once, in order, and without doing twice what they did.
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::json;
use switchboard::{
    domain::queue::Queue,
    env::Env,
    jobs::{Context, Failure, Job, Registry, Terms, enqueue},
    store::jobs::{Ending, JobFilter, Recorded, Redriven},
};
use tonic::Code;

use super::{Control, dead};
use crate::{
    jobs::{Act, BLOCKED, Bench, DEAD, DONE, READY, Scripted, key, on_all, on_databases, runs},
    support::{both, rpc},
};

const PATIENCE: Duration = Duration::from_secs(30);

async fn redrive(bench: &Bench, filter: &JobFilter, limit: u32) -> Redriven {
    let system = bench.store.system();
    system.transaction(async |db| db.redrive(filter, None, limit).await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redriven_job_starts_afresh_and_remembers_its_effects() {
    both(async |pair| {
        let control = Control::start(&pair).await;
        let ids = control.promise(&["a", "b"], Terms::now()).await;
        control.run("update job set crashes = 2, tries = 2", Vec::new()).await;
        control.end(dead("no")).await;
        let db = control.app.store().of(control.scope());
        db.begin_effect([1; 32]).await.unwrap();
        db.transaction(async |db| db.effect_done([1; 32], Some("wamid.1")).await).await.unwrap();

        let one = json!({"tenantId": control.owner.tenant, "jobId": ids[0].to_string(), "reason": "a test"});
        let answer = control.ok("RedriveJobs", one.clone()).await;
        assert_eq!((&answer["redrivenCount"], &answer["more"]), (&json!(1), &json!(false)));
        let rows = control.run(
            "select tries, crashes, epoch, finished_at is null as open from job where id = $1",
            vec![ids[0].into()],
        );
        let rows = rows.await;
        let number = |name: &str| rows[0].try_get::<i16>("", name).unwrap();
        assert_eq!((number("tries"), number("crashes")), (0, 0));
        assert_eq!(rows[0].try_get::<i32>("", "epoch").unwrap(), 1, "the fence stays");
        assert!(rows[0].try_get::<bool>("", "open").unwrap());
        assert_eq!((control.state(ids[0]).await, control.state(ids[1]).await), (READY, DEAD));
        assert_eq!(db.begin_effect([1; 32]).await.unwrap(), Recorded::Done(Some("wamid.1".to_owned())));

        // It is not dead any more.
        let refused = control.call("RedriveJobs", one).await.unwrap_err();
        assert_eq!(refused.code, Code::NotFound);
        let alone = json!({"jobId": ids[0].to_string(), "reason": "a test"});
        assert_eq!(control.call("RedriveJobs", alone).await.unwrap_err().fields, ["tenant_id"]);
        assert_eq!(control.end(Ending::Done).await, 1);

        let recorded = control.app.store().system().actions_on("job", &ids[0].to_string()).await.unwrap();
        assert_eq!((recorded.len(), recorded[0].action.as_str()), (1, "job.redrive"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_redrives_so_many_at_a_time_and_a_repeat_under_a_key_no_more() {
    both(async |pair| {
        let control = Control::start(&pair).await;
        control.promise(&["a", "b", "c", "d", "e"], Terms::now()).await;
        control.end(dead("no")).await;
        let count = async |state: i16| {
            let rows =
                control.run("select count(*) as n from job where state = $1", vec![state.into()]).await;
            rows[0].try_get::<i64>("", "n").unwrap()
        };
        for nothing in [json!({"queue": "JOB_QUEUE_AI"}), json!({"kind": "other"})] {
            let mut request = nothing;
            request["reason"] = "a test".into();
            assert_eq!(control.ok("RedriveJobs", request).await["redrivenCount"], 0);
        }
        let request =
            json!({"queue": "JOB_QUEUE_SEND", "kind": "scripted", "maxJobs": 2, "reason": "a test"});
        let method = rpc::method("JobService.RedriveJobs");
        let message = prost_reflect::DynamicMessage::deserialize(method.input(), request.clone()).unwrap();
        let message = prost::Message::encode_to_vec(&message);
        let bearer = format!("Bearer {}", control.staff);
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", "once")];
        let send = async || {
            rpc::call_with(control.app.grpc(), &rpc::path(&method), &headers, &message).await.unwrap()
        };
        assert_eq!(send().await, send().await);
        assert_eq!((count(READY).await, count(DEAD).await), (2, 3));
        let other = json!({"maxJobs": 3, "reason": "a test"});
        let other = prost_reflect::DynamicMessage::deserialize(method.input(), other).unwrap();
        let other = prost::Message::encode_to_vec(&other);
        let reused = rpc::call_with(control.app.grpc(), &rpc::path(&method), &headers, &other).await;
        assert_eq!(reused.unwrap_err().reason, "IDEMPOTENCY_KEY_REUSED");
        let answer = control.ok("RedriveJobs", request).await;
        assert_eq!((&answer["redrivenCount"], &answer["more"]), (&json!(2), &json!(true)));
        let rest = control.ok("RedriveJobs", json!({"reason": "a test"})).await;
        assert_eq!((&rest["redrivenCount"], &rest["more"]), (&json!(1), &json!(false)));
        assert_eq!(count(DEAD).await, 0);
    })
    .await;
}

/// A live job of the same key does the work; what is too old is not redriven, because its effects are forgotten.
#[tokio::test]
async fn what_is_superseded_or_too_old_stays_dead() {
    on_databases(async |bench| {
        let unique = || Terms::now().unique("k");
        let died = bench.promise(&[Scripted::new("a", &[])], unique()).await[0];
        let old = bench.promise(&[Scripted::new("old", &[])], Terms::now()).await[0];
        let end = format!("update job set state = {DEAD}, finished_at = created_at");
        bench.ask(&end, []).await;
        let past = Env::system().now() - TimeDelta::days(15);
        bench.ask("update job set created_at = $1 where id = $2", [past.into(), old.into()]).await;
        let again = bench.promise(&[Scripted::new("again", &[])], unique()).await[0];

        let done = redrive(&bench, &JobFilter::default(), 10).await;
        assert_eq!(done, Redriven { jobs: Vec::new(), superseded: 1, more: false });
        assert_eq!((bench.row(died).await.state, bench.row(old).await.state), (DEAD, DEAD));
        let end = format!("update job set state = {DONE} where id = $1");
        bench.ask(&end, [again.into()]).await;
        assert_eq!(redrive(&bench, &JobFilter::default(), 10).await.jobs, [(bench.tenant(), died)]);
    })
    .await;
}

/// The followers of a dead job went on without it: it goes behind them, and those that died in their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redriven_jobs_of_an_order_go_behind_the_others_one_by_one() {
    on_all(async |bench| {
        let key = key();
        let engine = bench.start(|_| {}).await;
        let jobs = [
            Scripted::new("a", &[Act::Die]),
            Scripted::new("b", &[]),
            Scripted::new("c", &[Act::Die, Act::Take(50)]),
            Scripted::new("d", &[]),
        ];
        bench.promise(&jobs, Terms::now().ordered(key)).await;
        bench.settled(PATIENCE).await;
        engine.stop().await;
        assert_eq!(bench.states().await, [DEAD, DONE, DEAD, DONE]);

        bench.promise(&[Scripted::new("e", &[Act::Take(50)])], Terms::now().ordered(key)).await;
        assert_eq!(redrive(&bench, &JobFilter::default(), 10).await.jobs.len(), 2);
        bench.promise(&[Scripted::new("f", &[])], Terms::now().ordered(key)).await;
        assert_eq!(bench.states().await, [BLOCKED, DONE, BLOCKED, DONE, READY, BLOCKED]);
        let engine = bench.start(|_| {}).await;
        bench.settled(PATIENCE).await;
        engine.stop().await;
        assert_eq!(runs(bench.tenant()), ["a", "b", "c", "d", "e", "a", "c", "f"]);
        // The gate is past all of them: they can be archived.
        assert_eq!(bench.store.system().archive_jobs(Duration::ZERO).await.unwrap(), 6);
    })
    .await;
}

/// Dies at first; its followers wait for good.
#[derive(Serialize, Deserialize)]
struct Halting(bool);

impl Job for Halting {
    const NAME: &'static str = "halting";
    const QUEUE: Queue = Queue::Send;
    const HALT: bool = true;

    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        let again = cx.store.of(cx.scope.clone()).begin_effect([9; 32]).await? != Recorded::Fresh;
        if self.0 && !again { Err(Failure::dead(anyhow::anyhow!("no"))) } else { Ok(()) }
    }
}

/// The head of a halted order goes on where it stood, before those that waited for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redriven_head_lets_its_halted_order_go_on() {
    on_all(async |bench| {
        let key = key();
        let engine = bench.start_with(Registry::default().with::<Halting>(), |_| {}).await;
        let db = bench.store.of(bench.scope.clone());
        db.transaction(async |db| {
            for dies in [true, false] {
                enqueue(db, &Halting(dies), Terms::now().ordered(key)).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
        bench.until(PATIENCE, "it dies", async || bench.states().await == [DEAD, BLOCKED]).await;
        assert_eq!(redrive(&bench, &JobFilter::default(), 10).await.jobs.len(), 1);
        bench.settled(PATIENCE).await;
        engine.stop().await;
        assert_eq!(bench.states().await, [DONE, DONE]);
    })
    .await;
}
