//! The call: one framed message to the in-process gRPC stack, frames and trailers back.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::response::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use tonic::Status;
use tower::{BoxError, Service, ServiceExt as _};

use super::failure::Failure;

/// Flag and length before each message.
const PREFIX: usize = 5;

/// The messages of an answer.
pub(super) struct Messages {
    body: UnsyncBoxBody<Bytes, BoxError>,
    buffer: BytesMut,
    trailers: Option<HeaderMap>,
    /// The status came with the headers: nothing more follows.
    settled: bool,
}

/// Calls `path` with one message; answers the head of the answer and its messages. `Err` is a status that
/// arrived instead of messages, with all metadata and extensions of its answer.
pub(super) async fn call<S, R>(
    service: S,
    path: &str,
    metadata: HeaderMap,
    extensions: Extensions,
    message: &[u8],
) -> Result<(Parts, Messages), Failure>
where
    S: Service<Request<tonic::body::Body>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let length =
        u32::try_from(message.len()).map_err(|_| Status::resource_exhausted("the message is too large"))?;
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put_slice(message);
    let mut request = Request::post(path)
        .version(http::Version::HTTP_2)
        .body(tonic::body::Body::new(Full::new(framed.freeze())))
        .map_err(|_| Status::internal("the rpc has no valid path"))?;
    *request.headers_mut() = metadata;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
    *request.extensions_mut() = extensions;
    let response = service.oneshot(request).await.map_err(|error| Status::from_error(error.into()))?;
    let (parts, body) = response.into_parts();
    let early = Status::from_header_map(&parts.headers);
    let settled = early.is_some();
    if let Some(status) = early.filter(|status| status.code() != tonic::Code::Ok) {
        return Err(Failure { extensions: parts.extensions, ..status.into() });
    }
    let body = body.map_err(Into::into).boxed_unsync();
    Ok((parts, Messages { body, buffer: BytesMut::new(), trailers: None, settled }))
}

impl Messages {
    /// The next message; `None` after the last one of a call that succeeded. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            match self.body.frame().await {
                None => return self.finish(),
                Some(Err(error)) => return Err(Status::from_error(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
            }
        }
    }

    /// Metadata sent after the last message.
    pub(super) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    fn take(&mut self) -> Result<Option<Bytes>, Status> {
        let Some((&[flag, a, b, c, d], _)) = self.buffer.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        if flag != 0 {
            return Err(Status::internal("a compressed message nobody asked for"));
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    fn finish(&self) -> Result<Option<Bytes>, Status> {
        let status = self.trailers.as_ref().and_then(Status::from_header_map);
        match status {
            Some(status) if status.code() != tonic::Code::Ok => Err(status),
            Some(_) if self.buffer.is_empty() => Ok(None),
            None if self.settled && self.buffer.is_empty() => Ok(None),
            _ => Err(Status::internal("the call ended without a status")),
        }
    }
}
