//! Sends whose outcome nobody knows: never repeated blindly, settled by a report or by a person.

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, Database, DbBackend, QueryResult, Statement};
use serde_json::json;
use switchboard::{
    domain::delivery::DeliveryStatus,
    id::{ChannelId, JobId},
    jobs::{Job, send_message::SendMessage},
    sandbox::Behaviour,
    store::{conversation as rows, jobs::Recorded},
    wire::conversation::v1::{self, UnknownOutcome},
};

use super::{
    integrator::{self, Integrator},
    payload::status,
    sending::{answer, answered, context, quiet, run},
    shop::{Shop, reason, sandbox},
};
use crate::support::{Pair, both};

/// What the ledger says about an attempt; asking is as good as a run that means to send.
async fn ledger(shop: &Shop, message: &rows::Message) -> Recorded {
    let key = SendMessage { message: message.id, attempt: message.attempt }.effect_key();
    shop.store.of(shop.scope()).begin_effect(key).await.unwrap()
}

/// A message that a run was about to send when it died.
async fn in_doubt(shop: &Shop, channel: ChannelId) -> rows::Message {
    let message = answered(shop, channel).await;
    assert_eq!(ledger(shop, &message).await, Recorded::Fresh);
    message
}

/// A message that its messenger took without an answer, a while ago.
async fn unanswered(shop: &Shop, channel: ChannelId) -> rows::Message {
    let message = answered(shop, channel).await;
    run(shop, &message).await.unwrap();
    shop.env.advance(TimeDelta::seconds(5));
    let message = shop.message(message.id).await;
    assert_eq!(message.status, Some(DeliveryStatus::Unknown));
    message
}

fn request(message: &rows::Message, outcome: UnknownOutcome) -> v1::ResolveUnknownMessageRequest {
    let message_id = message.id.to_string();
    v1::ResolveUnknownMessageRequest { message_id, outcome: outcome.into(), ..Default::default() }
}

async fn resolve(
    shop: &Shop,
    request: v1::ResolveUnknownMessageRequest,
) -> Result<v1::Message, tonic::Status> {
    shop.messages().resolve_unknown_message(request).await.map(tonic::Response::into_inner)
}

fn lost_answers() -> Behaviour {
    Behaviour { timeout_after_accept: 1, silent: true, ..Behaviour::default() }
}

/// Conformance 13: the server died between the provider's yes and our commit.
#[tokio::test]
async fn what_may_have_been_sent_is_never_sent_again() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        sandbox.behave(quiet());
        let channel = shop.whatsapp_at(sandbox.url()).await;
        let message = in_doubt(&shop, channel).await;
        run(&shop, &message).await.unwrap();

        assert!(sandbox.sent().is_empty());
        let unknown = shop.message(message.id).await;
        assert_eq!(unknown.status, Some(DeliveryStatus::Unknown));
        assert_eq!(unknown.failure_reason.as_deref(), Some("OUTCOME_UNKNOWN"));
        assert_eq!(ledger(&shop, &message).await, Recorded::Unknown);
        let retry = v1::RetryMessageRequest { message_id: message.id.to_string(), ..Default::default() };
        assert_eq!(reason(&shop.messages().retry_message(retry).await.unwrap_err()), "MESSAGE_NOT_FAILED");

        // A report with our id in it tells that it arrived.
        let report =
            status("wamid.lost", "sent", 100, json!({"biz_opaque_callback_data": message.id.to_string()}));
        shop.post(channel, &report).await.unwrap();
        let known = shop.message(message.id).await;
        assert_eq!((known.status, known.failure_reason), (Some(DeliveryStatus::Sent), None));
        assert_eq!(known.external_id.as_deref(), Some("wamid.lost"));
        assert_eq!(ledger(&shop, &message).await, Recorded::Done(Some("wamid.lost".to_owned())));
    })
    .await;
}

