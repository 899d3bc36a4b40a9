//! SuggestionService: drafts of the AI and what becomes of them.

use tonic::{Request, Response, Status};

use super::precondition::require;
use crate::{
    auth::{Caller, TenantScope},
    domain::{Rejected, conversation::Precondition, suggestion::SuggestionState, supersede},
    error::{Error, Result},
    id::{MessageId, SuggestionId},
    jobs::{draft_reply::RedraftReply, reply},
    service::recorded_unless,
    store::{
        Store,
        conversation::{Settlement, Suggestion, SuggestionFilter},
    },
    wire::{
        self, changed,
        conversation::v1::{
            self, ApproveRequest, ApproveResponse, EditRequest, EditResponse, EscalateRequest,
            EscalateResponse, ExplainSuggestionRequest, ExplainSuggestionResponse, GenerateSuggestionRequest,
            GenerateSuggestionResponse, GetSuggestionRequest, ListSuggestionsRequest,
            ListSuggestionsResponse, RejectRequest, suggestion_service_server::SuggestionService,
        },
        page::Page,
        suggestion as drafts, thread,
    },
};

/// Serves drafts.
pub struct Suggestions {
    store: Store,
}

impl Suggestions {
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Sends a draft as it is or with another text. Doing the same again answers the same and sends nothing.
    async fn send<M: prost::Message + Default>(
        &self,
        scope: TenantScope,
        id: SuggestionId,
        demanded: &Precondition,
        how: &Settlement,
        validate_only: bool,
        answer: impl Fn(Suggestion) -> Result<M>,
    ) -> Result<M> {
        let db = self.store.of(recorded_unless(validate_only, scope));
        db.command(
            async |db| {
                let conversation = db.suggestions().get(id).await?.conversation_id;
                let conversation = db.conversations().locked(conversation).await?;
                let seen = db.suggestions().get(id).await?;
                if repeats(&seen, how) {
                    return Ok(seen);
                }
                supersede::check_current(seen.state, seen.message_id, conversation.last_inbound_id)?;
                require(db, demanded, &conversation).await?;
                if validate_only {
                    reply::check_sendable(db, &conversation).await?;
                    return Ok(seen);
                }
                reply::send(db, &conversation, &seen, how).await
            },
            answer,
        )
        .await
    }
}

/// Whether `how` was done to the draft before.
fn repeats(seen: &Suggestion, how: &Settlement) -> bool {
    seen.state == how.state && seen.edited_text == how.edited_text
}

fn message_id(row: &Suggestion) -> String {
    row.sent_message_id.as_ref().map(MessageId::to_string).unwrap_or_default()
}

#[tonic::async_trait]
impl SuggestionService for Suggestions {
    async fn list_suggestions(
        &self,
        request: Request<ListSuggestionsRequest>,
    ) -> Result<Response<ListSuggestionsResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();
        let filter = SuggestionFilter {
            conversation: wire::optional_id("conversation_id", &request.conversation_id)?,
            state: drafts::suggestion_state(request.state)?,
        };
        let bound = [request.conversation_id.as_str(), &request.state.to_string()];
        let page = Page::read("suggestions", request.page_size, &request.page_token, &bound)?;

        let rows = self.store.of(scope).suggestions().list(filter, page.after(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row| row.id);
        let suggestions = rows.iter().map(v1::Suggestion::try_from).collect::<Result<_>>()?;
        Ok(Response::new(ListSuggestionsResponse { suggestions, next_page_token }))
    }

