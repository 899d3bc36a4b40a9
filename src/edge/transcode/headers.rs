//! What crosses between HTTP headers and gRPC metadata, and what must not.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, header};

const GRPC_TIMEOUT: &str = "grpc-timeout";
const SERVER_TIMEOUT: &str = "x-server-timeout";
const METADATA_PREFIX: &str = "grpc-metadata-";

/// Metadata for the call: the allow-listed headers, as they are or with the prefix `Grpc-Metadata-`. The prefix never
/// reaches a name that carries identity or belongs to the protocol.
pub(super) fn metadata(headers: &HeaderMap, forwarded: &[HeaderName]) -> Result<HeaderMap, String> {
    let mut metadata = HeaderMap::new();
    for name in forwarded.iter().filter(|name| !is_protocol(name)) {
        let prefixed = HeaderName::try_from(format!("{METADATA_PREFIX}{name}")).ok();
        let prefixed = prefixed.filter(|_| !is_identity(name) && !headers.contains_key(name));
        let own = headers.get_all(name).iter();
        let values = own.chain(prefixed.iter().flat_map(|prefixed| headers.get_all(prefixed)));
        for value in values {
            let Ok(text) = value.to_str() else { continue };
            let is_base64 = || STANDARD.decode(text).is_ok() || STANDARD_NO_PAD.decode(text).is_ok();
            if name.as_str().ends_with("-bin") && !is_base64() {
                return Err(format!("the header {name} must be base64"));
            }
            metadata.append(name.clone(), value.clone());
        }
    }
    Ok(metadata)
}

/// Identity comes from the header of that name only.
fn is_identity(name: &HeaderName) -> bool {
    *name == header::AUTHORIZATION || *name == header::COOKIE || *name == header::PROXY_AUTHORIZATION
}

/// Names the edge or the protocol sets itself.
fn is_protocol(name: &HeaderName) -> bool {
    let text = name.as_str();
    text.starts_with("grpc-")
        || matches!(
            text,
            "host"
                | "te"
                | "trailer"
                | "content-type"
                | "content-length"
                | "content-encoding"
                | "accept-encoding"
                | "connection"
                | "keep-alive"
                | "proxy-connection"
                | "transfer-encoding"
                | "upgrade"
                | "expect"
        )
}

/// The time the client gives the call, by `grpc-timeout` or `X-Server-Timeout` (seconds); the shorter of both.
pub(super) fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, String> {
    let text = |name: &'static str| -> Result<Option<&str>, String> {
        headers.get(name).map(|value| value.to_str().map_err(|_| format!("{name} is not text"))).transpose()
    };
    let grpc = text(GRPC_TIMEOUT)?
        .map(|value| {
            grpc_timeout(value).ok_or_else(|| format!("{GRPC_TIMEOUT}: `{value}` is not such as 50m"))
        })
        .transpose()?;
    let server = text(SERVER_TIMEOUT)?
        .map(|value| {
            let seconds = value.parse().ok().filter(|seconds: &f64| *seconds > 0.0);
            let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            duration.ok_or_else(|| format!("X-Server-Timeout: `{value}` is not a positive number of seconds"))
        })
        .transpose()?;
    Ok(grpc.into_iter().chain(server).min())
}

/// A `grpc-timeout`, such as `50m`: up to eight digits and a unit.
pub fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// `grpc-timeout` for a deadline: whole milliseconds, or seconds where those take more than eight digits.
pub(super) fn timeout_value(deadline: Duration) -> HeaderValue {
    let millis = deadline.as_millis().max(1);
    let text = if millis < 100_000_000 {
        format!("{millis}m")
    } else {
        format!("{}S", deadline.as_secs().min(99_999_999))
    };
    HeaderValue::from_str(&text).expect("digits and a letter are valid header text")
}

/// Moves response metadata into HTTP headers; what frames or belongs to gRPC stays behind.
pub(super) fn merge(from: &HeaderMap, into: &mut HeaderMap) {
    for (name, value) in from {
        let hidden = is_protocol(name) || name.as_str().ends_with("-bin") || *name == header::DATE;
        if !hidden {
            into.append(name.clone(), value.clone());
        }
    }
}

/// True when an `If-None-Match` names the entity tag of this answer.
pub(super) fn is_unmodified(request: &HeaderMap, response: &HeaderMap) -> bool {
    let Some(etag) = response.get(header::ETAG).and_then(|tag| tag.to_str().ok()) else { return false };
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let wanted = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    wanted.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
}

/// True when the request is conditional on an entity tag.
pub(super) fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_NONE_MATCH)
}

