//! Drafts, escalations and decisions: rows to the contract's messages.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::{
    conversation::v1::{self, AutosendBlock},
    time,
    types::v1::Money,
};
use crate::{
    domain::{
        decision::{self, Block, Inputs, Penalty, Policy, Verdict},
        explain::{self, Language},
        intent::Intent,
        retrieval::{Hit, SourceKind},
        suggestion::{EscalationState, SuggestionState},
    },
    error::{Error, Result},
    store::conversation::{AiCall, Escalation, Suggestion, SuggestionAction},
};

/// Reads what a row keeps as JSON.
pub fn stored<T: DeserializeOwned>(value: &Json) -> Result<T> {
    T::deserialize(value).map_err(Error::internal)
}

impl TryFrom<&Suggestion> for v1::Suggestion {
    type Error = Error;

    fn try_from(row: &Suggestion) -> Result<Self> {
        let inputs: Inputs = stored(&row.inputs)?;
        let penalties: Vec<Penalty> = stored(&row.penalties)?;
        let sources: Vec<Hit> = stored(&row.sources)?;
        let missing = decision::missing_fields(&inputs);
        Ok(Self {
            id: row.id.to_string(),
            conversation_id: row.conversation_id.to_string(),
            message_id: row.message_id.to_string(),
            attempt: row.attempt,
            text: row.text.clone(),
            edited_text: row.edited_text.clone().unwrap_or_default(),
            intent: row.intent.clone(),
            state: v1::SuggestionState::from(row.state).into(),
            decision: v1::Decision::from(row.decision).into(),
            confidence_bp: row.confidence_bp,
            scores: Some(v1::Scores {
                similarity_bp: inputs.similarity_bp,
                intent_bp: inputs.intent_bp,
                self_check_bp: inputs.self_check_bp,
            }),
            penalties: penalties.into_iter().map(v1::Penalty::from).collect(),
            sources: sources.into_iter().map(v1::Source::from).collect(),
            missing_fields: missing.into_iter().map(str::to_owned).collect(),
            source_conflicts: inputs.conflicts,
            autosend_eligible: row.autosend_eligible,
            autosend_block: block(row.autosend_block).into(),
            needs_approval: !row.autosend_eligible,
            needs_handoff: row.decision == decision::Decision::Escalate,
            explanations: stored(&row.explanations)?,
            model: row.model.clone(),
            sent_message_id: text(row.sent_message_id),
            escalation_id: text(row.escalation_id),
            decided_by: row.decided_by.clone().unwrap_or_default(),
            decide_reason: row.decide_reason.clone().unwrap_or_default(),
            decide_time: row.decide_time.map(time),
            create_time: Some(time(row.create_time)),
            update_time: Some(time(row.update_time)),
            version: row.version,
        })
    }
}

