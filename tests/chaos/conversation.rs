//! What messengers send: that of the integration tests.
#[path = "../it/conversation/payload.rs"]
pub mod payload;