/// True when `Accept` is absent or admits `media` (`type/subtype`).
pub(super) fn accepts(headers: &HeaderMap, media: &str) -> bool {
    if !headers.contains_key(header::ACCEPT) {
        return true;
    }
    let kind = media.split_once('/').map_or(media, |(kind, _)| kind);
    ranges(headers).any(|range| range == "*/*" || range == media || range.strip_suffix("/*") == Some(kind))
}

/// True when `Accept` names `media` itself.
pub(super) fn asks_for(headers: &HeaderMap, media: &str) -> bool {
    ranges(headers).any(|range| range == media)
}

fn ranges(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let range = parts.next()?.to_ascii_lowercase();
        let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
        (!refused).then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    /// G14: the prefix cannot set what carries identity or belongs to the protocol.
    #[test]
    fn reserved_names_never_pass_through_the_prefix() {
        let headers = map(&[
            ("grpc-metadata-authorization", "x"),
            ("grpc-metadata-grpc-timeout", "1S"),
            ("grpc-metadata-cookie", "a=b"),
            ("grpc-metadata-other", "x"),
            ("grpc-metadata-foo", "bar"),
            ("te", "trailers"),
        ]);
        let forwarded = ["authorization", "cookie", "grpc-timeout", "foo", "te"].map(HeaderName::from_static);
        assert_eq!(metadata(&headers, &forwarded).unwrap(), map(&[("foo", "bar")]));
    }

    /// G15, G16: binary metadata must be base64; text that is not ASCII is dropped.
    #[test]
    fn binary_metadata_is_checked_and_odd_text_is_dropped() {
        let forwarded = ["x-bin", "foo"].map(HeaderName::from_static);
        assert!(metadata(&map(&[("grpc-metadata-x-bin", "!!")]), &forwarded).is_err());
        assert_eq!(
            metadata(&map(&[("grpc-metadata-x-bin", "AAE")]), &forwarded).unwrap(),
            map(&[("x-bin", "AAE")])
        );
        let mut odd = HeaderMap::new();
        odd.insert("foo", HeaderValue::from_bytes("é".as_bytes()).unwrap());
        assert!(metadata(&odd, &forwarded).unwrap().is_empty());
    }

    /// G18: framing, hop-by-hop, gRPC and binary metadata stay behind.
    #[test]
    fn response_metadata_passes_but_for_protocol_names() {
        let mut http = HeaderMap::new();
        let grpc = map(&[
            ("x-foo", "1"),
            ("x-foo-bin", "AA"),
            ("grpc-status", "0"),
            ("content-length", "9"),
            ("connection", "close"),
        ]);
        merge(&grpc, &mut http);
        assert_eq!(http, map(&[("x-foo", "1")]));
    }

    #[test]
    fn deadlines_take_the_shorter_and_refuse_nonsense() {
        let of = |pairs| deadline(&map(pairs));
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[("grpc-timeout", "50m")]), Ok(Some(Duration::from_millis(50))));
        assert_eq!(
            of(&[("grpc-timeout", "1S"), ("x-server-timeout", "0.25")]),
            Ok(Some(Duration::from_millis(250)))
        );
        for (text, millis) in [("50m", 50), ("2S", 2000), ("1M", 60_000), ("1H", 3_600_000), ("1000u", 1)] {
            assert_eq!(grpc_timeout(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "5", "S", "123456789S", "-1S", "1s", "1.5S", "1é"] {
            assert!(grpc_timeout(bad).is_none(), "{bad}");
        }
        for bad in ["abc", "-1", "0", "NaN", "inf"] {
            let mut headers = HeaderMap::new();
            headers.insert(SERVER_TIMEOUT, HeaderValue::from_static(bad));
            assert!(deadline(&headers).is_err(), "{bad}");
        }
        assert_eq!(timeout_value(Duration::from_secs(1_000_000)), "1000000S");
    }

    #[test]
    fn accept_is_read_by_ranges() {
        let accept = |value| map(&[("accept", value)]);
        assert!(accepts(&HeaderMap::new(), "application/json"));
        for value in ["*/*", "application/*", "text/html, application/JSON;q=0.1", "text/html,*/*;q=0.8"] {
            assert!(accepts(&accept(value), "application/json"), "{value}");
        }
        for value in ["text/html", "application/json;q=0", "text/*"] {
            assert!(!accepts(&accept(value), "application/json"), "{value}");
        }
    }

    #[test]
    fn entity_tags_compare_weakly() {
        let response = map(&[("etag", "\"abc\"")]);
        for wanted in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*"] {
            assert!(is_unmodified(&map(&[("if-none-match", wanted)]), &response), "{wanted}");
        }
        assert!(!is_unmodified(&map(&[("if-none-match", "\"x\"")]), &response));
        assert!(!is_unmodified(&map(&[("if-none-match", "*")]), &HeaderMap::new()));
    }
}
