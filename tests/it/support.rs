//! The vocabulary of the tests: real databases, a real Redis, the real program.
pub mod app;
pub mod cluster;
pub mod desk;
pub mod pair;
pub mod rpc;
pub mod server;
pub mod talk;

pub use cluster::Cluster;
pub use pair::{Pair, both, databases};
pub use server::Server;
