//! The program: its commands, and how the parts are put together.

mod cli;
mod demo;
mod document;
mod folder;
mod jobs;
mod parts;
mod server;
mod stack;

use std::process::ExitCode;

use anyhow::Context;
use secrecy::ExposeSecret;

pub use cli::{Cli, Command};
pub use parts::App;
pub use server::Running;

use crate::{config::Config, env::Env, sandbox::Sandbox, store, telemetry};

/// Exit code of settings that cannot be used (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

/// Runs one command to its end.
pub fn run(cli: Cli) -> ExitCode {
    // One TLS provider; a second one in the process would be a choice made by accident.
    rustls::crypto::ring::default_provider().install_default().ok();
    let only = match &cli.command {
        Command::Serve { only } => only.as_slice(),
        _ => &[],
    };
    let config = match Config::load(cli.config.as_deref(), only) {
        Ok(config) => config,
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            return ExitCode::from(USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("switchboard: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        let _telemetry = telemetry::start(&config.log, config.otlp.as_deref())?;
        execute(cli.command, config).await
    });
    // Blocking work that nobody waits for must not keep the process.
    runtime.shutdown_background();
    done.unwrap_or_else(|error| {
        eprintln!("switchboard: {error:#}");
        ExitCode::FAILURE
    })
}

async fn execute(command: Command, config: Config) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve { .. } => server::serve(config).await,
        Command::Migrate => migrate(&config).await,
        Command::Demo { once, listen, sandbox } => {
            demo::run(config, demo::Options { once, listen, sandbox }).await
        }
        Command::Sandbox { listen } => {
            let sandbox = Sandbox::start(listen, Env::system()).await.context("cannot listen")?;
            println!("sandbox on {}", sandbox.url());
            server::asked_to_stop().await;
            sandbox.shutdown().await;
            Ok(ExitCode::SUCCESS)
        }
        Command::Jobs { json, command } => jobs::run(&config, command, json).await,
        Command::Config => {
            for setting in config.describe() {
                println!("{setting}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Openapi => {
            println!("{:#}", stack::openapi(&config.public_url)?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn migrate(config: &Config) -> anyhow::Result<ExitCode> {
    let settings = store::Settings { url: config.database_url.expose_secret().to_owned(), pool: 1 };
    folder::prepare(config)?;
    let store = store::connect(&settings, Env::system()).await?;
    let applied = store.migrate().await?;
    println!("applied {applied} migrations; the schema is current");
    Ok(ExitCode::SUCCESS)
}
