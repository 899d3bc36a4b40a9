//! Drafts the reply to a customer's turn.

use futures::FutureExt as _;
use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::ActiveEnum;
use serde::{Deserialize, Serialize};

use super::{Context, Failure, Job, Queue, Terms, enqueue, reply};
use crate::{
    ai::{self, Ai, Call, Draft, DraftInput, Turn},
    auth::Actor,
    domain::{
        conversation::Direction,
        decision::{self, Block, Decision, Inputs, Policy, Verdict},
        event::Event,
        explain::{self, Language},
        retrieval,
        suggestion::SuggestionState,
        supersede::{self, Situation},
    },
    error::Result,
    id::{ConversationId, JobId, MessageId, SuggestionId},
    store::{
        TenantDb, Tx,
        conversation::{Conversation, Message, NewAiCall, NewSuggestion, Settlement, Suggestion},
    },
};

/// How many of the newest messages are looked at, and how many before the turn are told.
const LOOK_BACK: u64 = 50;
const HISTORY: usize = 6;

/// How often a run begins anew because the conversation moved on under it.
const MOST_ROUNDS: usize = 3;

/// Drafts the reply to `message` and those before it that nobody answered. Each inbound message promises one
/// such job; it only works while its message is the newest: that is the debounce, and it survives a restart.
#[derive(Debug, Serialize, Deserialize)]
pub struct DraftReply {
    pub conversation: ConversationId,
    pub message: MessageId,
}

impl DraftReply {
    /// Promises the draft for when the customer has been silent for so long: quick texts are one turn.
    pub async fn after_silence(self, db: &TenantDb<Tx>, silence: TimeDelta) -> Result<Option<JobId>> {
        let key = self.message.0.as_bytes().to_vec();
        let at = db.env().now() + silence;
        enqueue(db, &self, Terms::now().at(at).unique(key)).await
    }
}

impl Job for DraftReply {
    const NAME: &'static str = "draft_reply";
    const QUEUE: Queue = Queue::Ai;
    const TIMEOUT: Duration = Duration::from_secs(120);
    const MAX_TRIES: i16 = 5;

    #[tracing::instrument(skip_all, fields(conversation.id = %self.conversation))]
    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        let work = Work { cx, conversation: self.conversation, message: self.message, attempt: 1 };
        work.run().boxed().await
    }
}

/// Drafts once more, because somebody asked for it.
#[derive(Debug, Serialize, Deserialize)]
pub struct RedraftReply {
    pub conversation: ConversationId,
    pub message: MessageId,
    /// The number the draft will have: a second run of the job finds it taken.
    pub attempt: i32,
}

impl RedraftReply {
    /// Promises the draft at once; `None` when the same one is on its way.
    pub async fn now(self, db: &TenantDb<Tx>) -> Result<Option<JobId>> {
        let key = [&self.message.0.as_bytes()[..], &self.attempt.to_be_bytes()].concat();
        enqueue(db, &self, Terms::now().unique(key)).await
    }
}

impl Job for RedraftReply {
    const NAME: &'static str = "redraft_reply";
    const QUEUE: Queue = Queue::Ai;
    const TIMEOUT: Duration = DraftReply::TIMEOUT;
    const MAX_TRIES: i16 = DraftReply::MAX_TRIES;

    #[tracing::instrument(skip_all, fields(conversation.id = %self.conversation))]
    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        let work = Work { cx, conversation: self.conversation, message: self.message, attempt: self.attempt };
        work.run().boxed().await
    }
}

/// One run of either job.
struct Work<'a> {
    cx: &'a Context,
    conversation: ConversationId,
    message: MessageId,
    attempt: i32,
}

/// What came of one round.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    /// The draft is stored, or nobody wants it any more.
    Done,
    /// Somebody wrote while the model thought: what was read is out of date.
    Moved,
}

/// What a draft is made from, as it was read.
struct Material {
    input: DraftInput,
    policy: Policy,
    /// How many messages the conversation had.
    message_count: i64,
}

impl Work<'_> {
    async fn run(&self) -> Result<(), Failure> {
        for _ in 0..MOST_ROUNDS {
            let Some(material) = self.gather().boxed().await? else { return Ok(()) };
            if self.round(material).boxed().await? == Round::Done {
                return Ok(());
            }
        }
        Err(Failure::retry(anyhow::anyhow!("the conversation never stood still")))
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

/// Whether the business wrote after `message` arrived: by arrival, as clocks of providers differ.
fn answered(newest: &[Message], message: MessageId) -> bool {
    let asked = newest.iter().find(|row| row.id == message).map_or(0, |row| row.seq);
    newest.iter().any(|row| row.direction == Direction::Outbound && row.seq > asked)
}

/// The customer's turn, and what was said before it. `newest` comes newest first.
fn turns(newest: &[Message]) -> (String, Vec<Turn>) {
    let inbound = |row: &&Message| row.direction == Direction::Inbound;
    let rows = newest.iter().skip_while(|row| !inbound(row));
    let turn: Vec<&Message> = rows.clone().take_while(inbound).collect();
    let question = supersede::turn(turn.iter().rev().map(|row| row.text.as_str()));
    let before = rows.skip(turn.len()).filter(|row| !row.text.trim().is_empty()).take(HISTORY);
    let mut history: Vec<Turn> = before
        .map(|row| Turn { from_customer: row.direction == Direction::Inbound, text: row.text.clone() })
        .collect();
    history.reverse();
    (question, history)
}
