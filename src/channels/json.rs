//! Reading JSON that others wrote.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::NotParsable;

/// The object in a body, fit for storage: PostgreSQL holds no NUL in a text, and half a surrogate pair
/// (a provider cut a text inside an emoji) must not make us refuse the whole batch for a week.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, NotParsable> {
    let parsed = serde_json::from_slice(body).or_else(|error| match without_half_pairs(body) {
        Cow::Owned(repaired) => serde_json::from_slice(&repaired),
        Cow::Borrowed(_) => Err(error),
    });
    match parsed {
        Ok(Value::Object(mut object)) => {
            strip_members(&mut object);
            Ok(object)
        }
        _ => Err(NotParsable { field: "body", problem: "is not a JSON object" }),
    }
}

/// Takes NUL out of every text.
pub(super) fn strip(value: &mut Value) {
    match value {
        Value::String(text) => text.retain(|c| c != '\0'),
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Object(members) => strip_members(members),
        _ => {}
    }
}

fn strip_members(members: &mut Map<String, Value>) {
    if members.keys().any(|name| name.contains('\0')) {
        let named = std::mem::take(members).into_iter();
        members.extend(named.map(|(name, value)| (name.replace('\0', ""), value)));
    }
    members.values_mut().for_each(strip);
}

/// Writes the replacement character for every escaped surrogate that has no other half.
fn without_half_pairs(body: &[u8]) -> Cow<'_, [u8]> {
    let escape = |at: usize| -> Option<u16> {
        let digits = body.get(at..at + 6)?.strip_prefix(br"\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut repaired = Cow::Borrowed(body);
    let mut at = 0;
    while at < body.len() {
        let half = match escape(at) {
            Some(0xd800..=0xdbff) => {
                let whole = matches!(escape(at + 6), Some(0xdc00..=0xdfff));
                at += if whole { 12 } else { 0 };
                !whole
            }
            Some(0xdc00..=0xdfff) => true,
            _ => {
                // An escaped backslash hides what follows it.
                at += if body[at] == b'\\' { 2 } else { 1 };
                false
            }
        };
        if half {
            repaired.to_mut()[at..at + 6].copy_from_slice(br"\ufffd");
            at += 6;
        }
    }
    repaired
}

/// A dedupe key for an item that has no id: the same bytes are the same item.
pub(super) fn hash_key(item: &Value) -> String {
    format!("raw:{}", hex::encode(Sha256::digest(item.to_string())))
}

/// A member that is a text and not empty.
pub(super) fn text(value: &Value, member: &str) -> Option<String> {
    value.get(member).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The items of a member that is a list.
pub(super) fn items<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Unix seconds, as a number or as a text of one.
pub(super) fn unix_time(value: Option<&Value>) -> Option<DateTime<Utc>> {
    let value = value?;
    let seconds = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
    DateTime::from_timestamp(seconds, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> String {
        object(body.as_bytes()).unwrap()["t"].as_str().unwrap().to_owned()
    }

    #[test]
    fn texts_are_made_fit_for_storage() {
        assert_eq!(read(r#"{"t":"a\u0000b"}"#), "ab");
        assert_eq!(read(r#"{"\u0000t":"in a name"}"#), "in a name");
        assert_eq!(object(br#"{"t":[{"a\u0000":1}]}"#).unwrap()["t"], serde_json::json!([{"a": 1}]));
        assert_eq!(read(r#"{"t":"\ud83d\ude00"}"#), "😀");
        assert_eq!(read(r#"{"t":"cut \ud83d"}"#), "cut \u{fffd}");
        assert_eq!(read(r#"{"t":"\ude00\ud83d\ude00\\ud83d"}"#), "\u{fffd}😀\\ud83d");
    }

    #[test]
    fn only_objects_are_read() {
        for body in ["", "null", "[]", "3", "\"x\"", "{", "{\"t\":\"\u{7}\"}", "{}x"] {
            assert!(object(body.as_bytes()).is_err(), "{body}");
        }
        assert!(object(b"{\"t\":\"\xff\"}").is_err());
        assert!(object("[".repeat(100_000).as_bytes()).is_err());
        assert!(object(b"{}").unwrap().is_empty());
    }
}