fn text(id: Option<impl ToString>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn block(block: Option<Block>) -> AutosendBlock {
    match block {
        None => AutosendBlock::Unspecified,
        Some(Block::FlagOff) => AutosendBlock::FlagOff,
        Some(Block::SettingOff) => AutosendBlock::SettingOff,
        Some(Block::IntentNotAllowed) => AutosendBlock::IntentNotAllowed,
        Some(Block::VehicleGuard) => AutosendBlock::VehicleGuard,
        Some(Block::NotSendable) => AutosendBlock::NotSendable,
    }
}

impl From<SuggestionState> for v1::SuggestionState {
    fn from(state: SuggestionState) -> Self {
        match state {
            SuggestionState::Pending => Self::Pending,
            SuggestionState::Approved => Self::Approved,
            SuggestionState::Edited => Self::Edited,
            SuggestionState::Rejected => Self::Rejected,
            SuggestionState::Escalated => Self::Escalated,
            SuggestionState::Superseded => Self::Superseded,
        }
    }
}

/// A state to filter by; `None` for all.
pub fn suggestion_state(number: i32) -> Result<Option<SuggestionState>> {
    let state =
        v1::SuggestionState::try_from(number).map_err(|_| Error::invalid("state", "is not a known state"))?;
    Ok(match state {
        v1::SuggestionState::Unspecified => None,
        v1::SuggestionState::Pending => Some(SuggestionState::Pending),
        v1::SuggestionState::Approved => Some(SuggestionState::Approved),
        v1::SuggestionState::Edited => Some(SuggestionState::Edited),
        v1::SuggestionState::Rejected => Some(SuggestionState::Rejected),
        v1::SuggestionState::Escalated => Some(SuggestionState::Escalated),
        v1::SuggestionState::Superseded => Some(SuggestionState::Superseded),
    })
}

impl From<decision::Decision> for v1::Decision {
    fn from(decision: decision::Decision) -> Self {
        match decision {
            decision::Decision::AutoSend => Self::AutoSend,
            decision::Decision::NeedApproval => Self::NeedApproval,
            decision::Decision::Escalate => Self::Escalate,
        }
    }
}

impl From<Penalty> for v1::Penalty {
    fn from(penalty: Penalty) -> Self {
        Self {
            code: penalty.code().to_owned(),
            value_bp: penalty.value_bp(),
            message: explain::penalty(penalty, Language::English).to_owned(),
        }
    }
}

impl From<Hit> for v1::Source {
    fn from(Hit { passage, similarity_bp }: Hit) -> Self {
        let kind = match passage.kind {
            SourceKind::Document => v1::SourceKind::Document,
            SourceKind::Product => v1::SourceKind::Product,
        };
        Self {
            kind: kind.into(),
            id: passage.id,
            version: passage.version,
            title: passage.title,
            excerpt: passage.text,
            similarity_bp,
        }
    }
}

impl From<&Verdict> for v1::Verdict {
    fn from(verdict: &Verdict) -> Self {
        Self {
            decision: v1::Decision::from(verdict.decision).into(),
            confidence_bp: verdict.confidence_bp,
            autosend_eligible: verdict.eligible,
            autosend_block: block(verdict.block).into(),
            penalties: verdict.penalties.iter().copied().map(v1::Penalty::from).collect(),
        }
    }
}

impl From<&Policy> for v1::DecisionPolicy {
    fn from(policy: &Policy) -> Self {
        Self {
            t_auto_bp: policy.t_auto_bp,
            t_escalate_bp: policy.t_escalate_bp,
            autosend_enabled: policy.autosend_enabled,
            autosend_allowed: policy.autosend_allowed,
            intents_autosend_allowed: intents(&policy.intents_autosend_allowed),
            intents_force_handoff: intents(&policy.intents_force_handoff),
        }
    }
}

/// The words of intents.
pub fn intents(list: &[Intent]) -> Vec<String> {
    list.iter().map(|intent| intent.word().to_owned()).collect()
}

impl From<&AiCall> for v1::AiCall {
    fn from(row: &AiCall) -> Self {
        Self {
            id: row.id.to_string(),
            purpose: row.purpose.clone(),
            model: row.model.clone(),
            request_hash: row.request_hash.clone(),
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            cost: Some(dollars(row.cost_nanos)),
            latency_ms: row.latency_ms,
            problem: row.problem.clone().unwrap_or_default(),
            create_time: Some(time(row.create_time)),
        }
    }
}

/// Billionths of a US dollar.
pub fn dollars(nanos: i64) -> Money {
    const UNIT: i64 = 1_000_000_000;
    Money {
        currency_code: "USD".to_owned(),
        units: nanos / UNIT,
        nanos: i32::try_from(nanos % UNIT).expect("below a billion"),
    }
}

impl From<&SuggestionAction> for v1::SuggestionAction {
    fn from(row: &SuggestionAction) -> Self {
        Self {
            action: row.action.clone(),
            actor: row.actor.clone(),
            original_text: row.original_text.clone(),
            edited_text: row.edited_text.clone().unwrap_or_default(),
            reason: row.reason.clone().unwrap_or_default(),
            create_time: Some(time(row.create_time)),
        }
    }
}

impl From<&Escalation> for v1::Escalation {
    fn from(row: &Escalation) -> Self {
        let state = match row.state {
            EscalationState::Pending => v1::EscalationState::Pending,
            EscalationState::Handled => v1::EscalationState::Handled,
            EscalationState::Dismissed => v1::EscalationState::Dismissed,
        };
        Self {
            id: row.id.to_string(),
            conversation_id: row.conversation_id.to_string(),
            suggestion_id: text(row.suggestion_id),
            reason: row.reason.clone(),
            summary: row.summary.clone(),
            suggested_text: row.suggested_text.clone(),
            state: state.into(),
            resolved_by: row.resolved_by.clone().unwrap_or_default(),
            resolve_time: row.resolve_time.map(time),
            create_time: Some(time(row.create_time)),
            update_time: Some(time(row.update_time)),
            version: row.version,
        }
    }
}

/// A state to filter by or to reach; `None` when unspecified.
pub fn escalation_state(number: i32) -> Result<Option<EscalationState>> {
    let state =
        v1::EscalationState::try_from(number).map_err(|_| Error::invalid("state", "is not a known state"))?;
    Ok(match state {
        v1::EscalationState::Unspecified => None,
        v1::EscalationState::Pending => Some(EscalationState::Pending),
        v1::EscalationState::Handled => Some(EscalationState::Handled),
        v1::EscalationState::Dismissed => Some(EscalationState::Dismissed),
    })
}
