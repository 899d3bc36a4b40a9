//! Whatever people and customers do, a copy that follows along is the copy that begins afterwards: no verb
//! changes a row without a word in the log.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::domain::{conversation::ChannelKind, signature};

use super::{COLLECTIONS, Copy, settled};
use crate::{
    conventions::stage::{SECRET, Stage, Who},
    conversation::{
        payload::{BEGIN, item, written},
        shop::raw,
    },
    support::both,
};

const IVO: &str = "15550000001";

/// A delivery of the messenger.
async fn deliver(stage: &Stage, body: Value) {
    let body = body.to_string();
    let request = raw(&body, "x-hub-signature-256", &signature::meta(SECRET, body.as_bytes()));
    stage
        .app
        .app
        .ingress()
        .receive(ChannelKind::Whatsapp, stage.channel(), &request)
        .await
        .expect("taken in");
}

async fn edit(stage: &Stage, id: &str, words: &str) {
    let second = stage.now().timestamp() - BEGIN;
    let message = json!({"type": "text", "text": {"body": words}});
    let edit = json!({"original_message_id": format!("wamid.{IVO}"), "message": message});
    deliver(stage, item(IVO, id, second, "edit", edit)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_follows_along_is_the_one_that_begins_afterwards() {
    both(async |pair| {
        let stage = Stage::start(&pair).await;
        settled(&pair).await;
        let mut copies: Vec<Copy> = COLLECTIONS.iter().map(|_| Copy::default()).collect();
        pull(&stage, &mut copies).await;

        let talks =
            [stage.writes(IVO).await, stage.writes("15550000002").await, stage.writes("15550000003").await];
        pull(&stage, &mut copies).await;
        let mut drafts = Vec::new();
        for talk in &talks {
            drafts.push(stage.draft(talk).await["id"].clone());
        }
        stage.ok(Who::Owner, "Approve", json!({"suggestionId": drafts[0]})).await;
        stage
            .ok(Who::Owner, "SuggestionService.Edit", json!({"suggestionId": drafts[1], "text": "Yes."}))
            .await;
        stage.ok(Who::Owner, "Escalate", json!({"suggestionId": drafts[2], "reason": "hard"})).await;
        pull(&stage, &mut copies).await;

        edit(&stage, "wamid.e1", "Do you deliver at night?").await;
        // Messengers also call changes edits that nobody sees.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        edit(&stage, "wamid.e2", "Do you deliver at night?").await;
        let second = stage.now().timestamp() - BEGIN;
        let react = json!({"message_id": format!("wamid.{IVO}"), "emoji": "👍"});
        deliver(&stage, item(IVO, "wamid.r", second, "reaction", react)).await;
        let talk = json!({"conversationId": talks[0]["id"]});
        for verb in [
            "MarkConversationRead",
            "AssignConversation",
            "ReleaseConversation",
            "ResolveConversation",
            "ReopenConversation",
            "ResolveConversation",
            "CloseConversation",
        ] {
            stage.ok(Who::Owner, verb, talk.clone()).await;
        }
        let sent = json!({"conversationId": talks[1]["id"], "text": "Hello"});
        stage.ok(Who::Owner, "SendMessage", sent).await;
        let customer = json!({"customerId": talks[1]["customerId"], "displayName": "Ivo", "tags": ["b2b"]});
        stage.ok(Who::Owner, "UpdateCustomer", customer).await;
        let blocked = json!({"customerId": talks[2]["customerId"], "blocked": true, "reason": "spam"});
        stage.ok(Who::Owner, "BlockCustomer", blocked).await;
        pull(&stage, &mut copies).await;
        deliver(&stage, written("15550000003", "wamid.blocked", second, "Hello?")).await;
        deliver(&stage, written(IVO, "wamid.again", second, "Still there?")).await;

        let mut products = Vec::new();
        for name in ["Bike", "Pump"] {
            products.push(stage.ok(Who::Owner, "CreateProduct", json!({"name": name})).await["id"].clone());
            let document = json!({"title": name, "content": "text", "documentType": "DOCUMENT_TYPE_FAQ"});
            let document = stage.ok(Who::Owner, "CreateDocument", document).await["id"].clone();
            stage.ok(Who::Owner, "UpdateDocument", json!({"documentId": document, "title": "new"})).await;
            if name == "Pump" {
                stage.ok(Who::Owner, "DeleteDocument", json!({"documentId": document})).await;
            }
        }
        stage.ok(Who::Owner, "UpdateProduct", json!({"productId": products[0], "name": "Tandem"})).await;
        stage.ok(Who::Owner, "DeleteProduct", json!({"productId": products[1]})).await;

        // Jobs are still at work: the copies meet when they have ended, or never.
        let mut apart = String::new();
        for _ in 0..100 {
            settled(&pair).await;
            pull(&stage, &mut copies).await;
            let mut anew: Vec<Copy> = COLLECTIONS.iter().map(|_| Copy::default()).collect();
            pull(&stage, &mut anew).await;
            let differ = COLLECTIONS
                .iter()
                .zip(copies.iter().zip(&anew))
                .find(|(_, (copy, anew))| copy.rows != anew.rows);
            let Some(((collection, _), (copy, anew))) = differ else {
                assert!(copies.iter().all(|copy| !copy.rows.is_empty()));
                return stage.stop().await;
            };
            apart = format!("{collection}: {:#?}\n{:#?}", copy.rows, anew.rows);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("{apart}");
    })
    .await;
}

/// A cycle of every collection, all of them with the same end.
async fn pull(stage: &Stage, copies: &mut [Copy]) {
    let mut until = None;
    for ((collection, _), copy) in COLLECTIONS.iter().zip(copies) {
        copy.until = until.take();
        let mut request_end = copy.until.clone();
        let (_, mut more) = copy.page(&stage.app, &stage.owner, collection, 3).await;
        while more {
            request_end = copy.until.clone();
            (_, more) = copy.page(&stage.app, &stage.owner, collection, 3).await;
        }
        until = request_end;
    }
}
