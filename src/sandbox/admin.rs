//! The sandbox's own paths: faults, customers, and what was sent.

use std::sync::Arc;

use axum::{Json, extract::State as Shared, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Behaviour, Delivered, Inbound, State, Subscription, inbound as customers, lock};

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(Box<Inbound>),
    Many(Vec<Inbound>),
}

pub(super) async fn behaviour(Shared(state): Shared<Arc<State>>) -> Json<Behaviour> {
    Json(state.behaviour())
}

pub(super) async fn behave(
    Shared(state): Shared<Arc<State>>,
    Json(behaviour): Json<Behaviour>,
) -> Json<Behaviour> {
    *lock(&state.behaviour) = behaviour.clone();
    Json(behaviour)
}

pub(super) async fn subscribe(
    Shared(state): Shared<Arc<State>>,
    Json(subscription): Json<Subscription>,
) -> StatusCode {
    state.subscribe(subscription);
    StatusCode::NO_CONTENT
}

pub(super) async fn inbound(
    Shared(state): Shared<Arc<State>>,
    Json(all): Json<OneOrMany>,
) -> Json<Vec<Delivered>> {
    let all = match all {
        OneOrMany::One(inbound) => vec![*inbound],
        OneOrMany::Many(all) => all,
    };
    Json(customers::play(&state, all).await)
}

pub(super) async fn sent(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    let ledger = lock(&state.ledger).clone();
    Json(json!({
        "sent": ledger.sent,
        "counts": ledger.counts(),
        "doubled": ledger.doubled(),
        "repeats_ignored": ledger.repeats_ignored,
    }))
}

pub(super) async fn reset(Shared(state): Shared<Arc<State>>) -> StatusCode {
    state.reset();
    StatusCode::NO_CONTENT
}
