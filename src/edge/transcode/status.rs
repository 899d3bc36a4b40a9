//! `google.rpc.Status` as HTTP: the status line, the JSON body, the headers that go with it.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use prost::Message as _;
use prost_reflect::DescriptorPool;
use serde::Serialize;
use serde_json::value::RawValue;
use tonic::{Code, Status};
use tonic_types::pb;

use super::codec::Codec;

/// The HTTP status of a code, as `google/rpc/code.proto` lists them. With `conditional` requests a failed precondition
/// is the client's own (If-Match), hence 412.
pub fn http_status(code: Code, conditional: bool) -> StatusCode {
    let number = match code {
        Code::Ok => 200,
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::OutOfRange => 400,
        Code::FailedPrecondition if conditional => 412,
        Code::FailedPrecondition => 400,
        Code::DeadlineExceeded => 504,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::PermissionDenied => 403,
        Code::Unauthenticated => 401,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    };
    StatusCode::from_u16(number).expect("every number above is a valid status")
}

/// The name of a code: `NOT_FOUND`.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[derive(Serialize)]
struct Body<'s> {
    error: &'s str,
    code: i32,
    status: &'static str,
    message: &'s str,
    details: Vec<Box<RawValue>>,
}

/// The status as JSON: `{"error", "code", "status", "message", "details"}`. Details of unknown types are left out, and
/// so is DebugInfo, which is for the server's eyes.
pub(super) fn json(status: &Status, pool: &DescriptorPool, codec: &impl Codec) -> Vec<u8> {
    let details = details(status).iter().filter_map(|any| detail(any, pool, codec)).collect();
    let body = Body {
        error: status.message(),
        code: status.code().into(),
        status: code_name(status.code()),
        message: status.message(),
        details,
    };
    serde_json::to_vec(&body).expect("strings and numbers serialise")
}

/// Headers that repeat what the status says: Retry-After in whole seconds, a challenge for 401.
pub(super) fn headers(status: &Status, headers: &mut HeaderMap) {
    if status.code() == Code::Unauthenticated && !headers.contains_key(header::WWW_AUTHENTICATE) {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let retry = details(status).into_iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"));
    let delay =
        retry.and_then(|any| pb::RetryInfo::decode(any.value.as_slice()).ok()).and_then(|r| r.retry_delay);
    if let Some(delay) = delay {
        let seconds = delay.seconds.saturating_add(i64::from(delay.nanos > 0)).max(0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

fn details(status: &Status) -> Vec<prost_types::Any> {
    pb::Status::decode(status.details()).map(|status| status.details).unwrap_or_default()
}

fn detail(any: &prost_types::Any, pool: &DescriptorPool, codec: &impl Codec) -> Option<Box<RawValue>> {
    let (_, name) = any.type_url.rsplit_once('/')?;
    let known = pool.get_message_by_name(name)?;
    if known.full_name() == "google.rpc.DebugInfo" {
        return None;
    }
    let wrapper = pool.get_message_by_name("google.protobuf.Any")?;
    let mut json = Vec::new();
    codec.encode(&wrapper, None, &any.encode_to_vec(), &mut json).ok()?;
    RawValue::from_string(String::from_utf8(json).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_http_status_of_code_proto() {
        let expected =
            [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401].into_iter();
        for (number, expected) in (0..).zip(expected) {
            assert_eq!(http_status(Code::from_i32(number), false).as_u16(), expected, "code {number}");
        }
        assert_eq!(http_status(Code::FailedPrecondition, true), 412);
    }
}
