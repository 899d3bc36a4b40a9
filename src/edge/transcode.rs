//! REST over any gRPC service: descriptors with `google.api.http` options in, HTTP out.
//!
//! A request is matched to an rpc, its path, query and body become the request message, the message goes to the in-process
//! gRPC stack as an ordinary call, and what comes back becomes JSON. Rules and edge cases:
//! <https://github.com/googleapis/googleapis/blob/master/google/api/http.proto>,
//! <https://protobuf.dev/programming-guides/json/>.

mod answer;
mod bind;
mod body;
mod codec;
mod failure;
mod grpc;
mod headers;
mod json_in;
mod json_out;
mod known;
mod mask;
mod percent;
mod plan;
mod raw;
mod route;
mod router;
mod scalar;
mod status;
mod stream;
mod template;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tonic::Status;
use tower::{BoxError, Service};

use super::Cors;
use super::bodies::{Body, full};
use plan::Plan;
use router::{Found, Router};

pub use body::compress;
pub use codec::{Codec, Refusal, TableCodec, Undecodable};
pub use failure::Failure;
pub use headers::grpc_timeout;
pub use route::{BodyRule, Problem, Route, grpc_path, is_message};
pub use router::Accepts;
pub use status::{code_name, http_status};
pub use template::{Segment, Template, Variable};

/// Longer URIs are refused.
const MAX_URI: usize = 8 * 1024;

/// The rpc that an answer is of, `package.Service/Method`, in the extensions of the answer.
#[derive(Clone, Debug)]
pub struct Called(pub Arc<str>);

/// What a transcoder is told besides the descriptors.
#[derive(Clone)]
pub struct Options {
    /// Request headers that become metadata under their own name, as they are or with the prefix `Grpc-Metadata-`.
    pub forwarded_headers: Vec<HeaderName>,
    /// Which browser origins may call.
    pub cors: Cors,
    /// The largest request body, in bytes, also after decompression.
    pub max_request_bytes: usize,
    /// Paths that no route may answer, besides those of the rpcs themselves.
    pub reserved_paths: Vec<String>,
    /// The domain of the ErrorInfo in the transcoder's own errors.
    pub error_domain: String,
    /// The `id:` of a message in an event stream.
    pub event_id: Option<fn(&DynamicMessage) -> Option<String>>,
    /// The request field of streams that takes `Last-Event-ID`.
    pub resume_field: Option<String>,
    /// How long an event stream stays silent before a comment is sent; proxies give up after 30 to 60 s.
    pub keep_alive: Duration,
    /// How long a stream may take to its first message, or failure, before the response begins without it.
    pub first_message: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            forwarded_headers: Vec::new(),
            cors: Cors::new([]),
            max_request_bytes: 4 << 20,
            reserved_paths: Vec::new(),
            error_domain: String::new(),
            event_id: None,
            resume_field: None,
            keep_alive: Duration::from_secs(15),
            first_message: Duration::from_millis(100),
        }
    }
}

/// Serves HTTP/JSON by calling a gRPC service. Cheap to clone.
pub struct Transcoder<C = TableCodec>(Arc<Inner<C>>);

struct Inner<C> {
    options: Options,
    pool: DescriptorPool,
    plan: Arc<Plan>,
    codec: C,
    routes: Vec<Route>,
    router: Router,
    /// The paths of all rpcs, also of those without a binding, and what the rpcs are called.
    rpcs: HashMap<String, Called>,
}

impl<C> Clone for Transcoder<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Transcoder {
    /// Serves every binding of `pool`. `Err` lists everything wrong with them.
    pub fn new(pool: &DescriptorPool, options: Options) -> Result<Self, Vec<Problem>> {
        let pool = with_error_details(pool)?;
        let codec = TableCodec::new(&pool);
        let plan = codec.plan.clone();
        Self::build(pool, plan, options, codec)
    }
}

impl<C: Codec> Transcoder<C> {
    /// Like `new`, with another codec.
    pub fn with_codec(pool: &DescriptorPool, options: Options, codec: C) -> Result<Self, Vec<Problem>> {
        let pool = with_error_details(pool)?;
        let plan = Arc::new(Plan::new(&pool));
        Self::build(pool, plan, options, codec)
    }

    fn build(
        pool: DescriptorPool,
        plan: Arc<Plan>,
        options: Options,
        codec: C,
    ) -> Result<Self, Vec<Problem>> {
        let (routes, router) = route::read(&pool, &options.reserved_paths)?;
        let rpcs = route::methods(&pool).map(|method| {
            let path = grpc_path(&method);
            let called = Called(path.trim_start_matches('/').into());
            (path, called)
        });
        let rpcs = rpcs.collect();
        Ok(Self(Arc::new(Inner { options, pool, plan, codec, routes, router, rpcs })))
    }

