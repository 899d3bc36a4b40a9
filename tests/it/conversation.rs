//! Customers write, operators answer: from webhook to row and back to the messenger, on both databases.
//! Numbers in comments are those of the channel conformance list and of the acceptance cases.

mod batch;
mod changes;
mod channel;
mod connect;
mod inbound;
mod integrator;
mod outage;
pub mod payload;
pub mod sending;
pub mod shop;
mod telegram;
mod thread;
mod unknown;
