//! What people do with drafts.

use futures::future::join_all;
use switchboard::{
    domain::suggestion::SuggestionState,
    wire::conversation::v1::{
        self, EditRequest, EscalateRequest, ExplainSuggestionRequest, GenerateSuggestionRequest,
        GetSuggestionRequest, ListEscalationsRequest, ListSuggestionsRequest, Precondition, RejectRequest,
        ReplayDecisionRequest, ResolveEscalationRequest,
    },
};
use tonic::Code;

use super::stage::{Stage, approve};
use crate::{
    conversation::shop::{Shop, reason},
    support::both,
};

const QUESTION: &str = "How much is the espresso machine?";

/// Acceptance case 29: approving again answers the same and sends nothing.
#[tokio::test]
async fn approving_twice_sends_once() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let draft = stage.turn(0, QUESTION).await;
        let first = stage.suggestions().approve(approve(&draft)).await.unwrap().into_inner();
        let again = stage.suggestions().approve(approve(&draft)).await.unwrap().into_inner();
        assert!(first.message_id.starts_with("msg_"));
        assert_eq!(first.message_id, again.message_id);
        let suggestion = again.suggestion.unwrap();
        assert_eq!(suggestion.state(), v1::SuggestionState::Approved);
        assert_eq!(suggestion.decided_by, format!("user:{}", stage.shop.user));
        let sent = stage.sent().await;
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].id.to_string(), &sent[0].text), (first.message_id, &draft.text));
    })
    .await;
}

/// The same with everybody at once: two operators, eight calls, one message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approving_at_the_same_moment_sends_once() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let draft = stage.turn(0, QUESTION).await;
        let calls = (0..8).map(|n| {
            let shop = if n % 2 == 0 { stage.shop.clone() } else { stage.shop.colleague() };
            let request = approve(&draft);
            async move {
                let mut client = v1::suggestion_service_client::SuggestionServiceClient::new(shop.wire());
                client.approve(request).await
            }
        });
        let mut ids: Vec<String> =
            join_all(calls).await.into_iter().map(|done| done.unwrap().into_inner().message_id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{ids:?}");
        assert_eq!(stage.sent().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_draft_is_decided_once() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let draft = stage.turn(0, QUESTION).await;
        let suggestion_id = draft.id.to_string();
        let reject = RejectRequest {
            suggestion_id: suggestion_id.clone(),
            reason: "цена".to_owned(),
            ..Default::default()
        };
        // Acceptance case 30, and the same once more.
        for _ in 0..2 {
            let rejected = stage.suggestions().reject(reject.clone()).await.unwrap().into_inner();
            assert_eq!(rejected.state(), v1::SuggestionState::Rejected);
            assert_eq!(rejected.decide_reason, "цена");
        }
        let refused = stage.suggestions().approve(approve(&draft)).await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused)),
            (Code::FailedPrecondition, "SUGGESTION_DECIDED".into())
        );
        let escalate = EscalateRequest { suggestion_id, ..Default::default() };
        let refused = stage.suggestions().escalate(escalate).await.unwrap_err();
        assert_eq!(reason(&refused), "SUGGESTION_DECIDED");
        assert!(stage.sent().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_edit_keeps_both_texts() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let draft = stage.turn(0, QUESTION).await;
        let suggestion_id = draft.id.to_string();
        let edit = |text: &str| EditRequest {
            suggestion_id: suggestion_id.clone(),
            text: text.to_owned(),
            ..Default::default()
        };
        // Acceptance case 32.
        for bad in [String::new(), "   ".to_owned(), "x".repeat(4_001)] {
            let refused = stage.suggestions().edit(edit(&bad)).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
        }
        assert!(stage.sent().await.is_empty());

        let edited = stage.suggestions().edit(edit("349 euro, and it is here.")).await.unwrap().into_inner();
        let again = stage.suggestions().edit(edit("349 euro, and it is here.")).await.unwrap().into_inner();
        assert_eq!(edited.message_id, again.message_id);
        let suggestion = edited.suggestion.unwrap();
        assert_eq!(
            (suggestion.text, suggestion.edited_text),
            (draft.text, "349 euro, and it is here.".into())
        );
        let refused = stage.suggestions().edit(edit("Something else.")).await.unwrap_err();
        assert_eq!(reason(&refused), "SUGGESTION_DECIDED");
        let sent = stage.sent().await;
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].text, "349 euro, and it is here.");
    })
    .await;
}

