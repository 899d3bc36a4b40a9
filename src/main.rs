//! The program: see `switchboard --help`.

use std::process::ExitCode;

use clap::Parser;
use switchboard::app;

/// The one of glibc makes threads wait for each other where what one allocates another frees: a tenth of the work of
/// a page of messages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    app::run(app::Cli::parse())
}
