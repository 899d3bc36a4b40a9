//! The drafting job: when it works, what it stores, what it never does twice.

use switchboard::{
    auth::Actor,
    domain::{
        conversation::Author,
        decision::{Block, Decision},
        suggestion::{EscalationState, SuggestionState},
    },
    id::UserId,
    store::conversation::CustomerChange,
    wire::conversation::v1,
};

use super::stage::Stage;
use crate::{conversation::shop::count, support::both};

/// Acceptance case 120: three quick texts are one turn, as they were written; each inbound message promised
/// a job, and only the newest one's works.
#[tokio::test]
async fn three_quick_texts_are_one_turn() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let mut promised = Vec::new();
        for (second, words) in [(0, "How much"), (1, "is the ESPRESSO machine"), (3, "Lira?")] {
            promised.push(stage.says(second, words).await);
        }
        assert_eq!(count(&pair, "job", stage.shop.tenant).await, 3);
        for message in &promised {
            stage.draft(*message).await;
        }

        let drafts = stage.drafts().await;
        assert_eq!(drafts.len(), 1);
        let draft = &drafts[0];
        assert_eq!(draft.question, "How much\n\nis the ESPRESSO machine\n\nLira?");
        assert_eq!(draft.message_id, promised[2]);
        assert_eq!((draft.state, draft.attempt), (SuggestionState::Pending, 1));
        assert!(draft.text.contains("349.00 EUR"), "{}", draft.text);
        assert_eq!(draft.model, "offline");
        assert_eq!((draft.decision, draft.intent.as_str()), (Decision::AutoSend, "price"));
        assert_eq!(draft.autosend_block, Some(Block::FlagOff));

        // A job that runs once more stores nothing.
        stage.draft(promised[2]).await;
        assert_eq!(stage.drafts().await.len(), 1);
        assert_eq!(count(&pair, "ai_call", stage.shop.tenant).await, 1);
        assert!(stage.sent().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_newer_message_supersedes_the_draft_that_waits() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let first = stage.turn(0, "How much is the espresso machine?").await;
        let second = stage.says(10, "And when do you deliver?").await;
        stage.draft(second).await;

        let drafts = stage.drafts().await;
        assert_eq!(drafts.len(), 2);
        assert_eq!((drafts[1].id, drafts[1].state), (first.id, SuggestionState::Superseded));
        assert_eq!(drafts[0].state, SuggestionState::Pending);
        assert_eq!(drafts[0].question, "How much is the espresso machine?\n\nAnd when do you deliver?");
        let actions = stage.shop.store.of(stage.shop.scope()).suggestions().actions(first.id).await.unwrap();
        assert_eq!(actions.iter().map(|a| a.action.as_str()).collect::<Vec<_>>(), ["supersede"]);
    })
    .await;
}

/// Acceptance case 41: what policy may send is really sent, once, and signed by policy.
#[tokio::test]
async fn policy_sends_an_eligible_draft_exactly_once() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        stage.let_it_send().await;
        let draft = stage.turn(0, "How much is the espresso machine?").await;
        stage.draft(draft.message_id).await;
        stage.redraft(draft.message_id, 1).await;

        let sent = stage.sent().await;
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].author, sent[0].suggestion_id), (Author::Ai, Some(draft.id)));
        assert_eq!(sent[0].text, draft.text);
        let drafts = stage.drafts().await;
        assert_eq!(drafts.len(), 1);
        assert_eq!(drafts[0].state, SuggestionState::Approved);
        assert_eq!(drafts[0].decided_by.as_deref(), Some("policy"));
        assert_eq!(drafts[0].sent_message_id, Some(sent[0].id));
    })
    .await;
}

