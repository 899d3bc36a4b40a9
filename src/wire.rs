//! The contract in Rust: generated messages and services, and the only conversions between them and
//! our rows and values.

/// The generated code, by package.
#[expect(clippy::all, reason = "generated")]
mod contract {
    include!(concat!(env!("OUT_DIR"), "/contract.rs"));
}

pub use contract::switchboard::{conversation, policy, tenant, r#type as types};

/// The contract with comments and options, as reflection, policy, transcoder and OpenAPI read it.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
