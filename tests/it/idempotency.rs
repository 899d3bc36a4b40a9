//! The same command sent twice under one idempotency key happens once.
use futures::future::join_all;
use prost::Message;
use prost_reflect::DynamicMessage;
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    Pair,
    app::{Person, TestApp},
    both,
    rpc::{self, Refusal},
};

const CREATE: &str = "CatalogService.CreateProduct";

/// Calls `name` under `key`; answers the encoded message.
async fn send(
    app: &TestApp,
    person: &Person,
    key: &str,
    name: &str,
    request: Value,
) -> Result<Vec<u8>, Refusal> {
    let method = rpc::method(name);
    let message = DynamicMessage::deserialize(method.input(), request).unwrap().encode_to_vec();
    let bearer = format!("Bearer {}", person.token);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
    let answers = rpc::call_with(app.grpc(), &rpc::path(&method), &headers, &message).await?;
    Ok(answers[0].to_vec())
}

async fn products(app: &TestApp, person: &Person) -> usize {
    let listed = app.ok("CatalogService.ListProducts", person, json!({})).await;
    listed["products"].as_array().unwrap().len()
}

async fn sql(pair: &Pair, sql: &str) -> u64 {
    let raw = Database::connect(&pair.database_url).await.unwrap();
    let done = raw.execute_raw(Statement::from_string(raw.get_database_backend(), sql)).await.unwrap();
    raw.close().await.unwrap();
    done.rows_affected()
}

