//! One port for everything: gRPC, gRPC-Web, REST, webhooks of messengers, probes and the contract's page.
//! One dispatcher by content type and path; gRPC-Web and REST end in the same gRPC stack.

pub mod bodies;
mod cors;
mod deadline;
pub mod listener;
mod observe;
pub mod openapi;
mod plain;
pub mod transcode;
mod webhooks;

use futures::FutureExt as _;
use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::sync::Semaphore;
use tonic::body::Body as GrpcBody;
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

use bodies::{Body, BoxError};
pub use cors::Cors;
pub use deadline::Deadline;
pub use observe::RequestId;
pub use plain::{Plain, Ready};
pub use webhooks::Webhooks;

/// The gRPC stack: deadlines, access, services.
pub type Grpc = BoxCloneSyncService<Request<GrpcBody>, Response<GrpcBody>, Infallible>;

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
    env: crate::env::Env,
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
        Self(Arc::new(Inner {
            grpc,
            rest,
            webhooks,
            plain,
            cors,
            in_flight: Arc::new(Semaphore::new(in_flight)),
            env,
        }))
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
        let observed = observe::begin(&mut request, &self.0.env);
        let answer = self.admit(request).await;
        observed.end(answer)
    }

    async fn admit(&self, request: Request<Incoming>) -> Response<Body> {
        if Plain::owns(request.uri().path()) {
            return self.0.plain.answer(request.method(), request.uri().path()).await;
        }
        let Ok(permit) = self.0.in_flight.clone().try_acquire_owned() else {
            metrics::counter!("switchboard_requests_shed_total").increment(1);
            return shed(&request);
        };
        // A panic below answers 500 and the connection lives on. What requests share is behind locks that
        // know how to be poisoned.
        let edge = self.clone();
        let grpc = kind(&request).is_some();
        let worked =
            AssertUnwindSafe(async move { edge.dispatch(request).await }.boxed()).catch_unwind().await;
        let answer = worked.unwrap_or_else(|panicked| {
            let text = panicked.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panicked.downcast_ref::<String>().map(String::as_str));
            tracing::error!(panic = text.unwrap_or_default(), "a request failed unexpectedly");
            if grpc {
                tonic::Status::internal("internal error").into_http::<GrpcBody>().map(boxed)
            } else {
                problem(StatusCode::INTERNAL_SERVER_ERROR, 13, "INTERNAL", "internal error")
            }
        });
        // Held until the body is through: a stream counts as a request in flight.
        answer.map(|body| bodies::Watched::new(body, move |_| drop(permit)).boxed_unsync())
    }

    async fn dispatch(self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        match kind(&request) {
            Some(Kind::GrpcWeb) => self.grpc_web(request).boxed().await,
            Some(Kind::Grpc) => self.grpc(request).boxed().await,
            None if path.starts_with("/webhooks/") || path.starts_with("/api/v2") => {
                self.0.webhooks.receive(request).boxed().await
            }
            None if self.0.cors.is_preflight(&request) => self.0.cors.preflight(request.headers()),
            None => self.0.rest.call(request, self.0.grpc.clone()).boxed().await,
        }
    }

    async fn grpc(&self, request: Request<Incoming>) -> Response<Body> {
        if request.method() != Method::POST {
            let mut refused =
                problem(StatusCode::METHOD_NOT_ALLOWED, 12, "UNIMPLEMENTED", "gRPC calls are POST");
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return refused;
        }
        let answer = call(self.0.grpc.clone(), request.map(GrpcBody::new)).await;
        answer.map(boxed)
    }

    async fn grpc_web(&self, mut request: Request<Incoming>) -> Response<Body> {
        let origin = request.headers().get(header::ORIGIN).cloned();
        // tonic-web knows four spellings and answers 400 to parameters.
        let plain = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let plain =
            plain.and_then(|value| value.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
        if let Ok(plain) = HeaderValue::from_str(&plain) {
            request.headers_mut().insert(header::CONTENT_TYPE, plain);
        }
        let layer = tower::Layer::layer(&tonic_web::GrpcWebLayer::new(), self.0.grpc.clone());
        let mut answer = match layer.oneshot(request.map(GrpcBody::new)).await {
            Ok(answer) => answer.map(boxed),
            Err(never) => match never {},
        };
        self.0.cors.decorate(origin.as_ref(), answer.headers_mut());
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

enum Kind {
    Grpc,
    GrpcWeb,
}

/// gRPC by its content type; tonic itself would take anything for gRPC.
fn kind<B>(request: &Request<B>) -> Option<Kind> {
    let content = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    let content = content.split(';').next().unwrap_or_default().trim();
    match content {
        "application/grpc" | "application/grpc+proto" => Some(Kind::Grpc),
        _ if content.starts_with("application/grpc-web") => Some(Kind::GrpcWeb),
        _ => None,
    }
}

fn shed<B>(request: &Request<B>) -> Response<Body> {
    if kind(request).is_some() {
        return tonic::Status::unavailable("too many requests at once").into_http::<GrpcBody>().map(boxed);
    }
    let mut refused =
        problem(StatusCode::SERVICE_UNAVAILABLE, 14, "UNAVAILABLE", "too many requests at once");
    refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    refused
}

/// An error of the edge itself, in the shape of every REST error.
fn problem(status: StatusCode, code: i32, name: &str, message: &str) -> Response<Body> {
    let body = json!({"error": message, "code": code, "status": name, "message": message, "details": []});
    plain::json_answer(status, &body)
}