    async fn get_suggestion(
        &self,
        request: Request<GetSuggestionRequest>,
    ) -> Result<Response<v1::Suggestion>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let id = wire::id("suggestion_id", &request.get_ref().suggestion_id)?;
        let row = self.store.of(scope).suggestions().get(id).await?;
        Ok(Response::new(v1::Suggestion::try_from(&row)?))
    }

    async fn generate_suggestion(
        &self,
        request: Request<GenerateSuggestionRequest>,
    ) -> Result<Response<GenerateSuggestionResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let id = wire::id("conversation_id", &request.get_ref().conversation_id)?;

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let conversation = db.conversations().locked(id).await?;
                    let customer = db.customers().get(conversation.customer_id).await?;
                    let message = conversation.last_inbound_id.ok_or(NOTHING_TO_ANSWER)?;
                    supersede::check_draftable(conversation.state, customer.blocked)?;
                    let attempt = db.suggestions().attempts(id, message).await? + 1;
                    let job = RedraftReply { conversation: id, message, attempt }.now(db).await?;
                    Ok((job, message))
                },
                |(job, message)| {
                    let job_id = job.map(|job| job.to_string()).unwrap_or_default();
                    Ok(GenerateSuggestionResponse { job_id, message_id: message.to_string() })
                },
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn approve(&self, request: Request<ApproveRequest>) -> Result<Response<ApproveResponse>, Status> {
        let caller = Caller::of(&request)?;
        let scope = caller.scope()?;
        let request = request.into_inner();
        let id = wire::id("suggestion_id", &request.suggestion_id)?;
        let demanded = thread::precondition(request.precondition, || caller.user())?;
        let how = Settlement::of(SuggestionState::Approved, scope.actor());

        let answer = |row: Suggestion| {
            let suggestion = Some(v1::Suggestion::try_from(&row)?);
            Ok(ApproveResponse { suggestion, message_id: message_id(&row) })
        };
        Ok(Response::new(self.send(scope, id, &demanded, &how, request.validate_only, answer).await?))
    }

    async fn edit(&self, request: Request<EditRequest>) -> Result<Response<EditResponse>, Status> {
        let caller = Caller::of(&request)?;
        let scope = caller.scope()?;
        let request = request.into_inner();
        let id = wire::id("suggestion_id", &request.suggestion_id)?;
        let demanded = thread::precondition(request.precondition, || caller.user())?;
        let edited_text = Some(text("text", &request.text, 1, 4_000)?);
        let how = Settlement { edited_text, ..Settlement::of(SuggestionState::Edited, scope.actor()) };

        let answer = |row: Suggestion| {
            let suggestion = Some(v1::Suggestion::try_from(&row)?);
            Ok(EditResponse { suggestion, message_id: message_id(&row) })
        };
        Ok(Response::new(self.send(scope, id, &demanded, &how, request.validate_only, answer).await?))
    }

    async fn reject(&self, request: Request<RejectRequest>) -> Result<Response<v1::Suggestion>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();
        let id: SuggestionId = wire::id("suggestion_id", &request.suggestion_id)?;
        let reason = Some(text("reason", &request.reason, 0, 500)?).filter(|reason| !reason.is_empty());
        let how = Settlement { reason, ..Settlement::of(SuggestionState::Rejected, scope.actor()) };

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let seen = db.suggestions().get(id).await?;
                    if seen.state == how.state {
                        return Ok(seen);
                    }
                    demand_version(request.expected_version, &seen)?;
                    crate::domain::suggestion::decide(seen.state)?;
                    reply::settle(db, &seen, &how).await
                },
                |row| v1::Suggestion::try_from(&row),
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn escalate(
        &self,
        request: Request<EscalateRequest>,
    ) -> Result<Response<EscalateResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();
        let id: SuggestionId = wire::id("suggestion_id", &request.suggestion_id)?;
        let reason = Some(text("reason", &request.reason, 0, 500)?).filter(|reason| !reason.is_empty());
        let summary = text("summary", &request.summary, 0, 2_000)?;
        let actor = scope.actor();

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let seen = db.suggestions().get(id).await?;
                    if seen.state == SuggestionState::Escalated {
                        return Ok(seen);
                    }
                    demand_version(request.expected_version, &seen)?;
                    crate::domain::suggestion::decide(seen.state)?;
                    let escalation = reply::escalate(db, &seen, reason.as_deref(), &summary).await?;
                    let how = Settlement {
                        reason: reason.clone(),
                        escalation: Some(escalation),
                        ..Settlement::of(SuggestionState::Escalated, actor)
                    };
                    reply::settle(db, &seen, &how).await
                },
                |row| {
                    let escalation_id = row.escalation_id.map(|id| id.to_string()).unwrap_or_default();
                    Ok(EscalateResponse { suggestion: Some(v1::Suggestion::try_from(&row)?), escalation_id })
                },
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn explain_suggestion(
        &self,
        request: Request<ExplainSuggestionRequest>,
    ) -> Result<Response<ExplainSuggestionResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let id = wire::id("suggestion_id", &request.get_ref().suggestion_id)?;
        let db = self.store.of(scope);
        let row = db.suggestions().get(id).await?;
        let calls = db.ai_calls().of_suggestion(id).await?;
        let actions = db.suggestions().actions(id).await?;
        let policy: crate::domain::decision::Policy = drafts::stored(&row.policy)?;
        Ok(Response::new(ExplainSuggestionResponse {
            suggestion: Some(v1::Suggestion::try_from(&row)?),
            question: row.question.clone(),
            policy: Some(v1::DecisionPolicy::from(&policy)),
            cost: Some(drafts::dollars(calls.iter().map(|call| call.cost_nanos).sum())),
            calls: calls.iter().map(v1::AiCall::from).collect(),
            actions: actions.iter().map(v1::SuggestionAction::from).collect(),
            self_check_reasons: drafts::stored(&row.self_check_reasons)?,
        }))
    }
}

const NOTHING_TO_ANSWER: Rejected =
    Rejected::because("NO_CUSTOMER_MESSAGE", "the customer has not written anything to answer");

/// A text of so many characters, without the space around it.
fn text(field: &str, text: &str, least: usize, most: usize) -> Result<String> {
    if text.chars().count() > most {
        return Err(Error::invalid(field, format!("at most {most} characters")));
    }
    let text = text.trim();
    if text.chars().count() < least {
        return Err(Error::invalid(field, "must not be empty"));
    }
    Ok(text.to_owned())
}

fn demand_version(expected: i64, seen: &Suggestion) -> Result<()> {
    let state = v1::Suggestion::try_from(seen)?;
    changed::unless(expected, seen.version, "switchboard.conversation.v1.Suggestion", || state)
}