#[tokio::test]
async fn the_same_request_under_the_same_key_gets_the_same_answer() {
    both(async |pair| {
        let app = TestApp::start(&pair).await;
        let owner = app.sign_up("owner@shop.example").await;
        let bike = json!({"name": "Bike", "sku": "B1"});

        let first = send(&app, &owner, "k1", CREATE, bike.clone()).await.unwrap();
        let again = send(&app, &owner, "k1", CREATE, bike.clone()).await.unwrap();
        assert_eq!(first, again);
        assert_eq!(products(&app, &owner).await, 1);

        let other =
            send(&app, &owner, "k1", CREATE, json!({"name": "Trike", "sku": "B2"})).await.unwrap_err();
        assert_eq!((other.code, other.reason.as_str()), (Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED"));
        let elsewhere = json!({"name": "k", "permissions": ["PERMISSION_VIEW_CONVERSATIONS"]});
        let other = send(&app, &owner, "k1", "ApiKeyService.CreateApiKey", elsewhere).await.unwrap_err();
        assert_eq!(other.reason, "IDEMPOTENCY_KEY_REUSED");
        assert_eq!(products(&app, &owner).await, 1);

        // A key is its caller's own.
        let colleague = app.join(&owner, "colleague@shop.example", "ROLE_ADMIN").await;
        let theirs = json!({"name": "Trike", "sku": "B2"});
        assert_ne!(send(&app, &colleague, "k1", CREATE, theirs).await.unwrap(), first);
        let stranger = app.sign_up("owner@other.example").await;
        assert_ne!(send(&app, &stranger, "k1", CREATE, bike).await.unwrap(), first);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_same_moment_one_happens_and_the_others_wait_or_come_back() {
    both(async |pair| {
        let app = TestApp::start(&pair).await;
        let owner = app.sign_up("owner@shop.example").await;
        let bike = json!({"name": "Bike", "sku": "B1"});

        let answers = join_all((0..16).map(|_| send(&app, &owner, "k", CREATE, bike.clone()))).await;
        let kept = send(&app, &owner, "k", CREATE, bike.clone()).await.unwrap();
        for answer in answers {
            match answer {
                Ok(answer) => assert_eq!(answer, kept),
                Err(refusal) => {
                    use tonic_types::StatusExt;
                    assert_eq!(
                        (refusal.code, refusal.reason.as_str()),
                        (Code::Aborted, "REQUEST_IN_PROGRESS")
                    );
                    assert!(refusal.status.get_details_retry_info().is_some());
                }
            }
        }
        assert_eq!(products(&app, &owner).await, 1);
    })
    .await;
}

/// What was refused left nothing behind, the key neither.
#[tokio::test]
async fn a_refused_command_may_be_sent_again() {
    both(async |pair| {
        let app = TestApp::start(&pair).await;
        let owner = app.sign_up("owner@shop.example").await;
        let key = json!({"name": "a", "permissions": ["PERMISSION_VIEW_CONVERSATIONS"]});
        for text in ["", "ä", &"a".repeat(256)] {
            let refusal =
                send(&app, &owner, text, "ApiKeyService.CreateApiKey", key.clone()).await.unwrap_err();
            assert_eq!(
                (refusal.code, &refusal.fields[..]),
                (Code::InvalidArgument, &["idempotency-key".to_owned()][..])
            );
        }
        let missing =
            json!({"productId": "prd_01h2xcejqtf2nbrexx3vqjhp41", "name": "Trike", "expectedVersion": 1});
        let refusal = send(&app, &owner, "k", "CatalogService.UpdateProduct", missing).await.unwrap_err();
        assert_eq!(refusal.code, Code::NotFound, "{refusal:?}");
        send(&app, &owner, "k", CREATE, json!({"name": "Bike", "sku": "B1"})).await.unwrap();
    })
    .await;
}

/// An answer may hold a secret that is shown once: whoever reads the database must not find it.
#[tokio::test]
async fn a_kept_secret_is_given_again_and_not_readable_in_the_database() {
    both(async |pair| {
        let app = TestApp::start(&pair).await;
        let owner = app.sign_up("owner@shop.example").await;
        let request = json!({"name": "sync", "permissions": ["PERMISSION_VIEW_CONVERSATIONS"]});
        let first = send(&app, &owner, "k", "ApiKeyService.CreateApiKey", request.clone()).await.unwrap();
        let again = send(&app, &owner, "k", "ApiKeyService.CreateApiKey", request).await.unwrap();
        assert_eq!(first, again);

        let method = rpc::method("ApiKeyService.CreateApiKey");
        let answer = DynamicMessage::decode(method.output(), &first[..]).unwrap();
        let secret = answer.get_field_by_name("secret").unwrap().as_str().unwrap().to_owned();
        assert!(secret.len() > 20);
        let raw = Database::connect(&pair.database_url).await.unwrap();
        let kept = Statement::from_string(raw.get_database_backend(), "select answer from idempotency_key");
        let kept: Vec<u8> = raw.query_one_raw(kept).await.unwrap().unwrap().try_get("", "answer").unwrap();
        assert!(!kept.windows(8).any(|window| secret.as_bytes().windows(8).any(|part| part == window)));
    })
    .await;
}

/// Kept 72 hours: after that the key is as good as new, and the row goes with what is outdated.
#[tokio::test]
async fn a_key_that_expired_is_free_again() {
    both(async |pair| {
        let app = TestApp::start(&pair).await;
        let owner = app.sign_up("owner@shop.example").await;
        let first = send(&app, &owner, "k", CREATE, json!({"name": "Bike", "sku": "B1"})).await.unwrap();
        assert_eq!(
            sql(&pair, "update idempotency_key set expire_time = '2020-01-01 00:00:00+00:00'").await,
            1
        );

        let other = json!({"name": "Trike", "sku": "B2"});
        let second = send(&app, &owner, "k", CREATE, other.clone()).await.unwrap();
        assert_ne!(first, second);
        assert_eq!(send(&app, &owner, "k", CREATE, other).await.unwrap(), second);

        sql(&pair, "update idempotency_key set expire_time = '2020-01-01 00:00:00+00:00'").await;
        app.store().system().drop_outdated(10).await.unwrap();
        assert_eq!(sql(&pair, "delete from idempotency_key").await, 0);
    })
    .await;
}
