//! The contract in Rust: generated messages and services, and the only conversions between them and
//! our rows and values.

pub mod admin;
pub mod billing;
pub mod changed;
pub mod channel;
mod event;
pub mod knowledge;
pub mod mask;
pub mod page;
pub mod suggestion;
pub mod sync;
pub mod tenant;
pub mod thread;

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use sea_orm::ActiveEnum;

use crate::{
    error::{Error, Result},
    id::Id,
};

/// The generated code, by package.
#[expect(clippy::all, reason = "generated")]
mod contract {
    include!(concat!(env!("OUT_DIR"), "/contract.rs"));
}

pub use contract::switchboard::{conversation, policy, r#type as types};

/// The contract with comments and options, as reflection, policy, transcoder and OpenAPI read it.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Reads an id of the expected kind; anything else is INVALID_ARGUMENT naming the field.
pub fn id<T: Id>(field: &str, text: &str) -> Result<T> {
    text.parse().map_err(|not| Error::invalid(field, not))
}

/// As [`id`]; an empty text is no id.
pub fn optional_id<T: Id>(field: &str, text: &str) -> Result<Option<T>> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

/// A point in time.
pub fn time(at: DateTime<Utc>) -> Timestamp {
    let nanos = i32::try_from(at.timestamp_subsec_nanos()).unwrap_or(999_999_999);
    Timestamp { seconds: at.timestamp(), nanos }
}

/// The word of an enum, as the database and the event log spell it.
pub fn word<E: ActiveEnum<Value = String>>(value: &E) -> String {
    value.to_value()
}
