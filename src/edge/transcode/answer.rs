//! One request that has found its route: message in, call, answer out.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use prost_reflect::MessageDescriptor;
use tokio::time::Instant;
use tonic::Status;
use tower::{BoxError, Service};

use super::bind::Binder;
use super::codec::Codec;
use super::failure::{self, Failure};
use super::grpc::Messages;
use super::route::{BodyRule, Route};
use super::stream::{Flow, Form};
use super::{Inner, body, grpc, headers, mask, raw};
use crate::edge::bodies::{Body, full};

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const EVENTS: &str = "text/event-stream";

/// A request and its route.
pub(super) struct Exchange<'r, C> {
    pub inner: &'r std::sync::Arc<Inner<C>>,
    pub index: usize,
    pub segments: Vec<&'r str>,
    pub parts: &'r Parts,
}

impl<C: Codec> Exchange<'_, C> {
    pub(super) async fn run<B, S, R>(self, body: B, grpc: S) -> Result<Response<Body>, Failure>
    where
        B: http_body::Body<Data = Bytes> + Send,
        S: Service<Request<tonic::body::Body>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        let domain = &self.inner.options.error_domain;
        let malformed = |message: String| Failure::malformed(domain, message);
        let form = self.form()?;
        let timeout = headers::deadline(&self.parts.headers).map_err(malformed)?;
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut metadata = headers::metadata(&self.parts.headers, &self.inner.options.forwarded_headers)
            .map_err(malformed)?;
        if let Some(timeout) = timeout {
            metadata.insert("grpc-timeout", headers::timeout_value(timeout));
        }
        let work = async {
            let body = self.read(body).await?;
            let message = self.message(&body)?;
            let path = self.route().grpc_path();
            let extensions = self.parts.extensions.clone();
            let (head, messages) = grpc::call(grpc, &path, metadata, extensions, &message).await?;
            let answer = match form {
                None => self.unary(head.headers, messages).await,
                Some(form) => self.stream(form, &head.headers, messages, deadline).await,
            };
            answer.map(|mut answer| {
                *answer.extensions_mut() = head.extensions;
                answer
            })
        };
        match deadline {
            None => work.await,
            Some(deadline) => tokio::time::timeout_at(deadline, work)
                .await
                .unwrap_or_else(|_| Err(failure::deadline_exceeded(domain).into())),
        }
    }

    fn route(&self) -> &Route {
        &self.inner.routes[self.index]
    }

    /// How a stream is to be written; `None` for a single answer. 406 when the client takes neither.
    fn form(&self) -> Result<Option<Form>, Failure> {
        let domain = &self.inner.options.error_domain;
        let headers = &self.parts.headers;
        let streaming = self.route().method.is_server_streaming();
        if raw::is_response(self.route()) {
            return Ok(streaming.then_some(Form::Raw));
        }
        if !streaming {
            let ok = headers::accepts(headers, JSON);
            return if ok { Ok(None) } else { Err(Failure::not_acceptable(domain, JSON)) };
        }
        if headers::asks_for(headers, EVENTS) {
            return Ok(Some(Form::Events));
        }
        if headers::accepts(headers, LINES) {
            return Ok(Some(Form::Lines));
        }
        Err(Failure::not_acceptable(domain, "application/x-ndjson or text/event-stream"))
    }

    async fn read<B: http_body::Body<Data = Bytes> + Send>(&self, body: B) -> Result<Bytes, Failure> {
        let options = &self.inner.options;
        let (limit, domain) = (options.max_request_bytes, options.error_domain.as_str());
        let headers = &self.parts.headers;
        let is_raw = raw::is_request(self.route());
        self.check_type(is_raw)?;
        let read = body::read(body, headers, limit, domain).await?;
        // Signatures of raw bodies cover the bytes as sent.
        let read = if is_raw { read } else { body::decompress(read, headers, limit, domain)? };
        if self.route().body == BodyRule::None && !read.is_empty() {
            return Err(Failure::malformed(domain, "this method takes no body"));
        }
        Ok(read)
    }

    /// A body is JSON and says so, if it says anything: other types are what a foreign page may send unasked.
    fn check_type(&self, is_raw: bool) -> Result<(), Failure> {
        let domain = &self.inner.options.error_domain;
        let mut types = self.parts.headers.get_all(header::CONTENT_TYPE).iter();
        let Some(kind) = types.next() else { return Ok(()) };
        if types.next().is_some() {
            return Err(Failure::malformed(domain, "Content-Type is given twice"));
        }
        if is_raw {
            return Ok(());
        }
        let kind = kind.to_str().unwrap_or_default().to_ascii_lowercase();
        let (media, parameters) = kind.split_once(';').unwrap_or((&kind, ""));
        let charset = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("charset="));
        let is_utf8 = charset.is_none_or(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8"));
        if media.trim() == JSON && is_utf8 {
            return Ok(());
        }
        Err(Failure::unsupported(domain, "Content-Type must be application/json"))
    }

    /// The request message: body, then path, then query, so that on the wire the later ones win.
    fn message(&self, body: &Bytes) -> Result<Vec<u8>, Failure> {
        let (inner, route) = (self.inner, self.route());
        let refuse = |refusal| Failure::field(&inner.options.error_domain, refusal);
        let input = route.method.input();
        let mut wire = Vec::with_capacity(body.len() + 64);
        let field = match &route.body {
            BodyRule::Field(field) => Some(field),
            _ => None,
        };
        if raw::is_request(route) {
            raw::write(route, &self.parts.headers, body, &mut wire);
        } else if !body.is_empty() {
            inner.codec.decode(&input, field, body, &mut wire).map_err(refuse)?;
        }
        let Some(table) = inner.plan.named(input.full_name()) else {
            return Err(Status::internal("the rpc takes a message of another pool").into());
        };
        let mut binder = Binder::new(&inner.plan, table);
        binder.path(route, &self.segments, &mut wire).map_err(refuse)?;
        binder.query(route, self.parts.uri.query().unwrap_or_default(), &mut wire).map_err(refuse)?;
        if route.accepts == super::Accepts::Only(http::Method::PATCH)
            && !binder.has("update_mask")
            && let Some(resource) = field.and_then(|field| field.kind().as_message().cloned())
            && let Some(resource) = inner.plan.named(resource.full_name())
        {
            mask::imply(&inner.plan, table, resource, body, &mut wire);
        }
        if let Some((field, id)) = self.resume(&input) {
            binder.set(field, id, &mut wire).map_err(refuse)?;
        }
        Ok(wire)
    }

    /// Where a stream continues, when the client says so and the request has a field for it.
    fn resume(&self, input: &MessageDescriptor) -> Option<(&str, &str)> {
        let id = self.parts.headers.get("last-event-id")?.to_str().ok().filter(|id| !id.is_empty())?;
        let field = self.inner.options.resume_field.as_deref()?;
        let takes_it = self.route().method.is_server_streaming() && input.get_field_by_name(field).is_some();
        takes_it.then_some((field, id))
    }

    async fn unary(&self, initial: HeaderMap, mut messages: Messages) -> Result<Response<Body>, Failure> {
        let (inner, route) = (self.inner, self.route());
        let message =
            messages.next().await?.ok_or_else(|| Status::internal("the call answered without a message"))?;
        if messages.next().await?.is_some() {
            return Err(Status::internal("the call answered with more than one message").into());
        }
        let mut headers = HeaderMap::new();
        headers::merge(&initial, &mut headers);
        if let Some(trailers) = messages.trailers() {
            headers::merge(trailers, &mut headers);
        }
        let is_read = matches!(self.parts.method, http::Method::GET | http::Method::HEAD);
        if is_read && headers::is_unmodified(&self.parts.headers, &headers) {
            let mut response = Response::new(full(Bytes::new()));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.headers_mut() = headers;
            return Ok(response);
        }
        let undecodable = |problem| inner.undecodable(route, &problem);
        let body = if raw::is_response(route) {
            let (kind, data) = raw::read(route, &message).map_err(undecodable)?;
            headers.insert(header::CONTENT_TYPE, content_type(&kind));
            data
        } else {
            let mut json = Vec::with_capacity(message.len() * 3 + 32);
            let output = route.method.output();
            inner
                .codec
                .encode(&output, route.response_body.as_ref(), &message, &mut json)
                .map_err(undecodable)?;
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
            body::compress(json.into(), &self.parts.headers, &mut headers)
        };
        let mut response = Response::new(full(body));
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Waits a moment for the first message, so that a call that fails at once still answers with its HTTP status.
    async fn stream(
        &self,
        form: Form,
        initial: &HeaderMap,
        mut messages: Messages,
        deadline: Option<Instant>,
    ) -> Result<Response<Body>, Failure> {
        let first = tokio::time::timeout(self.inner.options.first_message, messages.next()).await;
        let (first, ended) = match first {
            Ok(Ok(Some(message))) => (Some(message), false),
            Ok(Ok(None)) => (None, true),
            Ok(Err(status)) => return Err(status.into()),
            Err(_) => (None, false),
        };
        let mut headers = HeaderMap::new();
        headers::merge(initial, &mut headers);
        let kind = match (form, &first) {
            (Form::Lines, _) => HeaderValue::from_static(LINES),
            (Form::Events, _) => HeaderValue::from_static(EVENTS),
            (Form::Raw, Some(first)) => {
                let read = raw::read(self.route(), first);
                let (kind, _) = read.map_err(|problem| self.inner.undecodable(self.route(), &problem))?;
                content_type(&kind)
            }
            (Form::Raw, None) => content_type(""),
        };
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        let inner = self.inner.clone();
        let flow = Flow { inner, route: self.index, form, messages, first, ended, deadline };
        let mut response = Response::new(flow.body());
        *response.headers_mut() = headers;
        Ok(response)
    }
}

fn content_type(text: &str) -> HeaderValue {
    let fallback = HeaderValue::from_static("application/octet-stream");
    if text.is_empty() { fallback } else { HeaderValue::from_str(text).unwrap_or(fallback) }
}
