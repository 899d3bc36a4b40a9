//! The contract in Rust: generated messages and services, and the only conversions between them and
//! our rows and values.

/// The generated code, by package.
#[expect(clippy::all, reason = "generated")]
mod contract {
    include!(concat!(env!("OUT_DIR"), "/contract.rs"));
}

pub use contract::switchboard::{admin, billing, policy, r#type as types, tenant};

/// The contract with comments and options, as reflection, policy, transcoder and OpenAPI read it.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
