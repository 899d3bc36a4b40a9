//! The program: see `switchboard --help`.

fn main() {}
