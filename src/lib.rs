//! Switchboard: a multi-tenant conversation backend.

pub mod auth;
pub mod domain;
pub mod env;
pub mod error;
pub mod id;
pub mod jobs;
pub mod store;
pub mod wire;
