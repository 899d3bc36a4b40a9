//! Deliveries of messengers: raw bytes in, a verdict out. 200 only for what is stored; 503 when it could
//! not be, so that the messenger keeps it. A channel's rate is spent by proven deliveries only; refused
//! ones count against the address they come from.
//!
//! | path | messenger |
//! |---|---|
//! | `GET`, `POST /webhooks/whatsapp/{channel_id}` | WhatsApp Cloud |
//! | `POST /webhooks/telegram/{channel_id}` | Telegram |
//! | `POST /webhooks/inbound/{channel_id}` | any system, Standard Webhooks signature |
//! | `POST /api/v2` | WhatsApp Cloud, one address for all numbers: routed by phone number id |

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tonic::Status;

use super::{
    bodies::{Body, full},
    plain::json_answer,
    transcode::Failure,
};
use crate::{
    access::Access,
    channels::RawRequest,
    domain::conversation::ChannelKind,
    error::{DOMAIN, Error},
    service::conversation::Ingress,
};

/// One path of each shape.
pub(super) const PATHS: [&str; 4] =
    ["/webhooks/whatsapp/x", "/webhooks/telegram/x", "/webhooks/inbound/x", "/api/v2"];
/// How long a delivery may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// Meta batches up to 3 MB.
const MOST: usize = 4 * 1024 * 1024;

/// Takes in webhooks of every channel.
#[derive(Clone)]
pub struct Webhooks {
    ingress: Ingress,
    access: Access,
}

impl Webhooks {
    pub fn new(ingress: Ingress, access: Access) -> Self {
        Self { ingress: ingress.limited(access.clone()), access }
    }

    /// Whether the path is one of these.
    pub(super) fn owns(path: &str) -> bool {
        path.starts_with("/webhooks/") || path.trim_end_matches('/') == "/api/v2"
    }

    pub(super) async fn receive(&self, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let missing = || refused(Error::not_found("webhook", &path));
        let (kind, channel) = match path.trim_end_matches('/').split('/').collect::<Vec<_>>()[..] {
            ["", "webhooks", kind, channel] => (named(kind).ok_or_else(missing)?, Some(channel.to_owned())),
            ["", "api", "v2"] => (ChannelKind::Whatsapp, None),
            _ => return Err(missing()),
        };
        let asks = head.method == Method::GET && kind == ChannelKind::Whatsapp && channel.is_some();
        if head.method != Method::POST && !asks {
            return Err(Failure::wrong_method(DOMAIN, &[Method::POST]));
        }
        // What is named here is not proven: it only says whose refusals count against whom.
        let named = channel.as_ref().and_then(|channel| channel.parse().ok());
        let sender = self.access.address(&head.headers, &head.extensions);
        self.access.limits().hear(sender, named).map_err(refused)?;
        let body = match tokio::time::timeout(PATIENCE, Limited::new(body, MOST).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Failure::too_large(DOMAIN, MOST)),
            Ok(Err(_)) => return Err(Failure::malformed(DOMAIN, "the body ended early")),
            Err(_) => return Err(Failure::too_slow(DOMAIN)),
        };
        let query = head.uri.query().unwrap_or_default().to_owned();
        let raw = RawRequest { method: head.method, query, headers: head.headers, body };
        let answer = self.answer(kind, channel.as_deref(), asks, &raw).boxed().await;
        if answer.as_ref().is_err_and(|error| unproven(error, channel.is_none())) {
            self.access.limits().refuse(sender, named);
        }
        answer.map_err(refused)
    }

    async fn answer(
        &self,
        kind: ChannelKind,
        channel: Option<&str>,
        asks: bool,
        raw: &RawRequest,
    ) -> Result<Response<Body>, Error> {
        match channel {
            None => {
                self.ingress.receive_shared(raw).boxed().await?;
                Ok(text("EVENT_RECEIVED".to_owned()))
            }
            Some(channel) if asks => Ok(text(self.ingress.challenge(kind, channel, raw).boxed().await?)),
            Some(channel) => {
                let received = self.ingress.receive(kind, channel, raw).boxed().await?;
                Ok(json_answer(StatusCode::OK, &received.receipt))
            }
        }
    }
}

/// Whether the sender is no messenger as far as we know. At the address for all, a body is read before
/// anything is proven.
const fn unproven(error: &Error, shared: bool) -> bool {
    match error {
        Error::Credentials { .. } | Error::Forbidden { .. } | Error::NotFound { .. } => true,
        Error::Invalid(_) => shared,
        _ => false,
    }
}

fn named(kind: &str) -> Option<ChannelKind> {
    match kind {
        "whatsapp" => Some(ChannelKind::Whatsapp),
        "telegram" => Some(ChannelKind::Telegram),
        "inbound" => Some(ChannelKind::Webhook),
        _ => None,
    }
}

fn text(body: String) -> Response<Body> {
    let mut answer = Response::new(full(Bytes::from(body)));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

fn refused(error: Error) -> Failure {
    Status::from(error).into()
}
