//! The demo: server and sandbox in one process, a seeded shop, a scripted day, and an account of it.

mod client;
mod console;
mod play;
mod report;
mod script;
mod seed;

use std::{collections::HashMap, net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context;
use tokio::{net::TcpListener, sync::watch};

use super::{App, server::asked_to_stop};
use crate::{
    config::Config,
    env::Env,
    sandbox::{Behaviour, Sandbox},
};
use console::{Console, Who};
use play::Day;
use script::{AFTERNOON, MORNING, Then};

/// How the demo is run.
pub struct Options {
    pub once: bool,
    pub listen: Option<SocketAddr>,
    pub sandbox: Option<SocketAddr>,
}

/// How long a half of the day may take.
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) async fn run(mut config: Config, options: Options) -> anyhow::Result<ExitCode> {
    let console = Console::new();
    let env = Env::system();
    let free: SocketAddr = ([127, 0, 0, 1], 0).into();
    let listener = TcpListener::bind(options.listen.unwrap_or(free)).await.context("cannot listen")?;
    let address = listener.local_addr()?;
    // A database of its own, unless one was named; a new one each time, so that the account is of this day.
    let folder = std::env::temp_dir().join(format!("switchboard-demo-{}", env.uuid().simple()));
    config.for_demo(address, &folder);
    let embedded = config.embedded();
    let sandbox =
        Sandbox::start(options.sandbox.unwrap_or(free), env.clone()).await.context("cannot listen")?;

    console.heading("Switchboard: a day at Heron Bikes");
    if !embedded {
        super::migrate(&config).await?;
    }
    let running = App::open(config, env.clone()).await?.start(listener, None).await?;
    let server = format!("http://{address}");
    console.step(Who::Demo, &format!("server {server}, sandbox {}", sandbox.url()));
    let transport = tonic::transport::Endpoint::from_shared(server.clone())?.connect().await?;
    let shop = seed::seed(&server, transport, &sandbox, &env).await?;
    console.step(Who::Demo, "an owner, two operators, two channels, six documents, eight products");

    let scenes = MORNING.iter().chain(AFTERNOON).map(|scene| (scene.name, *scene)).collect::<HashMap<_, _>>();
    let (day, mut seen) = watch::channel(Day::default());
    let desk = tokio::spawn(play::operate(shop.operators.clone(), scenes, console, day));

    console.heading("Morning");
    let mut delivered = play::customers(&sandbox, console, MORNING).await;
    play::through(&mut seen, MORNING.len(), PATIENCE).await;

    console.heading("Afternoon");
    let arriving = play::customers(&sandbox, console, AFTERNOON).await;
    delivered.extend(arriving);
    console.step(Who::Trouble, "the messengers answer 503 for five seconds");
    sandbox.behave(Behaviour { outage: true, ..Behaviour::default() });
    tokio::time::sleep(Duration::from_secs(5)).await;
    sandbox.behave(Behaviour::default());
    console.step(Who::Trouble, "the messengers are back");
    play::through(&mut seen, MORNING.len() + AFTERNOON.len(), PATIENCE).await;
    sandbox.settled().await;
    if desk.is_finished() {
        desk.await.context("the operators' desk")??;
    } else {
        desk.abort();
    }

    let escalated =
        MORNING.iter().chain(AFTERNOON).filter(|scene| matches!(scene.then, Then::Escalate)).count();
    let account =
        report::account(&shop.owner, &sandbox, &delivered, &seen.borrow().clone(), escalated).await?;
    report::print(console, &account, &shop, &server, sandbox.url());
    if !options.once {
        console.step(Who::Demo, "still running; press Ctrl-C to stop");
        asked_to_stop().await;
    }
    running.stop().await;
    sandbox.shutdown().await;
    if embedded {
        // The day's database is of no further use; a folder that stays is only litter.
        drop(std::fs::remove_dir_all(&folder));
    }
    Ok(if account.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
