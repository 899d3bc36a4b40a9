//! One integration binary: every test of the whole.
mod architecture;
mod rig;
mod support;
mod transaction;
