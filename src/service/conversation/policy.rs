//! PolicyService: the rules, tried on the past.

use tonic::{Request, Response, Status};

use crate::{
    auth::Caller,
    domain::decision::{self, Inputs, Policy, Verdict},
    error::Result,
    store::Store,
    wire::{
        self,
        conversation::v1::{
            self, ReplayDecisionRequest, ReplayDecisionResponse, policy_service_server::PolicyService,
        },
        suggestion::stored,
    },
};

/// Serves replays.
pub struct Policies {
    store: Store,
}

impl Policies {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl PolicyService for Policies {
    async fn replay_decision(
        &self,
        request: Request<ReplayDecisionRequest>,
    ) -> Result<Response<ReplayDecisionResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let id = wire::id("suggestion_id", &request.get_ref().suggestion_id)?;
        let db = self.store.of(scope);
        let row = db.suggestions().get(id).await?;
        let present = db.decision_settings().get().await?.policy;

        let inputs: Inputs = stored(&row.inputs)?;
        let policy: Policy = stored(&row.policy)?;
        let replayed = decision::decide(&inputs, &policy);
        // What the conversation could not take is no part of the rules: it stands beside them in the row.
        let recorded = Verdict {
            decision: row.decision,
            confidence_bp: row.confidence_bp,
            penalties: stored(&row.penalties)?,
            eligible: row.autosend_eligible,
            block: row.autosend_block,
        };
        let identical = recorded.decision == replayed.decision
            && recorded.confidence_bp == replayed.confidence_bp
            && recorded.penalties == replayed.penalties
            && (recorded.eligible == replayed.eligible
                || recorded.block == Some(decision::Block::NotSendable));
        Ok(Response::new(ReplayDecisionResponse {
            recorded: Some(v1::Verdict::from(&recorded)),
            replayed: Some(v1::Verdict::from(&replayed)),
            identical,
            by_current_policy: Some(v1::Verdict::from(&decision::decide(&inputs, &present))),
        }))
    }
}