#[tokio::test]
async fn an_escalation_is_opened_listed_and_resolved() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let draft = stage.turn(0, QUESTION).await;
        let escalate = EscalateRequest {
            suggestion_id: draft.id.to_string(),
            reason: "wants a call".to_owned(),
            ..Default::default()
        };
        let done = stage.suggestions().escalate(escalate.clone()).await.unwrap().into_inner();
        let again = stage.suggestions().escalate(escalate).await.unwrap().into_inner();
        assert_eq!(done.escalation_id, again.escalation_id);
        assert_eq!(done.suggestion.unwrap().state(), v1::SuggestionState::Escalated);

        let all = ListEscalationsRequest { state: v1::EscalationState::Pending.into(), ..Default::default() };
        let listed = stage.escalations().list_escalations(all).await.unwrap().into_inner().escalations;
        assert_eq!(listed.len(), 1);
        assert_eq!((&listed[0].id, listed[0].reason.as_str()), (&done.escalation_id, "wants a call"));

        let resolve = |state: v1::EscalationState| ResolveEscalationRequest {
            escalation_id: done.escalation_id.clone(),
            state: state.into(),
            ..Default::default()
        };
        for _ in 0..2 {
            let handled = stage.escalations().resolve_escalation(resolve(v1::EscalationState::Handled)).await;
            assert_eq!(handled.unwrap().into_inner().state(), v1::EscalationState::Handled);
        }
        let other = stage.escalations().resolve_escalation(resolve(v1::EscalationState::Dismissed)).await;
        assert_eq!(reason(&other.unwrap_err()), "ESCALATION_RESOLVED");
        assert!(stage.sent().await.is_empty());
    })
    .await;
}

/// Nobody talks over anybody: each part of the precondition, and the turn itself.
#[tokio::test]
async fn a_draft_goes_out_only_into_the_conversation_it_was_made_for() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let draft = stage.turn(0, QUESTION).await;
        let now = stage.conversation().await;
        let other = stage.shop.env.id::<switchboard::id::MessageId>().to_string();
        for missed in [
            Precondition { expected_version: now.version + 1, ..Default::default() },
            Precondition { last_message_id: other, ..Default::default() },
            Precondition { assigned_to_me: true, ..Default::default() },
        ] {
            let mut request = approve(&draft);
            request.precondition = Some(missed);
            let refused = stage.suggestions().approve(request).await.unwrap_err();
            assert_eq!((refused.code(), reason(&refused)), (Code::Aborted, "CONVERSATION_CHANGED".into()));
        }
        let mut request = approve(&draft);
        request.validate_only = true;
        let checked = stage.suggestions().approve(request).await.unwrap().into_inner();
        assert_eq!((checked.message_id.as_str(), stage.sent().await.len()), ("", 0));

        stage.says(10, "Never mind, when do you deliver?").await;
        let refused = stage.suggestions().approve(approve(&draft)).await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused)),
            (Code::FailedPrecondition, "SUGGESTION_SUPERSEDED".into())
        );

        let held = stage.turn(20, QUESTION).await;
        let now = stage.conversation().await;
        let mut request = approve(&held);
        request.precondition = Some(Precondition {
            expected_version: now.version,
            last_message_id: now.last_message_id.unwrap().to_string(),
            window_open: true,
            ..Default::default()
        });
        stage.suggestions().approve(request).await.unwrap();
        assert_eq!(stage.sent().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_closed_window_takes_no_draft() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let draft = stage.turn(0, QUESTION).await;
        stage.shop.env.advance(chrono::TimeDelta::hours(25));
        let refused = stage.suggestions().approve(approve(&draft)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused)), (Code::FailedPrecondition, "WINDOW_CLOSED".into()));
        assert!(refused.message().contains("template"));
        assert_eq!(stage.drafts().await[0].state, SuggestionState::Pending);
        assert!(stage.sent().await.is_empty());
    })
    .await;
}

/// Acceptance case 28: another tenant's draft is not there, whatever is asked of it.
#[tokio::test]
async fn another_tenants_draft_is_not_there() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let draft = stage.turn(0, QUESTION).await;
        let stranger = Shop::in_store(&pair, stage.shop.store.clone()).await;
        let mut client = v1::suggestion_service_client::SuggestionServiceClient::new(stranger.wire());
        let suggestion_id = draft.id.to_string();
        let refused = [
            client.approve(approve(&draft)).await.map(drop),
            client
                .edit(EditRequest {
                    suggestion_id: suggestion_id.clone(),
                    text: "x".into(),
                    ..Default::default()
                })
                .await
                .map(drop),
            client
                .reject(RejectRequest { suggestion_id: suggestion_id.clone(), ..Default::default() })
                .await
                .map(drop),
            client
                .escalate(EscalateRequest { suggestion_id: suggestion_id.clone(), ..Default::default() })
                .await
                .map(drop),
            client
                .get_suggestion(GetSuggestionRequest { suggestion_id: suggestion_id.clone() })
                .await
                .map(drop),
            client.explain_suggestion(ExplainSuggestionRequest { suggestion_id }).await.map(drop),
        ];
        for refusal in refused {
            let status = refusal.unwrap_err();
            assert_eq!((status.code(), reason(&status)), (Code::NotFound, "NOT_FOUND".into()));
        }
        let listed = client.list_suggestions(ListSuggestionsRequest::default()).await.unwrap().into_inner();
        assert!(listed.suggestions.is_empty());
        assert_eq!(stage.drafts().await[0].state, SuggestionState::Pending);
        let wrong = GetSuggestionRequest { suggestion_id: draft.conversation_id.to_string() };
        assert_eq!(client.get_suggestion(wrong).await.unwrap_err().code(), Code::InvalidArgument);
    })
    .await;
}

