//! One integration binary: every test of the whole.