/// The provider told of it while nobody was there to send: that answers the question, and the ledger knows.
#[tokio::test]
async fn a_report_answers_the_run_that_comes_after_a_crash() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        sandbox.behave(quiet());
        let channel = shop.whatsapp_at(sandbox.url()).await;
        let message = in_doubt(&shop, channel).await;
        let named = json!({"biz_opaque_callback_data": message.id.to_string()});
        shop.post(channel, &status("wamid.told", "delivered", 100, named)).await.unwrap();

        run(&shop, &message).await.unwrap();

        assert!(sandbox.sent().is_empty());
        assert_eq!(shop.message(message.id).await.status, Some(DeliveryStatus::Delivered));
        assert_eq!(ledger(&shop, &message).await, Recorded::Done(Some("wamid.told".to_owned())));
    })
    .await;
}

/// An integrator's system ignores what it has seen: sending again is safe, and nothing is ever unknown there.
#[tokio::test]
async fn a_receiver_that_takes_a_key_gets_it_again() {
    both(async |pair| {
        let sandbox = sandbox().await;
        sandbox.behave(quiet());
        let url = format!("{}/receiver/crm", sandbox.url());
        let crm = Integrator::at(Shop::open(&pair).await, url).await;
        crm.post(&integrator::message("evt-1", "x-1", "hello")).await.unwrap();
        let shop = crm.shop;
        let message = answer(&shop).await;
        assert_eq!(ledger(&shop, &message).await, Recorded::Fresh);
        run(&shop, &message).await.unwrap();
        assert_eq!(shop.message(message.id).await.status, Some(DeliveryStatus::Sent));
        assert_eq!(sandbox.sent().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_person_who_knows_that_it_did_not_arrive_has_it_sent_again_once() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        let channel = shop.whatsapp_at(sandbox.url()).await;
        sandbox.behave(lost_answers());
        let message = unanswered(&shop, channel).await;
        assert_eq!(sandbox.sent().len(), 1);

        let unclear = resolve(&shop, request(&message, UnknownOutcome::Unspecified)).await.unwrap_err();
        assert_eq!(reason(&unclear), "INVALID_FIELD");
        let outdated = v1::ResolveUnknownMessageRequest {
            expected_version: message.version + 7,
            ..request(&message, UnknownOutcome::SendAgain)
        };
        assert_eq!(reason(&resolve(&shop, outdated).await.unwrap_err()), "VERSION_MISMATCH");
        // Two people at once: one of them sends.
        let both = [UnknownOutcome::SendAgain; 2].map(|outcome| resolve(&shop, request(&message, outcome)));
        let mut answers: Vec<_> = futures::future::join_all(both).await;
        answers.sort_by_key(Result::is_err);
        let again = answers[0].as_ref().unwrap();
        assert_eq!((again.status(), again.attempt), (v1::DeliveryStatus::Queued, 2));
        assert_eq!(reason(answers[1].as_ref().unwrap_err()), "OUTCOME_KNOWN");
        assert_eq!(last_status(&pair, &shop).await, "queued");

        // Behind what was promised to the conversation before, and as an effect of its own.
        assert_eq!(attempts(&pair, &shop).await, [1, 2]);
        run(&shop, &shop.message(message.id).await).await.unwrap();
        let sent = shop.message(message.id).await;
        assert_eq!(sent.status, Some(DeliveryStatus::Sent));
        assert_eq!(sandbox.sent().len(), 2);
        assert_eq!(ledger(&shop, &message).await, Recorded::Fresh, "the first one did not happen");
        assert_eq!(ledger(&shop, &sent).await, Recorded::Done(sent.external_id.clone()));
    })
    .await;
}

/// Rows of the shop's database, as JSON texts.
async fn texts(pair: &Pair, shop: &Shop, sql: &str) -> Vec<serde_json::Value> {
    let raw = Database::connect(&pair.database_url).await.unwrap();
    let backend = raw.get_database_backend();
    let sql = if backend == DbBackend::Sqlite {
        sql.replace("{text}", "cast(payload as text)")
    } else {
        sql.replace(
            "{text}",
            if sql.contains("from job") { "convert_from(payload, 'UTF8')" } else { "payload::text" },
        )
    };
    let sql = sql.replace("{tenant}", if backend == DbBackend::Sqlite { "?" } else { "$1" });
    let found = raw.query_all_raw(Statement::from_sql_and_values(backend, sql, [shop.tenant.into()]));
    let text = |row: &QueryResult| row.try_get_by_index::<String>(0).unwrap();
    found.await.unwrap().iter().map(|row| serde_json::from_str(&text(row)).unwrap()).collect()
}

/// The attempts that were promised, in the order in which the conversation's gate lets them go.
async fn attempts(pair: &Pair, shop: &Shop) -> Vec<i64> {
    let sql = "select {text} from job where tenant_id = {tenant} and kind = 'send_message' \
         and order_key is not null order by order_seq";
    texts(pair, shop, sql).await.iter().map(|send| send["attempt"].as_i64().unwrap()).collect()
}

/// What the last event about a delivery says.
async fn last_status(pair: &Pair, shop: &Shop) -> String {
    let sql =
        "select {text} from event where tenant_id = {tenant} and kind = 'message.status_changed' order by id";
    texts(pair, shop, sql).await.last().unwrap()["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_person_who_knows_that_it_arrived_may_know_its_name() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        let channel = shop.whatsapp_at(sandbox.url()).await;
        sandbox.behave(lost_answers());
        let message = unanswered(&shop, channel).await;
        let named = |outcome, name: &str| v1::ResolveUnknownMessageRequest {
            external_id: name.to_owned(),
            ..request(&message, outcome)
        };

        let lost = resolve(&shop, named(UnknownOutcome::Lost, "wamid.x")).await.unwrap_err();
        assert_eq!(reason(&lost), "INVALID_FIELD");
        // The customer's own message is called so.
        let taken = resolve(&shop, named(UnknownOutcome::Arrived, "wamid.1")).await.unwrap_err();
        assert_eq!(taken.code(), tonic::Code::AlreadyExists);
        assert_eq!(shop.message(message.id).await.status, Some(DeliveryStatus::Unknown));

        // A report that named no id of ours waits under the messenger's name.
        shop.post(channel, &status("wamid.mine", "delivered", 100, json!({}))).await.unwrap();
        shop.env.advance(TimeDelta::seconds(5));
        let arrived = resolve(&shop, named(UnknownOutcome::Arrived, "wamid.mine")).await.unwrap();
        assert_eq!((arrived.status(), &*arrived.external_id), (v1::DeliveryStatus::Delivered, "wamid.mine"));
        assert_eq!(last_status(&pair, &shop).await, "delivered");
        assert_eq!(ledger(&shop, &message).await, Recorded::Done(Some("wamid.mine".to_owned())));
        // Later ones find it.
        shop.post(channel, &status("wamid.mine", "read", 200, json!({}))).await.unwrap();
        assert_eq!(shop.message(message.id).await.status, Some(DeliveryStatus::Read));
        let late = resolve(&shop, request(&message, UnknownOutcome::SendAgain)).await.unwrap_err();
        assert_eq!(reason(&late), "OUTCOME_KNOWN");

        // Its job comes back all the same: there is nothing left to do.
        let job: JobId = shop.env.id();
        SendMessage { message: message.id, attempt: 1 }.run(&context(&shop, job, 0)).await.unwrap();
        assert_eq!(sandbox.sent().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_person_may_know_that_it_is_lost_for_good() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        let channel = shop.whatsapp_at(sandbox.url()).await;
        sandbox.behave(lost_answers());
        let message = unanswered(&shop, channel).await;
        let lost = resolve(&shop, request(&message, UnknownOutcome::Lost)).await.unwrap();
        assert_eq!((lost.status(), &*lost.failure_reason), (v1::DeliveryStatus::Failed, "NOT_ARRIVED"));
        assert_eq!(last_status(&pair, &shop).await, "failed");
        assert_eq!(ledger(&shop, &message).await, Recorded::Fresh);
    })
    .await;
}
