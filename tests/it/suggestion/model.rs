//! The same with a language model over HTTP, played by the sandbox.

use switchboard::{
    ai::Ai,
    config::Model,
    domain::decision::Decision,
    jobs::{Failure, Job, draft_reply::DraftReply},
    sandbox::Behaviour,
};

use super::stage::Stage;
use crate::{
    conversation::shop::{count, sandbox},
    support::both,
};

fn model(url: &str) -> Ai {
    let model = Model { base_url: format!("{url}/v1"), name: "sandbox-1".to_owned(), api_key: None };
    Ai::new(Some(&model))
}

/// Two calls a draft, each recorded with its tokens; what was recorded reads as the draft that was stored.
#[tokio::test]
async fn every_call_is_recorded() {
    let sandbox = sandbox().await;
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let message = stage.says(0, "What is the price of the espresso machine?").await;
        stage.draft_with(model(sandbox.url()), 0, message).await.unwrap();
        let draft = stage.drafts().await.remove(0);
        assert_eq!(draft.model, "sandbox-1");
        let db = stage.shop.store.of(stage.shop.scope());
        let mut calls = db.ai_calls().of_suggestion(draft.id).await.unwrap();
        calls.sort_by(|a, b| a.purpose.cmp(&b.purpose));
        let purposes: Vec<_> = calls.iter().map(|call| call.purpose.as_str()).collect();
        assert_eq!(purposes, ["draft", "self_check"]);
        assert!(calls.iter().all(|call| call.input_tokens > 0 && call.request_hash.len() == 64));
        let recorded: serde_json::Value = serde_json::from_str(&calls[0].response).unwrap();
        assert_eq!(recorded["reply"].as_str().unwrap().trim(), draft.text);
    })
    .await;
    sandbox.shutdown().await;
}

/// A model that is down is asked again; in the end the built-in drafter writes, and a person decides.
#[tokio::test]
async fn without_its_model_the_draft_waits_for_a_person() {
    let sandbox = sandbox().await;
    sandbox.behave(Behaviour { outage: true, ..Behaviour::default() });
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        stage.let_it_send().await;
        let message = stage.says(0, "How much is the espresso machine?").await;
        let failure = stage.draft_with(model(sandbox.url()), 0, message).await.unwrap_err();
        assert!(matches!(failure, Failure::Retry { .. }), "{failure}");
        assert!(stage.drafts().await.is_empty());

        let last = DraftReply::MAX_TRIES - 1;
        stage.draft_with(model(sandbox.url()), last, message).await.unwrap();
        let draft = stage.drafts().await.remove(0);
        assert_eq!((draft.model.as_str(), draft.decision), ("offline", Decision::NeedApproval));
        assert!(!draft.autosend_eligible);
        assert!(stage.sent().await.is_empty());
        // Two calls that failed, and the drafter's own.
        assert_eq!(count(&pair, "ai_call", stage.shop.tenant).await, 3);
    })
    .await;
    sandbox.shutdown().await;
}
