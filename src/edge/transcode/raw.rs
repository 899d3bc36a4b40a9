//! `google.api.HttpBody`: bytes as they are, with their content type.

use bytes::Bytes;
use http::HeaderMap;
use http::header;

use super::codec::Undecodable;
use super::route::{BodyRule, Route, is_message};
use super::wire::{self, Raw};

const HTTP_BODY: &str = "google.api.HttpBody";
const CONTENT_TYPE: u32 = 1;
const DATA: u32 = 2;

/// True when the request body is not JSON.
pub(super) fn is_request(route: &Route) -> bool {
    match &route.body {
        BodyRule::None => false,
        BodyRule::Whole => route.method.input().full_name() == HTTP_BODY,
        BodyRule::Field(field) => is_message(&field.kind(), HTTP_BODY),
    }
}

/// True when the response body is not JSON.
pub(super) fn is_response(route: &Route) -> bool {
    match &route.response_body {
        Some(field) => is_message(&field.kind(), HTTP_BODY) && !field.is_list(),
        None => route.method.output().full_name() == HTTP_BODY,
    }
}

/// Writes a request body as the message or field that takes it.
pub(super) fn write(route: &Route, headers: &HeaderMap, body: &[u8], out: &mut Vec<u8>) {
    let start = match &route.body {
        BodyRule::Field(field) => Some(wire::open(out, field.number())),
        _ => None,
    };
    if let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
        wire::put_bytes(out, CONTENT_TYPE, kind.as_bytes());
    }
    wire::put_bytes(out, DATA, body);
    if let Some(start) = start {
        wire::close(out, start);
    }
}

/// Reads content type and bytes of a response.
pub(super) fn read(route: &Route, message: &Bytes) -> Result<(String, Bytes), Undecodable> {
    let mut content = message.clone();
    if let Some(field) = &route.response_body {
        content = part(message, field.number())?.unwrap_or_default();
    }
    let kind = part(&content, CONTENT_TYPE)?.unwrap_or_default();
    let kind =
        std::str::from_utf8(&kind).map_err(|_| Undecodable("a content type that is not UTF-8"))?.to_owned();
    Ok((kind, part(&content, DATA)?.unwrap_or_default()))
}

fn part(message: &Bytes, number: u32) -> Result<Option<Bytes>, Undecodable> {
    let mut found = None;
    let mut wire = message.as_ref();
    while let Some((field, raw)) = wire::take_field(&mut wire)? {
        if let (true, Raw::Bytes(bytes)) = (field == number, raw) {
            found = Some(message.slice_ref(bytes));
        }
    }
    Ok(found)
}
