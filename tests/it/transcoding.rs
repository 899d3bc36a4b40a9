//! The REST transcoder over real sockets: the 149 cases of `tests/data/transcoding/cases.json`, further rows of the same
//! table, streams, the codec against prost-reflect, the OpenAPI document.

mod cases;
pub mod client;
mod codec;
mod openapi;
mod requests;
mod startup;
mod streams;

#[path = "../fixture/gadgets.rs"]
pub mod gadgets;
#[path = "../fixture/serve.rs"]
mod serve;
#[path = "../fixture/widgets.rs"]
pub mod widgets;

use prost_reflect::DescriptorPool;
use switchboard::edge::transcode::{Options, Transcoder};
use tokio::net::TcpListener;

/// A running fixture server; it ends with the value.
struct Server {
    address: std::net::SocketAddr,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let transcoder = Transcoder::new(&pool(), options).unwrap();
        let routes = gadgets::add(widgets::routes());
        Self { address, task: tokio::spawn(serve::serve(listener, transcoder, routes)) }
    }

    async fn usual() -> Self {
        Self::start(widgets::options()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn pool() -> DescriptorPool {
    DescriptorPool::decode(serve::DESCRIPTORS).unwrap()
}
