//! The edge's one body type, and what is wrapped around answers while they flow.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;

use super::wire;
use crate::error::Error;

pub type Body = UnsyncBoxBody<Bytes, BoxError>;
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that is there already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A gRPC answer with an end: when the deadline passes or the server drains while the next message is
/// not ready, the stream ends with a status of its own.
pub struct Ending<B> {
    inner: B,
    deadline: Option<Pin<Box<Sleep>>>,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl<B> Ending<B> {
    pub fn new(inner: B, deadline: Option<Sleep>, drain: WaitForCancellationFutureOwned) -> Self {
        Self { inner, deadline: deadline.map(Box::pin), drain: Box::pin(drain), ended: false }
    }

    fn end<E>(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        self.ended = true;
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers).expect("our messages and details are valid header text");
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

impl<B> http_body::Body for Ending<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        // What is ready goes out first: an answer that is complete is never cut short.
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return this.end(&Error::DeadlineExceeded.into());
        }
        if this.drain.as_mut().poll(cx).is_ready() {
            return this.end(&wire::going_away());
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Tells `done` the gRPC status (if trailers carried one) when the body ends or is dropped.
pub struct Watched<B, F: FnOnce(Option<i32>)> {
    inner: B,
    status: Option<i32>,
    done: Option<F>,
}

impl<B, F: FnOnce(Option<i32>)> Watched<B, F> {
    pub fn new(inner: B, done: F) -> Self {
        Self { inner, status: None, done: Some(done) }
    }
}

impl<B, F> http_body::Body for Watched<B, F>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    F: FnOnce(Option<i32>) + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let frame = std::task::ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            this.status = grpc_status(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B, F: FnOnce(Option<i32>)> Drop for Watched<B, F> {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(self.status);
        }
    }
}

/// The `grpc-status` of headers or trailers.
pub fn grpc_status(headers: &HeaderMap) -> Option<i32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}
