//! One run: read, have the model draft, store what came of it unless the world moved on.

use futures::FutureExt as _;

use sea_orm::ActiveEnum;

use super::material::{LOOK_BACK, Material, answered, turns};
use crate::{
    ai::{self, Ai, Call, Draft, DraftInput},
    auth::Actor,
    domain::{
        decision::{self, Block, Decision, Inputs, Verdict},
        event::Event,
        explain::{self, Language},
        retrieval,
        suggestion::SuggestionState,
        supersede::{self, Situation},
    },
    error::Result,
    id::{ConversationId, MessageId, SuggestionId},
    jobs::{Context, Failure, reply},
    store::{
        TenantDb, Tx,
        conversation::{Conversation, NewAiCall, NewSuggestion, Settlement, Suggestion},
    },
};

/// How often a run begins anew because the conversation moved on under it.
const MOST_ROUNDS: usize = 3;

/// One run of either job.
pub(super) struct Work<'a> {
    pub(super) cx: &'a Context,
    pub(super) conversation: ConversationId,
    pub(super) message: MessageId,
    pub(super) attempt: i32,
}

/// What came of one round.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    /// The draft is stored, or nobody wants it any more.
    Done,
    /// Somebody wrote while the model thought: what was read is out of date.
    Moved,
}

impl Work<'_> {
    pub(super) async fn run(&self) -> Result<(), Failure> {
        for _ in 0..MOST_ROUNDS {
            let Some(material) = self.gather().boxed().await? else { return Ok(()) };
            if self.round(material).boxed().await? == Round::Done {
                return Ok(());
            }
        }
        Err(Failure::retry(anyhow::anyhow!("the conversation never stood still")))
    }

    /// Hands the conversation over to people, if it still waits for this draft.
    pub(super) async fn give_up(&self, why: &str) -> Result<()> {
        let db = self.cx.store.of(self.cx.scope.clone());
        db.transaction(async |db| {
            let conversation = db.conversations().locked(self.conversation).await?;
            let newest = db.messages().list(conversation.id, false, None, LOOK_BACK).await?;
            let answered = self.attempt == 1 && answered(&newest, self.message);
            if answered || !self.wanted(db, &conversation).boxed().await? {
                return Ok(());
            }
            tracing::warn!(why, "no reply can be drafted: people take over");
            reply::escalate_undrafted(db, &conversation).boxed().await
        })
        .await
    }

    async fn round(&self, mut material: Material) -> Result<Round, Failure> {
        // No transaction is open while a model thinks.
        let draft = match self.cx.ai.draft(&material.input).boxed().await {
            Ok(draft) => draft,
            Err(fault) if fault.retry && !self.cx.last_try() => {
                self.record(fault.calls).boxed().await?;
                return Err(Failure::Retry { after: fault.after, cause: anyhow::anyhow!(fault.problem) });
            }
            Err(fault) => {
                tracing::warn!(problem = fault.problem, "the model cannot be reached: drafted offline");
                self.record(fault.calls).boxed().await?;
                // What the tenant did not choose must not be sent without a person.
                material.policy.engine_on = false;
                Ai::draft_offline(&material.input)
            }
        };
        Ok(self.store(&material, &draft).boxed().await?)
    }

    /// Reads what the draft needs; `None` when nobody wants it any more.
    async fn gather(&self) -> Result<Option<Material>> {
        let db = self.cx.store.of(self.cx.scope.clone());
        let conversation = db.conversations().get(self.conversation).await?;
        if !self.wanted(&db, &conversation).boxed().await? {
            return Ok(None);
        }
        let newest = db.messages().list(conversation.id, false, None, LOOK_BACK).await?;
        if self.attempt == 1 && answered(&newest, self.message) {
            tracing::info!("somebody answered");
            return Ok(None);
        }
        let (question, history) = turns(&newest);
        let tenant = db.tenants().get().await?;
        let mut policy = db.decision_settings().get().await?.policy;
        policy.engine_on &= self.cx.switches.engine;
        policy.autosend_enabled &= self.cx.switches.autosend;
        let passages = db.passages().candidates(&question).await?;
        let hits = retrieval::rank(&question, passages, retrieval::LIMITS);
        let input = DraftInput { question, history, language: tenant.language, business: tenant.name, hits };
        Ok(Some(Material { input, policy, message_count: conversation.message_count }))
    }

    async fn wanted<C: sea_orm::ConnectionTrait>(
        &self,
        db: &TenantDb<C>,
        conversation: &Conversation,
    ) -> Result<bool> {
        let customer = db.customers().get(conversation.customer_id).await?;
        let now = Situation {
            message: self.message,
            last_inbound: conversation.last_inbound_id,
            state: conversation.state,
            customer_blocked: customer.blocked,
        };
        if let Err(why) = supersede::wanted(now) {
            tracing::info!(?why, "no longer wanted");
            return Ok(false);
        }
        Ok(db.suggestions().attempts(conversation.id, self.message).await? < self.attempt)
    }

    /// Stores the draft with its evidence and does what the rules say, unless the world moved on meanwhile.
    async fn store(&self, material: &Material, draft: &Draft) -> Result<Round> {
        let Material { input, policy, message_count } = material;
        let inputs = ai::inputs(draft, &input.hits);
        let verdict = decision::decide(&inputs, policy);
        let scope = if verdict.eligible {
            self.cx.scope.clone().acting_as(Actor::Policy)
        } else {
            self.cx.scope.clone()
        };
        let db = self.cx.store.of(scope);
        db.transaction(async |db| {
            let conversation = db.conversations().locked(self.conversation).await?;
            if !self.wanted(db, &conversation).boxed().await? {
                return Ok(Round::Done);
            }
            if conversation.message_count != *message_count {
                return Ok(Round::Moved);
            }
            reply::supersede(db, &conversation).await?;
            let block = block(db, &conversation, &verdict).boxed().await?;
            let new = self.suggestion(db.env().id(), material, draft, &inputs, &verdict, block);
            let pending = db.suggestions().insert(new).await?;
            for call in draft.calls.iter().cloned() {
                db.ai_calls().insert(conversation.id, Some(pending.id), recorded(call)).await?;
            }
            db.emit(created(&pending));
            finish(db, &conversation, pending).boxed().await?;
            Ok(Round::Done)
        })
        .await
    }

    fn suggestion(
        &self,
        id: SuggestionId,
        material: &Material,
        draft: &Draft,
        inputs: &Inputs,
        verdict: &Verdict,
        block: Option<Block>,
    ) -> NewSuggestion {
        let shown = Verdict { block: verdict.block.or(block), ..verdict.clone() };
        NewSuggestion {
            id,
            conversation: self.conversation,
            message: self.message,
            attempt: self.attempt,
            text: draft.reply.clone(),
            question: material.input.question.clone(),
            inputs: inputs.clone(),
            policy: material.policy.clone(),
            verdict: verdict.clone(),
            block,
            sources: material.input.hits.clone(),
            explanations: explain::explain(&shown, Language::of(&material.input.language)),
            self_check_reasons: draft.self_check_reasons.clone(),
            model: draft.model.clone(),
        }
    }

    /// Records calls that led to no draft: they cost all the same.
    async fn record(&self, calls: Vec<Call>) -> Result<()> {
        let db = self.cx.store.of(self.cx.scope.clone());
        db.transaction(async |db| {
            for call in calls.iter().cloned() {
                db.ai_calls().insert(self.conversation, None, recorded(call)).await?;
            }
            Ok(())
        })
        .await
    }
}