/// The AI never talks over a person, nor into a window that is shut.
#[tokio::test]
async fn policy_keeps_its_hands_off() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        stage.let_it_send().await;
        let message = stage.says(0, "How much is the espresso machine?").await;
        let me: UserId = stage.shop.user;
        let db = stage.shop.store.of(stage.shop.scope().acting_as(Actor::User(me)));
        let conversation = stage.conversation().await;
        db.transaction(async |db| {
            let seen = db.conversations().locked(conversation.id).await?;
            db.conversations()
                .move_to(&seen, switchboard::domain::conversation::State::Assigned, Some(me))
                .await
        })
        .await
        .unwrap();
        stage.draft(message).await;
        let draft = stage.drafts().await.remove(0);
        assert_eq!((draft.state, draft.autosend_block), (SuggestionState::Pending, Some(Block::NotSendable)));
        assert!(!draft.autosend_eligible);
        assert!(stage.sent().await.is_empty());

        let late = Stage::open(&pair).await;
        late.let_it_send().await;
        let message = late.says(0, "How much is the espresso machine?").await;
        late.shop.env.advance(chrono::TimeDelta::hours(25));
        late.draft(message).await;
        assert_eq!(late.drafts().await[0].autosend_block, Some(Block::NotSendable));
        assert!(late.sent().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_people_must_answer_goes_over_to_them() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let draft = stage.turn(0, "This is a complaint: the machine arrived broken").await;
        assert_eq!((draft.decision, draft.state), (Decision::Escalate, SuggestionState::Pending));
        let escalations = stage.escalations_of(draft.conversation_id).await;
        assert_eq!(escalations.len(), 1);
        assert_eq!(escalations[0].reason, "complaint");
        assert_eq!(escalations[0].state, EscalationState::Pending);
        assert_eq!(draft.escalation_id, Some(escalations[0].id));
    })
    .await;
}

#[tokio::test]
async fn nobody_drafts_what_nobody_wants() {
    both(async |pair| {
        let blocked = Stage::open(&pair).await;
        let message = blocked.says(0, "hello").await;
        let customer = blocked.conversation().await.customer_id;
        let db = blocked.shop.store.of(blocked.shop.scope());
        db.transaction(async |db| {
            let seen = db.customers().get(customer).await?;
            let change = CustomerChange { blocked: Some((true, None)), ..CustomerChange::default() };
            db.customers().change(&seen, change).await
        })
        .await
        .unwrap();
        blocked.draft(message).await;
        assert!(blocked.drafts().await.is_empty());

        let answered = Stage::open(&pair).await;
        let message = answered.says(0, "hello").await;
        let conversation_id = answered.conversation().await.id.to_string();
        let reply = v1::SendMessageRequest { conversation_id, text: "Hi!".to_owned(), ..Default::default() };
        answered.shop.messages().send_message(reply).await.unwrap();
        answered.draft(message).await;
        assert!(answered.drafts().await.is_empty());

        let resolved = Stage::open(&pair).await;
        let message = resolved.says(0, "hello").await;
        let conversation_id = resolved.conversation().await.id.to_string();
        let resolve = v1::ResolveConversationRequest { conversation_id, ..Default::default() };
        resolved.shop.conversations().resolve_conversation(resolve).await.unwrap();
        resolved.draft(message).await;
        assert!(resolved.drafts().await.is_empty());
    })
    .await;
}

/// Two runs of one job at the same moment: a draft, not two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_at_once_store_one_draft() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        stage.let_it_send().await;
        let message = stage.says(0, "How much is the espresso machine?").await;
        let runs = (0..6).map(|_| stage.draft_with(switchboard::ai::Ai::Offline, 0, message));
        futures::future::join_all(runs).await;
        assert_eq!(stage.drafts().await.len(), 1);
        assert_eq!(stage.sent().await.len(), 1);
    })
    .await;
}

/// A dead job leaves no customer waiting for a draft that will never be: people see it, once.
#[tokio::test]
async fn what_cannot_be_drafted_goes_over_to_people() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let first = stage.says(0, "How much is the espresso machine?").await;
        let message = stage.says(5, "Hello?").await;
        let conversation = stage.conversation().await.id;
        let events = count(&pair, "event", stage.shop.tenant).await;

        // The customer wrote again: that job drafts for both.
        stage.give_up(first).await;
        assert!(stage.escalations_of(conversation).await.is_empty());
        // The last word may be said more than once.
        stage.give_up(message).await;
        stage.give_up(message).await;
        let escalations = stage.escalations_of(conversation).await;
        assert_eq!(escalations.len(), 1);
        let open = &escalations[0];
        assert_eq!((open.reason.as_str(), open.summary.as_str()), ("draft_failed", "Hello?"));
        assert_eq!((open.suggestion_id, open.state), (None, EscalationState::Pending));
        assert_eq!(count(&pair, "event", stage.shop.tenant).await, events + 1);
        let listed = stage.escalations().list_escalations(v1::ListEscalationsRequest::default()).await;
        let listed = listed.unwrap().into_inner().escalations;
        assert_eq!((listed.len(), listed[0].suggestion_id.as_str()), (1, ""));

        // A job that dies after its draft was stored has nothing to say.
        let drafted = Stage::open(&pair).await;
        let draft = drafted.turn(0, "How much is the espresso machine?").await;
        drafted.give_up(draft.message_id).await;
        assert!(drafted.escalations_of(draft.conversation_id).await.is_empty());
    })
    .await;
}
