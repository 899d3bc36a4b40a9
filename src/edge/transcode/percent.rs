//! Percent-decoding of paths and queries.

use std::borrow::Cow;

const MALFORMED: &str = "a malformed percent escape";

/// Decodes every escape; the result must be UTF-8.
pub(super) fn decode(text: &str) -> Result<String, &'static str> {
    Ok(decode_with(text, |_| false, false)?.into_owned())
}

/// Decodes a value that spans several segments: `%2F` stays as written, or the value could not be split again.
pub(super) fn decode_multi_segment(text: &str) -> Result<String, &'static str> {
    Ok(decode_with(text, |byte| byte == b'/', false)?.into_owned())
}

/// Decodes one path segment for comparison with literals.
pub(super) fn decode_segment(text: &str) -> Result<Cow<'_, str>, &'static str> {
    decode_with(text, |_| false, false)
}

/// Decodes a query key or value, where `+` is a space.
pub(super) fn decode_query(text: &str) -> Result<String, &'static str> {
    Ok(decode_with(text, |_| false, true)?.into_owned())
}

fn decode_with(text: &str, keep: impl Fn(u8) -> bool, plus: bool) -> Result<Cow<'_, str>, &'static str> {
    if !text.bytes().any(|byte| byte == b'%' || (plus && byte == b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'+' if plus => decoded.push(b' '),
            b'%' => {
                let pair = bytes.get(at..at + 2).ok_or(MALFORMED)?;
                let value = hex_pair(pair).ok_or(MALFORMED)?;
                if keep(value) {
                    decoded.push(b'%');
                    decoded.extend_from_slice(pair);
                } else {
                    decoded.push(value);
                }
                at += 2;
            }
            other => decoded.push(other),
        }
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| "text that is not UTF-8")
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(pair[0])? * 16 + digit(pair[1])?)
}
