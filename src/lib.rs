//! Switchboard: a multi-tenant conversation backend.

pub mod auth;
pub mod domain;
pub mod edge;
pub mod env;
pub mod error;
pub mod events;
pub mod id;
pub mod store;
pub mod telemetry;
pub mod wire;
