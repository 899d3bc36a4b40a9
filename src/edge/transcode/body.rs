//! Request bodies: read within a limit, decompressed; response bodies: compressed.

use std::io::{Read, Write};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, header};
use http_body::Body;
use http_body_util::BodyExt as _;

use super::failure::Failure;

/// Smaller answers are not worth compressing.
const WORTH_COMPRESSING: usize = 1024;
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of an oversized body is read and thrown away, so that the client gets to read the refusal.
const DRAIN_BYTES: usize = 32 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Reads a body of at most `limit` bytes.
pub(super) async fn read<B>(
    body: B,
    headers: &HeaderMap,
    limit: usize,
    domain: &str,
) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Send,
{
    let whole = tokio::time::timeout(PATIENCE, collect(body, headers, limit, domain)).await;
    whole.unwrap_or_else(|_| Err(Failure::too_slow(domain)))
}

async fn collect<B>(body: B, headers: &HeaderMap, limit: usize, domain: &str) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Send,
{
    let mut body = std::pin::pin!(body);
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let too_large = || Failure::too_large(domain, limit);
    if declared.is_some_and(|length| length > limit as u64) && headers.contains_key(header::EXPECT) {
        return Err(too_large());
    }
    let mut collected = BytesMut::new();
    let mut single = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::malformed(domain, "the body ended early"))?;
        let Ok(data) = frame.into_data() else { continue };
        if collected.len() + single.as_ref().map_or(0, Bytes::len) + data.len() > limit {
            drain(body, data.len()).await;
            return Err(too_large());
        }
        match single.take() {
            None if collected.is_empty() => single = Some(data),
            first => {
                collected.extend_from_slice(&first.unwrap_or_default());
                collected.extend_from_slice(&data);
            }
        }
    }
    Ok(single.unwrap_or_else(|| collected.freeze()))
}

async fn drain<B: Body<Data = Bytes>>(mut body: std::pin::Pin<&mut B>, read: usize) {
    let rest = async {
        let mut drained = read;
        while let Some(Ok(frame)) = body.frame().await {
            drained += frame.data_ref().map_or(0, Bytes::len);
            if drained > DRAIN_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, rest).await;
}

/// Undoes `Content-Encoding`, within the same limit.
pub(super) fn decompress(
    body: Bytes,
    headers: &HeaderMap,
    limit: usize,
    domain: &str,
) -> Result<Bytes, Failure> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase());
    match encoding.as_deref() {
        None | Some(b"identity") => Ok(body),
        Some(b"gzip" | b"x-gzip") => {
            let mut plain = Vec::new();
            let outcome = MultiGzDecoder::new(body.as_ref()).take(limit as u64 + 1).read_to_end(&mut plain);
            match outcome {
                Err(_) => Err(Failure::malformed(domain, "the body is not gzip")),
                Ok(length) if length > limit => Err(Failure::too_large(domain, limit)),
                Ok(_) => Ok(plain.into()),
            }
        }
        Some(_) => Err(Failure::unsupported(domain, "Content-Encoding must be gzip or identity")),
    }
}

/// Compresses an answer if the client takes gzip and it is worth it, and says so in `headers`.
pub fn compress(body: Bytes, request: &HeaderMap, headers: &mut HeaderMap) -> Bytes {
    if body.len() < WORTH_COMPRESSING || headers.contains_key(header::CONTENT_ENCODING) {
        return body;
    }
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let accepted = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let takes_gzip = accepted.flat_map(|value| value.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let gzip = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case("gzip"));
        gzip && !parts.any(|part| part == "q=0")
    });
    if !takes_gzip {
        return body;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let compressed = encoder.write_all(&body).and_then(|()| encoder.finish());
    match compressed {
        Ok(compressed) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            compressed.into()
        }
        Err(_) => body,
    }
}
