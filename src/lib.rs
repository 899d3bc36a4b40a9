//! Switchboard: a multi-tenant conversation backend. Customers write on messengers; every message lands
//! once in one inbox; an AI drafts the reply; a person approves it or policy sends it.
//!
//! # Map
//!
//! A module may use itself and what stands **below** it; neighbours on one line may not use each other
//! (`tests/it/architecture.rs` checks).
//!
//! ```text
//! main                           parse the command line, app::run; nothing else
//! app                            wires everything; the program, top to bottom, on one screen
//! edge     sandbox   telemetry   one port: dispatcher, REST, gRPC-Web, webhooks, probes · providers played on loopback
//! service                        thin rpc handlers: one folder per area, one file per service
//! access                         who is calling and may they: credentials, policy, rate, plan, field rules
//! wire                           generated protobuf, and the only conversions from and to it
//! jobs                           job definitions, one file per job, and the engine that runs them
//! events   channels   ai         live event fan-out · messenger adapters · language models
//! store                          tenant-scoped repositories, the transaction, the event log, leases
//! auth                           Caller, TenantScope, Staff: capabilities; keys, tokens, passwords
//! error                          Error, and its one mapping to google.rpc.Status
//! domain                         pure rules over values
//! id   env   config   fault      typed ids · clock and chance · settings · faults for tests, in debug builds
//! ```
//!
//! # What must stay true
//!
//! * **One write path.** [`store::TenantDb::transaction`] (or its system twin) is the only way to write.
//!   Rows, the events and jobs they cause and the audit entry commit together or not at all.
//! * **A command may come twice.** Handlers write through [`store::TenantDb::command`]: under the same
//!   idempotency key it happens once, and its answer commits with its effect.
//! * **Tenants are separated by types and keys.** The road to a tenant's rows is `store.of(scope)`, and a
//!   [`auth::TenantScope`] comes from a verified credential or a stored row, never from a request field.
//!   Every foreign key carries the tenant: a row cannot point into another one.
//! * **The database remembers, Redis hurries.** Jobs and events are rows; Redis holds tickets and copies
//!   that can vanish at any moment. Acks follow commits; every change after dispatch names its epoch.
//! * **An effect has three outcomes**: accepted, rejected, unknown. Unknown is shown to a person, never
//!   repeated blindly.
//! * **The contract carries the policy.** Audience, permission, rate, plan gate, audit action and REST path
//!   of a method stand beside it in `proto/`; a method without them keeps the server from starting.
//! * **Time, chance and ids are arguments** ([`env::Env`]); the rules in [`domain`] see only values.
//!
//! # A handler
//!
//! Five beats: who is calling · what do they want (parsed before any I/O) · decide and store (one
//! transaction; the rule is in `domain`) · tell (events and jobs were appended inside) · answer.
//!
//! # Adding an rpc
//!
//! 1. the method, its policy, its path and its comments in `proto/`;
//! 2. the rule in `domain`, with a table test;
//! 3. the verb in a repository of `store`;
//! 4. the conversion in `wire`;
//! 5. the handler in `service`;
//! 6. a test: it works, it is refused, another tenant sees nothing;
//! 7. `make test`.

pub mod access;
pub mod ai;
pub mod app;
pub mod auth;
pub mod channels;
pub mod config;
pub mod domain;
pub mod edge;
pub mod env;
pub mod error;
pub mod events;
pub mod fault;
pub mod id;
pub mod jobs;
pub mod sandbox;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod wire;
