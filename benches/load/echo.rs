//! The ceiling of an rpc: a tonic server that answers what it has in memory, and, where it is told to, asks the database
//! first and throws the rows away. It runs in a process of its own, as the server does.

use std::{
    convert::Infallible,
    io::{BufRead, BufReader},
    pin::Pin,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::TryStreamExt;
use http::{Request, Response, header};
use http_body_util::Full;
use sqlx::{AssertSqlSafe, Executor as _, PgPool, postgres::PgPoolOptions};
use tonic::{body::Body, server::NamedService};
use tower::Service;

use super::shop::framed;

/// The word after which this program is an echo.
pub const MODE: &str = "echo";

/// As many as the server keeps for reading.
const CONNECTIONS: u32 = 8;

/// A running echo; ended by its pid.
pub struct Echo {
    child: Child,
    pub address: String,
}

impl Echo {
    /// Answers every call with a message of `size` bytes.
    pub fn start(size: usize) -> Self {
        Self::run(&[MODE, &size.to_string()])
    }

    /// As [`start`](Self::start), after it ran `statements` on a database, one after the other.
    pub fn asking(size: usize, database_url: &str, statements: &[String]) -> Self {
        let statements: Vec<_> = statements.iter().map(String::as_str).collect();
        Self::run(&[&[MODE, &size.to_string(), database_url], &statements[..]].concat())
    }

    fn run(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program is a file");
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the echo starts");
        let mut address = String::new();
        let output = child.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut address).expect("the echo tells its address");
        Self { child, address: address.trim().to_owned() }
    }

    /// A call with a message of `size` bytes.
    pub fn call(&self, size: usize) -> Request<Full<Bytes>> {
        Request::post(format!("http://{}/{}/Echo", self.address, Answer::NAME))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(framed(&Bytes::from(vec![7; size]))))
            .expect("a request")
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The program in its other life.
pub fn serve(size: &str, rest: &[String]) -> ExitCode {
    let size = size.parse().expect("a number of bytes");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        println!("{}", listener.local_addr().expect("bound"));
        let accepted = tokio_stream::wrappers::TcpListenerStream::new(listener)
            .inspect_ok(|stream| stream.set_nodelay(true).expect("a TCP option"));
        let asked = match rest {
            [] => None,
            [url, statements @ ..] => {
                let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await;
                Some((pool.expect("a database"), statements.into()))
            }
        };
        let answer = Answer { bytes: Bytes::from(vec![7; size]), asked };
        let server = tonic::transport::Server::builder().add_service(answer);
        server.serve_with_incoming(accepted).await.expect("the echo serves");
    });
    ExitCode::SUCCESS
}

#[derive(Clone)]
struct Answer {
    bytes: Bytes,
    asked: Option<(PgPool, Arc<[String]>)>,
}

impl NamedService for Answer {
    const NAME: &'static str = "bench.Echo";
}

impl Service<Request<Body>> for Answer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = Unary(self.clone());
        Box::pin(async move {
            let codec = tonic_prost::ProstCodec::<Bytes, Bytes>::default();
            Ok(tonic::server::Grpc::new(codec).unary(answer, request).await)
        })
    }
}

struct Unary(Answer);

impl tonic::server::UnaryService<Bytes> for Unary {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, tonic::Status>> + Send>>;

    fn call(&mut self, _: tonic::Request<Bytes>) -> Self::Future {
        let Answer { bytes, asked } = self.0.clone();
        Box::pin(async move {
            if let Some((pool, statements)) = asked {
                for sql in statements.iter() {
                    let asked = pool.fetch_all(sqlx::query(AssertSqlSafe(sql.as_str()))).await;
                    asked.map_err(|error| tonic::Status::internal(error.to_string()))?;
                }
            }
            Ok(tonic::Response::new(bytes))
        })
    }
}
