//! One integration binary: every test of the whole.
// Helpers are tests too: without this, clippy holds them to the rules of production code.
#![cfg(test)]

mod access;
mod admin;
mod architecture;
mod bad_input;
mod billing;
mod channels;
mod clients;
mod contract;
mod conventions;
mod conversation;
mod cron;
mod demo;
mod edge;
mod events;
mod faults;
mod idempotency;
mod isolation;
mod jobs;
mod operations;
mod people;
mod plans;
mod program;
mod readme;
mod reads;
mod retention;
mod rig;
mod schema;
mod suggestion;
mod support;
mod sync;
mod traces;
mod transaction;
mod transcoding;