    /// Every mounted binding.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.0.routes.iter()
    }

    /// The paths of all rpcs, also of those without a binding: `/package.Service/Method`.
    pub fn rpcs(&self) -> impl Iterator<Item = String> {
        self.0.rpcs.keys().cloned()
    }

    /// A refusal, as every refused request of `origin` gets it.
    pub fn refuse(&self, failure: &Failure, origin: Option<&HeaderValue>) -> Response<Body> {
        let mut response = self.0.refuse(failure, false);
        self.0.options.cors.decorate(origin, response.headers_mut());
        response
    }

    /// Answers one request by calling `grpc`. Extensions of the request go with the call.
    pub async fn call<B, S, R>(&self, request: Request<B>, grpc: S) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
        S: Service<Request<tonic::body::Body>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        let origin = request.headers().get(header::ORIGIN).cloned();
        let head = request.method() == Method::HEAD;
        let conditional = headers::is_conditional(request.headers());
        let (parts, body) = request.into_parts();
        let mut called = None;
        let answer = match self.step(&parts) {
            Ok(Step::Answer(response)) => Ok(response),
            Ok(Step::Call { index, segments }) => {
                let exchange = answer::Exchange { inner: &self.0, index, segments, parts: &parts };
                called = self.0.rpcs.get(&self.0.routes[index].grpc_path()).cloned();
                exchange.run(body, grpc).await
            }
            Err(failure) => Err(failure),
        };
        let mut response = answer.unwrap_or_else(|failure| self.0.refuse(&failure, conditional));
        if let Some(called) = called {
            response.extensions_mut().insert(called);
        }
        self.0.options.cors.decorate(origin.as_ref(), response.headers_mut());
        if head {
            if let Some(length) = response.body().size_hint().exact() {
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
            *response.body_mut() = full(Bytes::new());
        }
        response
    }

    fn step<'r>(&self, parts: &'r http::request::Parts) -> Result<Step<'r>, Failure> {
        if parts.uri.path_and_query().is_some_and(|uri| uri.as_str().len() > MAX_URI) {
            return Err(Failure::long_uri(&self.0.options.error_domain, MAX_URI));
        }
        if parts.method == Method::OPTIONS { self.options(parts) } else { self.find(parts) }
    }

    fn options<'r>(&self, parts: &http::request::Parts) -> Result<Step<'r>, Failure> {
        let mut allowed = self.0.router.allowed(parts.uri.path());
        if self.0.rpcs.contains_key(parts.uri.path()) {
            allowed.push(Method::POST);
        }
        if allowed.is_empty() {
            return Err(Failure::no_such_path(&self.0.options.error_domain));
        }
        let asked = parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let mut response = if asked && parts.headers.contains_key(header::ORIGIN) {
            self.0.options.cors.preflight(&parts.headers)
        } else {
            let mut response = Response::new(full(Bytes::new()));
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        };
        response.headers_mut().insert(header::ALLOW, failure::allow(&allowed));
        Ok(Step::Answer(response))
    }

    fn find<'r>(&self, parts: &'r http::request::Parts) -> Result<Step<'r>, Failure> {
        let domain = &self.0.options.error_domain;
        let path = parts.uri.path();
        percent::decode(path)
            .map_err(|problem| Failure::malformed(domain, format!("the path holds {problem}")))?;
        let head = parts.method == Method::HEAD;
        let method = if head { &Method::GET } else { &parts.method };
        match self.0.router.find(method, path) {
            Found::Route { index, .. } if head && !self.0.routes[index].is_plain_get() => {
                Err(Failure::wrong_method(domain, &self.0.router.allowed(path)))
            }
            Found::Route { index, segments } => Ok(Step::Call { index, segments }),
            Found::WrongMethod(allowed) => Err(Failure::wrong_method(domain, &allowed)),
            Found::Nothing if !self.0.rpcs.contains_key(path) => Err(Failure::no_such_path(domain)),
            Found::Nothing if parts.method == Method::POST => {
                let message = "an rpc at its own path takes application/grpc or application/grpc-web only";
                Err(Failure::unsupported(domain, message))
            }
            Found::Nothing => Err(Failure::wrong_method(domain, &[Method::POST])),
        }
    }
}

/// What a request comes to before its body is read.
enum Step<'r> {
    Answer(Response<Body>),
    /// The index of a route, and the raw segments of the path.
    Call {
        index: usize,
        segments: Vec<&'r str>,
    },
}

impl<C: Codec> Inner<C> {
    /// A failed request as its answer.
    fn refuse(&self, failure: &Failure, conditional: bool) -> Response<Body> {
        let status = &failure.status;
        let http = failure.http.unwrap_or_else(|| status::http_status(status.code(), conditional));
        let mut response = Response::new(full(status::json(status, &self.pool, &self.codec)));
        *response.status_mut() = http;
        let headers = response.headers_mut();
        headers::merge(&status.metadata().clone().into_headers(), headers);
        headers.extend(failure.headers.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        status::headers(status, headers);
        *response.extensions_mut() = failure.extensions.clone();
        response
    }

    /// The status of a response that its own descriptor cannot read: a defect of the service.
    fn undecodable(&self, route: &Route, problem: &Undecodable) -> Status {
        tracing::error!(method = route.method.full_name(), %problem, "a response cannot be written as JSON");
        Status::internal("the response cannot be written as JSON")
    }
}

/// Every HTTP binding of `pool`, or everything wrong with them.
pub fn routes(pool: &DescriptorPool) -> Result<Vec<Route>, Vec<Problem>> {
    route::read(pool, &[]).map(|(routes, _)| routes)
}

/// Adds the standard error details where the pool lacks them: every status may carry them.
fn with_error_details(pool: &DescriptorPool) -> Result<DescriptorPool, Vec<Problem>> {
    let mut pool = pool.clone();
    if pool.get_message_by_name("google.rpc.ErrorInfo").is_none() {
        pool.decode_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET).map_err(|error| {
            vec![Problem { subject: "google.rpc".into(), problem: format!("error details: {error}") }]
        })?;
    }
    Ok(pool)
}
