//! Deliveries of messengers: raw bytes in, a verdict out. 200 only for what is stored; 503 when it could
//! not be, so that the messenger keeps it.
//!
//! | path | messenger |
//! |---|---|
//! | `GET`, `POST /webhooks/whatsapp/{channel_id}` | WhatsApp Cloud |
//! | `POST /webhooks/telegram/{channel_id}` | Telegram |
//! | `POST /webhooks/inbound/{channel_id}` | any system, Standard Webhooks signature |
//! | `POST /api/v2` | WhatsApp Cloud, one address for all numbers: routed by phone number id |

use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tonic::Status;
use tonic_types::StatusExt;

use super::{
    bodies::{Body, full},
    plain::json_answer,
    transcode::{code_name, http_status},
};
use crate::{
    access::Access, channels::RawRequest, domain::conversation::ChannelKind, error::Error,
    service::conversation::Ingress,
};

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
        Self { ingress, access }
    }

    pub(super) async fn receive(&self, request: Request<Incoming>) -> Response<Body> {
        match self.answer(request).boxed().await {
            Ok(answer) => answer,
            Err(error) => refusal(error),
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Error> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let missing = || Error::not_found("webhook", &path);
        let (kind, channel) = match path.trim_end_matches('/').split('/').collect::<Vec<_>>()[..] {
            ["", "webhooks", kind, channel] => (named(kind).ok_or_else(missing)?, Some(channel.to_owned())),
            ["", "api", "v2"] => (ChannelKind::Whatsapp, None),
            _ => return Err(missing()),
        };
        let asks = head.method == Method::GET && kind == ChannelKind::Whatsapp && channel.is_some();
        if head.method != Method::POST && !asks {
            return Ok(not_allowed());
        }
        let body = match Limited::new(body, MOST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => return Ok(too_large()),
            Err(_) => return Err(Error::invalid("body", "ended early")),
        };
        let query = head.uri.query().unwrap_or_default().to_owned();
        let raw = RawRequest { method: head.method, query, headers: head.headers, body };
        let Some(channel) = channel else { return self.shared(&raw).boxed().await };
        if let Ok(id) = channel.parse() {
            self.access.limits().delivery(id).await?;
        }
        if asks {
            return Ok(text(self.ingress.challenge(kind, &channel, &raw).boxed().await?));
        }
        let received = self.ingress.receive(kind, &channel, &raw).boxed().await?;
        Ok(json_answer(StatusCode::OK, &received.receipt))
    }

    /// One address for every number of an app.
    async fn shared(&self, raw: &RawRequest) -> Result<Response<Body>, Error> {
        self.ingress.receive_shared(raw).boxed().await?;
        Ok(text("EVENT_RECEIVED".to_owned()))
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

fn not_allowed() -> Response<Body> {
    let mut refused =
        super::problem(StatusCode::METHOD_NOT_ALLOWED, 12, "UNIMPLEMENTED", "deliveries are POST");
    refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    refused
}

fn too_large() -> Response<Body> {
    super::problem(StatusCode::PAYLOAD_TOO_LARGE, 8, "RESOURCE_EXHAUSTED", "a delivery holds at most 4 MiB")
}

/// An error in the shape of every REST error.
fn refusal(error: Error) -> Response<Body> {
    let status = Status::from(error);
    let code = status.code();
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.as_str()).unwrap_or_default();
    let info = serde_json::json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": crate::error::DOMAIN,
    });
    let body = serde_json::json!({
        "error": status.message(), "code": code as i32, "status": code_name(code), "message": status.message(),
        "details": [info],
    });
    let mut answer = json_answer(http_status(code, false), &body);
    if matches!(answer.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}
