//! A line that can be broken: between the servers and PostgreSQL, Redis or the providers.
use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// What the line does with what is said on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Open,
    /// Nothing passes, and nobody is told.
    Silent,
    /// Requests pass, and their answers do not.
    Deaf,
}

/// A loopback port that leads to another one.
pub struct Proxy {
    pub port: u16,
    line: watch::Sender<Line>,
    /// Connections of an earlier number are reset.
    cut: watch::Sender<u64>,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        let (line, cut) = (watch::Sender::new(Line::Open), watch::Sender::new(0));
        let (lines, cuts) = (line.subscribe(), cut.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target, lines.clone(), cuts.clone()));
            }
        });
        Self { port, line, cut }
    }

    /// Has the line be `like` for a while. Who waited for an answer on it gets it late, or with `then_cut`
    /// never.
    pub async fn be(&self, like: Line, pause: Duration, then_cut: bool) {
        self.line.send_replace(like);
        tokio::time::sleep(pause).await;
        if then_cut {
            self.cut();
        }
        self.line.send_replace(Line::Open);
    }

    /// Resets every connection.
    pub fn cut(&self) {
        self.cut.send_modify(|number| *number += 1);
    }
}

async fn carry(
    client: TcpStream,
    target: SocketAddr,
    line: watch::Receiver<Line>,
    mut cut: watch::Receiver<u64>,
) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    for side in [&client, &server] {
        // A reset instead of a farewell, whenever both halves are dropped.
        if side.set_nodelay(true).and_then(|()| side.set_zero_linger()).is_err() {
            return;
        }
    }
    cut.mark_unchanged();
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = pump(from_client, to_server, line.clone(), |line| line != Line::Silent) => {}
        () = pump(from_server, to_client, line, |line| line == Line::Open) => {}
        _ = cut.changed() => {}
    }
}

/// Passes on what is said, while `open` says so of the line.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    open: impl Fn(Line) -> bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        if line.wait_for(|line| open(*line)).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
