//! The live side of the event log: the sequencer numbers what commits, the hub carries it to whoever
//! listens in this process. Readers take the table as the truth and the hub as a hint with a payload:
//! whatever the hub drops, [`Follower`] reads from the table. Wake-ups tell other processes of commits.

mod follower;
mod hub;
mod redis_feed;
mod sequencer;
mod told;
mod wake;

pub use follower::{Follower, PATIENCE, Step};
pub use hub::Hub;
pub use sequencer::{TAKEOVER, sequence};
pub use told::Told;
pub use wake::carry_wakes;
