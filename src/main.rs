//! The program: see `switchboard --help`.

use std::process::ExitCode;

use clap::Parser;
use switchboard::app;

fn main() -> ExitCode {
    app::run(app::Cli::parse())
}
