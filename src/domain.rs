//! The rules of the product: pure functions over values. No clock, no database, no network.

use std::borrow::Cow;

pub mod access;
pub mod channel;
pub mod conversation;
pub mod cron;
pub mod decision;
pub mod delivery;
pub mod effect;
pub mod event;
pub mod explain;
pub mod grant;
pub mod inbound;
pub mod intent;
pub mod job;
pub mod lockout;
pub mod membership;
pub mod money;
pub mod password;
pub mod phone;
pub mod queue;
pub mod retrieval;
pub mod sending;
pub mod signature;
pub mod subscription;
pub mod suggestion;
pub mod supersede;
pub mod sync;
pub mod wait;
pub mod window;
pub mod words;

/// A rule said no. `reason` is what clients match; the message is for people who build on the API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejected {
    /// UPPER_SNAKE_CASE, stable: part of the contract.
    pub reason: &'static str,
    pub message: Cow<'static, str>,
}

impl Rejected {
    pub const fn because(reason: &'static str, message: &'static str) -> Self {
        Self { reason, message: Cow::Borrowed(message) }
    }
}
