//! Deadlines: `grpc-timeout` (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>), capped
//! for unary calls by the server's own limit. tonic's server answers CANCELLED and leaves stream bodies
//! alone; this answers DEADLINE_EXCEEDED and covers both. It also ends streams when the server drains.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body as GrpcBody};
use tower::Service;

use super::{bodies::Ending, listener::Leaving, transcode::grpc_timeout};
use crate::error::Error;

/// Puts a deadline on every call of `S`.
#[derive(Clone)]
pub struct Deadline<S> {
    inner: S,
    /// For unary calls, and for streams until their headers.
    most: Duration,
    /// Methods (`/package.Service/Method`) that stream: only the client limits them.
    streams: Arc<[String]>,
    drain: CancellationToken,
}

impl<S> Deadline<S> {
    /// `drain` ends the streams of calls that come over no connection; those of the others end with it.
    pub fn new(inner: S, most: Duration, streams: Arc<[String]>, drain: CancellationToken) -> Self {
        Self { inner, most, streams, drain }
    }
}

impl<S> Service<Request<GrpcBody>> for Deadline<S>
where
    S: Service<Request<GrpcBody>, Response = Response<GrpcBody>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<GrpcBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<GrpcBody>) -> Self::Future {
        let started = Instant::now();
        let streams = self.streams.iter().any(|path| path == request.uri().path());
        let asked = request.headers().get("grpc-timeout");
        let asked = asked.and_then(|asked| asked.to_str().ok()).and_then(grpc_timeout);
        let most = self.most;
        let leaving = request.extensions().get();
        let drain = leaving.map_or_else(|| self.drain.clone(), |Leaving(token)| token.clone());
        // The clone is the one that was not polled ready.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let head = asked.map_or(most, |asked| asked.min(most));
            let answer = tokio::time::timeout_at(started + head, inner.call(request)).await;
            let Ok(answer) = answer else {
                return Ok(Status::from(Error::DeadlineExceeded).into_http());
            };
            let Ok(answer) = answer;
            let until = match (streams, asked) {
                (true, asked) => asked,
                (false, asked) => Some(asked.map_or(most, |asked| asked.min(most))),
            };
            let deadline = until.map(|until| sleep_until(started + until));
            Ok(answer.map(|body| {
                GrpcBody::new(
                    Ending::new(body, deadline, drain.cancelled_owned()).map_err(|error: Status| error),
                )
            }))
        })
    }
}
