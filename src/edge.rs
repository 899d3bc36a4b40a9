//! One port for everything: gRPC, gRPC-Web, REST, webhooks of messengers, probes and the contract's page.
//! One dispatcher by content type and path; gRPC-Web and REST end in the same gRPC stack.

pub mod bodies;
mod cors;
mod deadline;
pub mod listener;
mod mounted;
mod observe;
pub mod openapi;
mod plain;
mod trace;
pub mod transcode;
mod webhooks;
mod wire;

use futures::FutureExt as _;
use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc};

use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tonic::body::Body as GrpcBody;
use tower::{Service, ServiceExt, util::BoxCloneSyncService};
use tracing::Instrument as _;

use bodies::{Body, BoxError};
pub use cors::Cors;
pub use deadline::Deadline;
pub use mounted::unmounted;
use observe::Observer;
pub use plain::{Plain, Ready};
use transcode::Failure;
pub use webhooks::Webhooks;
use wire::Wire;

/// The gRPC stack: deadlines, access, services.
pub type Grpc = BoxCloneSyncService<Request<GrpcBody>, Response<GrpcBody>, Infallible>;

/// Rpcs that every server of gRPC has, besides those of the contract.
const STANDARD: [&str; 5] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Paths that are answered here and that no HTTP binding may take.
pub fn reserved_paths() -> Vec<String> {
    let paths = plain::PATHS.iter().chain(&STANDARD).chain(&webhooks::PATHS);
    paths.map(|path| (*path).to_owned()).collect()
}

/// The edge of one process. Cheap to clone.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

struct Inner {
    grpc: Grpc,
    rest: transcode::Transcoder,
    webhooks: Webhooks,
    plain: Plain,
    cors: Cors,
    /// Requests at once; more are refused at once, before they cost anything.
    in_flight: Arc<Semaphore>,
    observer: Observer,
}

impl Edge {
    pub fn new(
        grpc: Grpc,
        rest: transcode::Transcoder,
        webhooks: Webhooks,
        plain: Plain,
        cors: Cors,
        in_flight: usize,
        env: crate::env::Env,
    ) -> Self {
        let rpcs = rest.rpcs().chain(STANDARD.map(str::to_owned));
        let observer = Observer::new(env, rpcs);
        let in_flight = Arc::new(Semaphore::new(in_flight));
        Self(Arc::new(Inner { grpc, rest, webhooks, plain, cors, in_flight, observer }))
    }

    /// The service behind the accept loop.
    pub fn service(
        self,
    ) -> impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static {
        tower::service_fn(move |request| {
            let edge = self.clone();
            async move { Ok(edge.handle(request).await) }
        })
    }

    async fn handle(self, mut request: Request<Incoming>) -> Response<Body> {
        let wire = Wire::of(&request);
        let observed = self.0.observer.begin(&mut request, wire);
        let answer = self.admit(request, wire).instrument(observed.span()).await;
        observed.end(answer)
    }

    async fn admit(&self, request: Request<Incoming>, wire: Wire) -> Response<Body> {
        let origin = request.headers().get(header::ORIGIN).cloned();
        let path = request.uri().path();
        if wire == Wire::Http && Plain::owns(path) {
            let answer = self.0.plain.answer(request.method(), path, request.headers()).await;
            return answer.unwrap_or_else(|failure| self.refuse(wire, origin.as_ref(), failure));
        }
        let permit = match self.0.in_flight.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            // A process that works at its limit is healthy.
            Err(_) if path.starts_with("/grpc.health.v1.Health/") => None,
            Err(_) => {
                metrics::counter!("switchboard_requests_shed_total").increment(1);
                return self.refuse(wire, origin.as_ref(), wire::overloaded().into());
            }
        };
        // A panic below answers 500 and the connection lives on. What requests share is behind locks that
        // know how to be poisoned.
        let edge = self.clone();
        let worked =
            AssertUnwindSafe(async move { edge.dispatch(request, wire).await }.boxed()).catch_unwind().await;
        let answer = worked.unwrap_or_else(|panicked| {
            let text = panicked.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panicked.downcast_ref::<String>().map(String::as_str));
            tracing::error!(panic = text.unwrap_or_default(), "a request failed unexpectedly");
            self.refuse(wire, origin.as_ref(), wire::broken().into())
        });
        // Held until the body is through: a stream counts as a request in flight.
        answer.map(|body| bodies::Watched::new(body, move |_| drop(permit)).boxed_unsync())
    }

    async fn dispatch(self, request: Request<Incoming>, wire: Wire) -> Response<Body> {
        match wire {
            Wire::Grpc => call(self.0.grpc.clone(), request.map(GrpcBody::new)).boxed().await.map(boxed),
            Wire::GrpcWeb(content) => self.grpc_web(request, content).boxed().await,
            Wire::Http if Webhooks::owns(request.uri().path()) => {
                let received = self.0.webhooks.receive(request).boxed().await;
                received.unwrap_or_else(|failure| self.refuse(wire, None, failure))
            }
            Wire::Http if self.0.cors.is_preflight(&request) => self.0.cors.preflight(request.headers()),
            Wire::Http => self.0.rest.call(request, self.0.grpc.clone()).boxed().await,
        }
    }

    async fn grpc_web(&self, mut request: Request<Incoming>, content: &'static str) -> Response<Body> {
        let origin = request.headers().get(header::ORIGIN).cloned();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
        // tonic-web goes by Accept alone: who sends text and does not say gets text.
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        if !accept.contains("application/grpc-web") {
            headers.insert(header::ACCEPT, HeaderValue::from_static(content));
        }
        let layer = tower::Layer::layer(&tonic_web::GrpcWebLayer::new(), self.0.grpc.clone());
        let mut answer = match layer.oneshot(request.map(GrpcBody::new)).await {
            Ok(answer) => answer.map(boxed),
            Err(never) => match never {},
        };
        self.0.cors.decorate(origin.as_ref(), answer.headers_mut());
        answer
    }

    fn refuse(&self, wire: Wire, origin: Option<&HeaderValue>, failure: Failure) -> Response<Body> {
        let content = match wire {
            Wire::Http => return self.0.rest.refuse(&failure, origin),
            Wire::GrpcWeb(content) => Some(content),
            Wire::Grpc => None,
        };
        let mut answer = wire::trailers_only(failure.status, content);
        if content.is_some() {
            self.0.cors.decorate(origin, answer.headers_mut());
        }
        answer
    }
}

async fn call(grpc: Grpc, request: Request<GrpcBody>) -> Response<GrpcBody> {
    match grpc.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}
