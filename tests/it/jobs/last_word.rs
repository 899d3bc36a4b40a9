//! Before a job is dead it tells whoever waits for it.
use std::sync::atomic::Ordering;

use switchboard::{
    error::Error,
    id::MessageId,
    jobs::{Terms, send_message::SendMessage},
    sandbox::Behaviour,
    store::{conversation::Message, jobs::MOST_CRASHES},
    wire::conversation::v1::SendMessageRequest,
};

use super::*;
use crate::conversation::{
    payload::written,
    sending::context,
    shop::{Shop, sandbox},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Ends as its name says.
#[derive(Serialize, Deserialize)]
struct Mortal {
    end: String,
}

/// Who ran, and who said that it is dead and why.
static SAID: LazyLock<Mutex<Vec<(JobId, String)>>> = LazyLock::new(Mutex::default);
static HOARSE: AtomicUsize = AtomicUsize::new(0);

impl Job for Mortal {
    const NAME: &'static str = "mortal";
    const QUEUE: Queue = Queue::Sys;
    const MAX_TRIES: i16 = 2;
    const BACKOFF: Backoff = Backoff { base: Duration::from_millis(5), cap: Duration::from_millis(5) };

    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        SAID.lock().unwrap().push((cx.job, "runs".to_owned()));
        match self.end.as_str() {
            "well" => Ok(()),
            "at once" => Err(Failure::dead(anyhow::anyhow!("no use"))),
            "panic" => panic!("no use"),
            _ => Err(Failure::retry(anyhow::anyhow!("no luck"))),
        }
    }

    async fn give_up(&self, cx: &Context, why: &str) -> switchboard::error::Result<()> {
        if self.end == "hoarse" && HOARSE.fetch_add(1, Ordering::Relaxed) % 3 < 2 {
            return Err(Error::unavailable(anyhow::anyhow!("nobody listens")));
        }
        SAID.lock().unwrap().push((cx.job, why.to_owned()));
        Ok(())
    }
}

fn said(job: JobId) -> Vec<String> {
    let said = SAID.lock().unwrap();
    said.iter().filter(|(of, _)| *of == job).map(|(_, what)| what.clone()).collect()
}

async fn mortal(bench: &Bench, end: &str, terms: Terms) -> JobId {
    let job = Mortal { end: end.to_owned() };
    let db = bench.store.of(bench.scope.clone());
    db.transaction(async |db| enqueue(db, &job, terms.clone()).await).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_says_that_it_is_dead_however_it_dies() {
    on_all(async |bench| {
        let engine = bench.start_with(Registry::default().with::<Mortal>(), |_| {}).await;
        let past = Env::system().now() - Duration::from_secs(1);
        let mut ids = Vec::new();
        for (end, terms) in [
            ("well", Terms::now()),
            ("at once", Terms::now()),
            ("unlucky", Terms::now()),
            ("panic", Terms::now()),
            ("late", Terms::now().expires(past)),
        ] {
            ids.push(mortal(&bench, end, terms).await);
        }
        bench.settled(PATIENCE).await;
        engine.stop().await;
        let said: Vec<Vec<String>> = ids.into_iter().map(said).collect();
        assert_eq!(said[0], ["runs"]);
        assert_eq!(said[1], ["runs", "no use"]);
        assert_eq!(said[2], ["runs", "runs", "no luck"]);
        assert_eq!(said[3], ["runs", "runs", "runs", "panicked: no use"]);
        assert_eq!(said[4], ["expired before it could start"]);
    })
    .await;
}

/// A job whose process is killed again and again is not run once more, but says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_ends_its_process_each_time_says_so() {
    on_all(async |bench| {
        let id = mortal(&bench, "well", Terms::now()).await;
        let system = bench.store.system();
        for _ in 0..MOST_CRASHES {
            let tickets = system.admit(Queue::Sys, &[(bench.tenant(), 1)], PATIENCE).await.unwrap();
            assert_eq!(system.start(&tickets, Duration::ZERO).await.unwrap().len(), 1);
            assert_eq!(system.sweep(10).await.unwrap().abandoned, 1);
        }
        let engine = bench.start_with(Registry::default().with::<Mortal>(), |_| {}).await;
        bench.settled(PATIENCE).await;
        engine.stop().await;
        assert_eq!(bench.row(id).await.state, DEAD);
        assert_eq!(said(id), ["its worker fell silent 3 times"]);
    })
    .await;
}

/// While the last word finds no ear, the job is not dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_word_is_said_until_it_is_heard() {
    on_all(async |bench| {
        let engine = bench.start_with(Registry::default().with::<Mortal>(), |_| {}).await;
        let id = mortal(&bench, "hoarse", Terms::now()).await;
        bench.settled(PATIENCE).await;
        engine.stop().await;
        assert_eq!(bench.row(id).await.state, DEAD);
        assert_eq!(said(id), ["runs", "runs", "runs", "runs", "no luck"]);
    })
    .await;
}

/// A message whose job is dead does not wait for good: it failed, or nobody knows whether it left.
#[tokio::test]
async fn a_message_is_not_left_queued_by_a_dead_job() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        sandbox.behave(Behaviour { silent: true, ..Behaviour::default() });
        let channel = shop.whatsapp_at(sandbox.url()).await;
        shop.post(channel, &written("4915112345678", "wamid.1", 0, "hello")).await.unwrap();
        let conversation = shop.thread().await.0.id;

        let never = answer(&shop, conversation).await;
        give_up(&shop, &never, shop.env.id()).await;
        let never = shop.message(never.id).await;
        assert_eq!(never.status.unwrap().as_str(), "failed");
        assert_eq!(never.failure_reason.as_deref(), Some("NOT_SENT"));
        assert_eq!(never.failure_detail.as_deref(), Some("no luck"));

        let perhaps = answer(&shop, conversation).await;
        let job: JobId = shop.env.id();
        let key = SendMessage { message: perhaps.id, attempt: 1 }.effect_key();
        shop.store.of(shop.scope()).begin_effect(key).await.unwrap();
        give_up(&shop, &perhaps, job).await;
        assert_eq!(shop.message(perhaps.id).await.status.unwrap().as_str(), "unknown");

        let sent = answer(&shop, conversation).await;
        let job: JobId = shop.env.id();
        SendMessage { message: sent.id, attempt: 1 }.run(&context(&shop, job, 0)).await.unwrap();
        give_up(&shop, &sent, job).await;
        assert_eq!(shop.message(sent.id).await.status.unwrap().as_str(), "sent");
        assert_eq!(sandbox.sent().len(), 1);
    })
    .await;
}

async fn answer(shop: &Shop, conversation: switchboard::id::ConversationId) -> Message {
    let request = SendMessageRequest {
        conversation_id: conversation.to_string(),
        text: "Yes, two left.".to_owned(),
        ..SendMessageRequest::default()
    };
    let sent = shop.messages().send_message(request).await.unwrap().into_inner();
    shop.message(sent.id.parse::<MessageId>().unwrap()).await
}

async fn give_up(shop: &Shop, message: &Message, job: JobId) {
    let send = SendMessage { message: message.id, attempt: message.attempt };
    send.give_up(&context(shop, job, 0), "no luck").await.unwrap();
}