#[tokio::test]
async fn a_draft_can_be_asked_for_again() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let first = stage.turn(0, QUESTION).await;
        let conversation_id = first.conversation_id.to_string();
        let request = GenerateSuggestionRequest { conversation_id };
        let promised = stage.suggestions().generate_suggestion(request.clone()).await.unwrap().into_inner();
        assert!(promised.job_id.starts_with("job_"));
        assert_eq!(promised.message_id, first.message_id.to_string());
        let twice = stage.suggestions().generate_suggestion(request).await.unwrap().into_inner();
        assert_eq!(twice.job_id, "");

        stage.redraft(first.message_id, 2).await;
        stage.redraft(first.message_id, 2).await;
        let mut drafts = stage.drafts().await;
        // Both were made in one moment of the manual clock, which gives their ids no order.
        drafts.sort_by_key(|draft| std::cmp::Reverse(draft.attempt));
        assert_eq!(drafts.len(), 2);
        assert_eq!((drafts[0].attempt, drafts[0].state), (2, SuggestionState::Pending));
        assert_eq!(drafts[1].state, SuggestionState::Superseded);
    })
    .await;
}

/// Who, what, why, from which knowledge, at what cost; and the same decision once more from its record.
#[tokio::test]
async fn a_draft_explains_itself_and_its_decision_replays() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let draft = stage.turn(0, QUESTION).await;
        stage.suggestions().approve(approve(&draft)).await.unwrap();
        let suggestion_id = draft.id.to_string();
        let request = ExplainSuggestionRequest { suggestion_id: suggestion_id.clone() };
        let told = stage.suggestions().explain_suggestion(request).await.unwrap().into_inner();
        assert_eq!(told.question, QUESTION);
        assert_eq!((told.calls.len(), told.calls[0].model.as_str()), (1, "offline"));
        assert_eq!(told.calls[0].request_hash.len(), 64);
        assert_eq!(told.cost.unwrap().currency_code, "USD");
        assert_eq!(told.policy.unwrap().t_auto_bp, 8_000);
        let suggestion = told.suggestion.unwrap();
        assert_eq!(suggestion.sources[0].title, "Espresso machine Lira");
        assert_eq!((suggestion.sources[0].version, suggestion.sources[0].similarity_bp), (1, 10_000));
        let actions: Vec<_> = told.actions.iter().map(|a| (a.action.as_str(), a.actor.as_str())).collect();
        assert_eq!(actions, [("approve", format!("user:{}", stage.shop.user).as_str())]);

        stage.let_it_send().await;
        let request = ReplayDecisionRequest { suggestion_id };
        let replay = stage.policies().replay_decision(request).await.unwrap().into_inner();
        assert!(replay.identical);
        assert_eq!(replay.recorded.unwrap().autosend_block(), v1::AutosendBlock::FlagOff);
        assert!(replay.by_current_policy.unwrap().autosend_eligible);
    })
    .await;
}

#[tokio::test]
async fn drafts_are_listed_in_pages() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        for second in 0..5 {
            stage.shop.env.advance(chrono::TimeDelta::milliseconds(5));
            stage.turn(second, QUESTION).await;
        }
        let mut seen = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListSuggestionsRequest { page_size: 2, page_token, ..Default::default() };
            let page = stage.suggestions().list_suggestions(request).await.unwrap().into_inner();
            seen.extend(page.suggestions.into_iter().map(|draft| draft.id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let all: Vec<_> = stage.drafts().await.iter().map(|draft| draft.id.to_string()).collect();
        assert_eq!(seen, all);
        assert_eq!(all.len(), 5);
        let negative = ListSuggestionsRequest { page_size: -1, ..Default::default() };
        let refused = stage.suggestions().list_suggestions(negative).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    })
    .await;
}