/// What keeps policy from sending an eligible draft into this conversation.
async fn block(db: &TenantDb<Tx>, conversation: &Conversation, verdict: &Verdict) -> Result<Option<Block>> {
    if !verdict.eligible {
        return Ok(None);
    }
    let free = supersede::may_send_itself(conversation.state, conversation.assignee_id.is_some());
    match reply::check_sendable(db, conversation).await {
        Ok(()) if free => Ok(None),
        Ok(()) | Err(crate::error::Error::Rejected(_)) => Ok(Some(Block::NotSendable)),
        Err(error) => Err(error),
    }
}

/// Sends what policy may send, and hands over what people must answer.
async fn finish(db: &TenantDb<Tx>, conversation: &Conversation, pending: Suggestion) -> Result<()> {
    if pending.autosend_eligible {
        let how = Settlement::of(SuggestionState::Approved, Actor::Policy);
        reply::send(db, conversation, &pending, &how).await?;
    } else if pending.decision == Decision::Escalate {
        let escalation = reply::escalate(db, &pending, None, &pending.question).await?;
        db.suggestions().escalated(&pending, escalation).await?;
    }
    Ok(())
}

fn created(row: &Suggestion) -> Event {
    Event::SuggestionCreated {
        conversation: row.conversation_id,
        suggestion: row.id,
        text: row.text.clone(),
        decision: row.decision.to_value(),
        confidence_bp: row.confidence_bp,
    }
}

fn recorded(call: Call) -> NewAiCall {
    NewAiCall {
        purpose: call.purpose.word(),
        model: call.model,
        request_hash: call.request_hash,
        response: call.response,
        input_tokens: call.input_tokens,
        output_tokens: call.output_tokens,
        cost_nanos: call.cost_nanos,
        latency_ms: call.latency_ms,
        problem: call.problem,
    }
}
