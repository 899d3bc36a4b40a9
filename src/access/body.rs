//! The one message of a unary call, off the wire.

use std::io::Read;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderName};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tonic::body::Body;

use crate::error::{Error, Result};

/// Flag and length before each message.
const PREFIX: usize = 5;

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Reads the only message, at most `limit` bytes also when unpacked. A packed one is unpacked for good:
/// what was checked is what the handler gets.
pub(super) async fn read(headers: &mut HeaderMap, body: Body, limit: usize) -> Result<(Bytes, Body)> {
    let whole = Limited::new(body, limit + PREFIX).collect().await;
    let whole = whole.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Error::TooLarge { limit },
        None => Error::invalid("request", "ended before its message did"),
    })?;
    let whole = whole.to_bytes();
    let message = message(whole.clone())?;
    if whole[0] == 0 {
        return Ok((message, Body::new(Full::new(whole))));
    }
    let encoding = headers.remove(&ENCODING);
    if encoding.is_none_or(|encoding| encoding != "gzip") {
        return Err(Error::invalid("grpc-encoding", "expected gzip for a compressed message"));
    }
    let message = unpack(&message, limit)?;
    Ok((message.clone(), frame(&message)))
}

/// The payload of exactly one frame.
fn message(mut whole: Bytes) -> Result<Bytes> {
    let wrong = || Error::invalid("request", "expected one gRPC message");
    if whole.len() < PREFIX || whole[0] > 1 {
        return Err(wrong());
    }
    whole.advance(1);
    let length = usize::try_from(whole.get_u32()).map_err(|_| wrong())?;
    if whole.len() == length { Ok(whole) } else { Err(wrong()) }
}

fn unpack(packed: &[u8], limit: usize) -> Result<Bytes> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    let mut plain = Vec::new();
    let read = GzDecoder::new(packed).take(most + 1).read_to_end(&mut plain);
    read.map_err(|_| Error::invalid("request", "is not valid gzip"))?;
    if plain.len() > limit { Err(Error::TooLarge { limit }) } else { Ok(plain.into()) }
}

fn frame(message: &[u8]) -> Body {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("within the limit"));
    framed.put_slice(message);
    Body::new(Full::new(framed.freeze()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn framed(flag: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[flag], length.as_slice(), payload].concat()
    }

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(plain).unwrap();
        framed(1, &gzip.finish().unwrap())
    }

    async fn check(encoding: Option<&str>, body: Vec<u8>, expected: Result<&[u8], &str>) {
        let mut headers = HeaderMap::new();
        if let Some(encoding) = encoding {
            headers.insert(ENCODING, encoding.parse().unwrap());
        }
        let shown = format!("{encoding:?} {:?}", &body[..body.len().min(20)]);
        match (read(&mut headers, Body::new(Full::new(Bytes::from(body))), 1000).await, expected) {
            (Ok((message, body)), Ok(expected)) => {
                assert_eq!(message, expected, "{shown}");
                assert_eq!(body.collect().await.unwrap().to_bytes(), framed(0, expected), "{shown}");
            }
            (Err(error), Err(reason)) => assert_eq!(error.reason(), reason, "{shown}"),
            (found, _) => panic!("{shown}: {:?}", found.map(|(message, _)| message)),
        }
    }

    #[tokio::test]
    async fn one_message_of_bounded_size() {
        let full = [7; 1000];
        check(None, framed(0, b"abc"), Ok(b"abc")).await;
        check(None, framed(0, b""), Ok(b"")).await;
        check(None, framed(0, &full), Ok(&full)).await;
        check(None, framed(0, &[7; 1001]), Err("REQUEST_TOO_LARGE")).await;
        for wrong in [vec![], vec![0, 0, 0], framed(2, b"x"), [framed(0, b"x"), framed(0, b"y")].concat()] {
            check(None, wrong, Err("INVALID_FIELD")).await;
        }
        let mut short = framed(0, b"abc");
        short.pop();
        check(None, short, Err("INVALID_FIELD")).await;
    }

    #[tokio::test]
    async fn a_packed_message_is_unpacked_and_counted_unpacked() {
        check(Some("gzip"), packed(&[7; 1000]), Ok(&[7; 1000])).await;
        check(Some("gzip"), packed(&[7; 1001]), Err("REQUEST_TOO_LARGE")).await;
        check(Some("gzip"), packed(&[0; 500_000]), Err("REQUEST_TOO_LARGE")).await;
        check(Some("gzip"), framed(1, b"not gzip"), Err("INVALID_FIELD")).await;
        check(Some("br"), packed(b"x"), Err("INVALID_FIELD")).await;
        check(None, packed(b"x"), Err("INVALID_FIELD")).await;
        // Allowed by the protocol: an encoding is named, the message is plain.
        check(Some("gzip"), framed(0, b"abc"), Ok(b"abc")).await;
    }
}
