//! Serves `tests/data/transcoding/widgets.proto` through the transcoder, for the transcoding cases.
//!
//! usage: `transcoding_fixture --listen 127.0.0.1:8090`

use anyhow::anyhow;
use clap::Parser;
use prost_reflect::DescriptorPool;
use switchboard::edge::transcode::Transcoder;
use tokio::net::TcpListener;

#[path = "../tests/fixture/serve.rs"]
mod serve;
#[path = "../tests/fixture/widgets.rs"]
mod widgets;

#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 for any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let pool = DescriptorPool::decode(serve::DESCRIPTORS)?;
    let transcoder =
        Transcoder::new(&pool, widgets::options()).map_err(|problems| anyhow!("{problems:?}"))?;
    let listener = TcpListener::bind(Arguments::parse().listen).await?;
    println!("listening on {}", listener.local_addr()?);
    serve::serve(listener, transcoder, widgets::routes()).await?;
    Ok(())
}
