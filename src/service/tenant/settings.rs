//! SettingsService: how a tenant wants Switchboard to work.

use tonic::{Request, Response, Status};

use crate::{
    auth::Caller,
    domain::event::Event,
    error::Result,
    service::recorded_unless,
    store::{Store, conversation::DecisionSettings as Row},
    wire::{
        changed, knowledge,
        tenant::v1::{
            DecisionSettings, GetDecisionSettingsRequest, UpdateDecisionSettingsRequest,
            settings_service_server::SettingsService,
        },
    },
};

/// Serves settings.
pub struct Settings {
    store: Store,
}

impl Settings {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl SettingsService for Settings {
    async fn get_decision_settings(
        &self,
        request: Request<GetDecisionSettingsRequest>,
    ) -> Result<Response<DecisionSettings>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let settings = self.store.of(scope).decision_settings().get().await?;
        Ok(Response::new(DecisionSettings::from(&settings)))
    }

    async fn update_decision_settings(
        &self,
        request: Request<UpdateDecisionSettingsRequest>,
    ) -> Result<Response<DecisionSettings>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();

        let answer = self
            .store
            .of(recorded_unless(request.validate_only, scope))
            .command(
                async |db| {
                    let seen = db.decision_settings().get().await?;
                    let name = "switchboard.tenant.v1.DecisionSettings";
                    changed::unless(request.expected_version, seen.version, name, || {
                        DecisionSettings::from(&seen)
                    })?;
                    let policy = knowledge::changed_settings(request.clone(), seen.policy.clone())?;
                    if request.validate_only {
                        return Ok(Row { policy, ..seen });
                    }
                    if policy == seen.policy {
                        return Ok(seen);
                    }
                    let settings = db.decision_settings().put(&seen, &policy).await?;
                    db.emit(Event::TenantUpdated {
                        subject: db.tenant().to_string(),
                        action: "settings.decision.update".to_owned(),
                    });
                    Ok(settings)
                },
                |settings| Ok(DecisionSettings::from(&settings)),
            )
            .await?;
        Ok(Response::new(answer))
    }
}
