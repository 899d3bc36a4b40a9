//! "Changed by someone else": the refusal carries what the row is now.

use std::sync::Arc;

use prost::Message;
use prost_types::Any;

use crate::error::{Error, Result};

/// Refuses with ABORTED when `expected` is neither 0 (any) nor `found`; the details hold the `state` under
/// the full `name` of its message.
pub fn unless<M: Message>(expected: i64, found: i64, name: &str, state: impl FnOnce() -> M) -> Result<()> {
    if expected == 0 || expected == found {
        return Ok(());
    }
    let state = Any { type_url: format!("type.googleapis.com/{name}"), value: state().encode_to_vec() };
    Err(Error::Changed { reason: "VERSION_MISMATCH", state: Some(Arc::new(state)) })
}
