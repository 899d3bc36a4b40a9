//! One integration binary: every test of the whole.
mod architecture;
mod events;
mod rig;
mod support;
mod transaction;
