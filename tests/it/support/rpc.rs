//! Calls by name, with JSON for messages: the whole gRPC stack in process, no sockets.

use std::sync::LazyLock;

use bytes::{BufMut, Bytes, BytesMut};
use http::Request;
use http_body_util::{BodyExt, Full};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::Value;
use switchboard::{edge::Grpc, wire::DESCRIPTORS};
use tonic::{Code, Status};
use tower::ServiceExt;

/// The contract.
pub static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap());

/// Why a call was refused.
#[derive(Debug)]
pub struct Refusal {
    pub code: Code,
    pub message: String,
    /// The word in `google.rpc.ErrorInfo`.
    pub reason: String,
    /// Fields named by `google.rpc.BadRequest`.
    pub fields: Vec<String>,
    pub status: Status,
}

/// Every method of ours.
pub fn methods() -> impl Iterator<Item = MethodDescriptor> {
    POOL.services()
        .filter(|s| s.full_name().starts_with("switchboard."))
        .flat_map(|s| s.methods().collect::<Vec<_>>())
}

/// The method `Service.Method` or `package.Service.Method`.
pub fn method(name: &str) -> MethodDescriptor {
    let found = methods().find(|m| m.full_name() == name || m.full_name().ends_with(&format!(".{name}")));
    found.unwrap_or_else(|| panic!("no method {name}"))
}

/// The path of a method on the wire.
pub fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// Calls `Service.Method`; answers the message, or for streams the array of messages until the end.
pub async fn call(grpc: Grpc, name: &str, token: Option<&str>, request: Value) -> Result<Value, Refusal> {
    let method = method(name);
    let message = DynamicMessage::deserialize(method.input(), request.clone())
        .unwrap_or_else(|error| panic!("{name} does not take {request}: {error}"));
    let messages = call_bytes(grpc, &path(&method), token, &message.encode_to_vec()).await?;
    let mut answers = messages.into_iter().map(|bytes| {
        let message = DynamicMessage::decode(method.output(), bytes).unwrap();
        let options = SerializeOptions::new().skip_default_fields(false);
        message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
    });
    if method.is_server_streaming() {
        Ok(answers.collect())
    } else {
        Ok(answers.next().expect("one message"))
    }
}

/// Calls a path with an encoded message; answers encoded messages.
pub async fn call_bytes(
    grpc: Grpc,
    path: &str,
    token: Option<&str>,
    message: &[u8],
) -> Result<Vec<Bytes>, Refusal> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    call_with(grpc, path, &headers, message).await
}

/// As [`call_bytes`], with any headers.
pub async fn call_with(
    grpc: Grpc,
    path: &str,
    headers: &[(&str, &str)],
    message: &[u8],
) -> Result<Vec<Bytes>, Refusal> {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    let mut request = Request::post(format!("http://switchboard{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body =
        tonic::body::Body::new(Full::new(frame.freeze()).map_err(|never| -> Status { match never {} }));
    let answer = grpc.oneshot(request.body(body).unwrap()).await.unwrap();
    if let Some(status) = Status::from_header_map(answer.headers())
        && status.code() != Code::Ok
    {
        return Err(refusal(status));
    }
    let collected = answer.into_body().collect().await.map_err(refusal)?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    if let Some(status) = Status::from_header_map(&trailers)
        && status.code() != Code::Ok
    {
        return Err(refusal(status));
    }
    let mut data = collected.to_bytes();
    let mut messages = Vec::new();
    while data.len() >= 5 {
        let length = usize::try_from(u32::from_be_bytes(data[1..5].try_into().unwrap())).unwrap();
        messages.push(data.slice(5..5 + length));
        data = data.slice(5 + length..);
    }
    Ok(messages)
}

fn refusal(status: Status) -> Refusal {
    use tonic_types::StatusExt;
    let details = status.get_error_details();
    let fields =
        details.bad_request().map(|bad| bad.field_violations.iter().map(|v| v.field.clone()).collect());
    Refusal {
        code: status.code(),
        message: status.message().to_owned(),
        reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
        fields: fields.unwrap_or_default(),
        status,
    }
}
