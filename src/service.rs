//! The rpc handlers: thin, one folder per area, one file per service.

pub mod conversation;
