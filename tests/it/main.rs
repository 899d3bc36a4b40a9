//! One integration binary: every test of the whole.
// Helpers are tests too: without this, clippy holds them to the rules of production code.
#![cfg(test)]

mod architecture;
mod channels;
mod events;
mod jobs;
mod rig;
mod support;
mod transaction;
mod transcoding;
