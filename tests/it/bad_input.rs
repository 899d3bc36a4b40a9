//! Bad input, over REST and gRPC on a real socket and as webhooks: each a typed error that names the field or
//! the reason, and nothing is written.

mod calls;
mod flood;
mod hosts;
mod raw;
mod shared;
mod standing;
mod webhooks;
mod world;
