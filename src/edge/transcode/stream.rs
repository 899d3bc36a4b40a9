//! Server streams over HTTP: newline-delimited JSON, Server-Sent Events, or raw bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use prost_reflect::DynamicMessage;
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Status;

use super::codec::Codec;
use super::grpc::Messages;
use super::route::Route;
use super::{Inner, failure, raw, status};
use crate::edge::bodies::{Body, BoxError};

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `{"result": …}` and at the end of a failed one `{"error": …}`, a line each.
    Lines,
    /// `data:` with the message; at the end always `event: status` with the status.
    Events,
    /// The bytes of each `google.api.HttpBody`.
    Raw,
}

/// What is between the call and the response body.
pub(super) struct Flow<C> {
    pub inner: Arc<Inner<C>>,
    pub route: usize,
    pub form: Form,
    pub messages: Messages,
    /// A message already taken to learn how the call begins.
    pub first: Option<Bytes>,
    /// The call has ended well already, after the first message or without any.
    pub ended: bool,
    pub deadline: Option<Instant>,
}

enum Step {
    Message(Bytes),
    End(Status),
    Idle,
}

impl<C: Codec> Flow<C> {
    /// The response body.
    pub(super) fn body(mut self) -> Body {
        let stream = async_stream::stream! {
            let mut idle = tokio::time::interval(self.inner.options.keep_alive);
            idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
            idle.reset();
            loop {
                match self.step(&mut idle).await {
                    Step::Idle if self.form == Form::Events => yield frame(": keep-alive\n\n".into()),
                    Step::Idle => {}
                    Step::Message(message) => {
                        idle.reset();
                        match self.write(&message) {
                            Ok(bytes) => yield frame(bytes),
                            Err(status) => {
                                yield self.end(&status);
                                break;
                            }
                        }
                    }
                    Step::End(status) => {
                        let end = self.end(&status);
                        if end.as_ref().map_or(true, |frame| frame.data_ref().is_some_and(|data| !data.is_empty())) {
                            yield end;
                        }
                        break;
                    }
                }
            }
        };
        StreamBody::new(stream).boxed_unsync()
    }

    async fn step(&mut self, idle: &mut tokio::time::Interval) -> Step {
        if let Some(first) = self.first.take() {
            return Step::Message(first);
        }
        if self.ended {
            return Step::End(Status::ok(""));
        }
        let far = Instant::now() + Duration::from_secs(60 * 60 * 24 * 365);
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(self.deadline.unwrap_or(far)) => {
                Step::End(failure::deadline_exceeded(&self.inner.options.error_domain))
            }
            next = self.messages.next() => match next {
                Ok(Some(message)) => Step::Message(message),
                Ok(None) => Step::End(Status::ok("")),
                Err(status) => Step::End(status),
            },
            _ = idle.tick() => Step::Idle,
        }
    }

    fn route(&self) -> &Route {
        &self.inner.routes[self.route]
    }

    fn write(&self, message: &Bytes) -> Result<Bytes, Status> {
        if self.form == Form::Raw {
            let body = raw::read(self.route(), message);
            return body
                .map(|(_, data)| data)
                .map_err(|problem| self.inner.undecodable(self.route(), &problem));
        }
        let output = self.route().method.output();
        let mut out = Vec::with_capacity(message.len() * 2 + 32);
        match self.form {
            Form::Lines => out.extend_from_slice(b"{\"result\":"),
            _ => {
                if let Some(id) = self.event_id(message) {
                    out.extend_from_slice(format!("id: {id}\n").as_bytes());
                }
                out.extend_from_slice(b"data: ");
            }
        }
        self.inner
            .codec
            .encode(&output, self.route().response_body.as_ref(), message, &mut out)
            .map_err(|problem| self.inner.undecodable(self.route(), &problem))?;
        out.extend_from_slice(if self.form == Form::Lines { b"}\n" } else { b"\n\n" });
        Ok(out.into())
    }

    fn event_id(&self, message: &Bytes) -> Option<String> {
        let read = self.inner.options.event_id?;
        let message = DynamicMessage::decode(self.route().method.output(), message.clone()).ok()?;
        read(&message).filter(|id| !id.contains(['\n', '\r', '\0']))
    }

    /// The last frame. A raw stream that failed is cut off, so that nobody takes it for complete.
    fn end(&self, outcome: &Status) -> Result<Frame<Bytes>, BoxError> {
        let ok = outcome.code() == tonic::Code::Ok;
        let json = || status::json(outcome, &self.inner.pool, &self.inner.codec);
        match self.form {
            Form::Raw if !ok => Err(format!("the stream failed: {}", outcome.message()).into()),
            Form::Lines | Form::Raw if ok => Ok(Frame::data(Bytes::new())),
            Form::Lines | Form::Raw => frame([&b"{\"error\":"[..], &json(), b"}\n"].concat().into()),
            Form::Events => frame([&b"event: status\ndata: "[..], &json(), b"\n\n"].concat().into()),
        }
    }
}

fn frame(bytes: Bytes) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(bytes))
}
