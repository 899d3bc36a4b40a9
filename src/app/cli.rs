//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};

/// One inbox for every messenger, one contract, one port.
#[derive(Debug, Parser)]
#[command(name = "switchboard", version)]
pub struct Cli {
    /// A TOML file with settings; variables of the environment win over it.
    #[arg(long, global = true)]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve. Without DATABASE_URL and REDIS_URL everything runs in this process on SQLite.
    Serve {
        /// Run some of the parts: api, worker, relay.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// Bring the database's schema up to date.
    Migrate,
    /// Start server and sandbox, seed a small shop, play a day of conversations, and leave them running.
    Demo {
        /// Stop after the day; exit 0 only if nothing was lost or doubled.
        #[arg(long)]
        once: bool,
        /// Where the server listens; a free port when absent.
        #[arg(long)]
        listen: Option<SocketAddr>,
        /// Where the sandbox listens; a free port when absent.
        #[arg(long)]
        sandbox: Option<SocketAddr>,
    },
    /// Play the messengers and an OpenAI-compatible model on loopback.
    Sandbox {
        #[arg(long, default_value = "127.0.0.1:8090")]
        listen: SocketAddr,
    },
    /// Background work: look at it and step in, on the database itself.
    Jobs {
        /// Print JSON.
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: super::jobs::Command,
    },
    /// Print the settings in effect; secrets are masked.
    Config,
    /// Print the OpenAPI document.
    Openapi,
}
