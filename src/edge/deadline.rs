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

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body as GrpcBody};
use tower::Service;

use super::bodies::Ending;
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
        let asked = timeout(request.headers());
        let most = self.most;
        let drain = self.drain.clone();
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

/// The client's `grpc-timeout`: up to eight digits and a unit.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_digits_and_a_unit() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", http::HeaderValue::from_static(text));
            timeout(&headers)
        };
        assert_eq!(read("50m"), Some(Duration::from_millis(50)));
        assert_eq!(read("2S"), Some(Duration::from_secs(2)));
        assert_eq!(read("1H"), Some(Duration::from_secs(3600)));
        for refused in ["", "m", "50", "-1S", "1.5S", "123456789S", "5x"] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }
}
