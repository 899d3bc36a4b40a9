//! One integration binary: every test of the whole.
mod architecture;
mod channels;
mod events;
mod rig;
mod support;
mod transaction;
