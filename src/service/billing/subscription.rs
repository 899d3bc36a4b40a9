//! SubscriptionService: the plan of the caller's tenant.

use tonic::{Request, Response, Status};

use crate::{
    auth::Caller,
    domain::{
        event::Event,
        subscription::{self, Cancellation},
    },
    error::{Error, Result},
    store::{Store, TenantDb, Tx, billing},
    wire::{
        self,
        billing::v1::{
            CancelSubscriptionRequest, GetSubscriptionRequest, StartTrialRequest, Subscription,
            subscription_service_server::SubscriptionService,
        },
    },
};

/// Serves the subscription.
pub struct Subscriptions {
    store: Store,
}

impl Subscriptions {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl SubscriptionService for Subscriptions {
    async fn get_subscription(
        &self,
        request: Request<GetSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let db = self.store.of(scope);
        let now = self.store.env().now();
        let row = db.subscriptions().get().await?;
        let grants = db.grants().current(now).await?;
        Ok(Response::new(wire::billing::subscription(row.as_ref(), &grants, now)))
    }

    async fn start_trial(
        &self,
        request: Request<StartTrialRequest>,
    ) -> Result<Response<Subscription>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let trial = db.subscriptions().start_trial().await?;
                    tell(db, &trial.id, "subscription.trial_started");
                    let now = db.env().now();
                    let grants = db.grants().current(now).await?;
                    Ok(wire::billing::subscription(Some(&trial), &grants, now))
                },
                Ok,
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn cancel_subscription(
        &self,
        request: Request<CancelSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let expected = request.into_inner().expected_version;
        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let now = db.env().now();
                    let seen = db.subscriptions().lock().await?;
                    let standing = seen.as_ref().map(billing::Subscription::standing);
                    let asked = seen.as_ref().is_some_and(|row| row.cancel_at_period_end);
                    let how = subscription::cancel(standing.as_ref(), asked, now)?;
                    let seen = seen.ok_or_else(|| Error::not_found("subscription", db.tenant()))?;
                    wire::billing::check_subscription(expected, &seen, now)?;
                    let ended = db.subscriptions().cancel(seen, how).await?;
                    if how != Cancellation::Already {
                        tell(db, &ended.id, "subscription.cancelled");
                    }
                    let grants = db.grants().current(now).await?;
                    Ok(wire::billing::subscription(Some(&ended), &grants, now))
                },
                Ok,
            )
            .await?;
        Ok(Response::new(answer))
    }
}

fn tell(db: &TenantDb<Tx>, subject: &crate::id::SubscriptionId, action: &str) {
    db.emit(Event::TenantUpdated { subject: subject.to_string(), action: action.to_owned() });
}
