//! The well-known types whose JSON is a string: Timestamp, Duration, FieldMask.

use chrono::{DateTime, Datelike, Timelike};

/// Seconds and nanoseconds as a Timestamp or Duration holds them.
pub(super) type Instant = (i64, i32);

const MAX_DURATION_SECONDS: i64 = 315_576_000_000;
const NANOS_PER_SECOND: i32 = 1_000_000_000;

/// Reads an RFC 3339 time of the years 1 to 9999, at most nine fractional digits, `T` and `Z` in upper case.
pub(super) fn parse_timestamp(text: &str) -> Result<Instant, &'static str> {
    const PROBLEM: &str = "expected an RFC 3339 time such as 2026-03-01T12:00:00Z";
    let bytes = text.as_bytes();
    let fraction = text.find('.').map_or("", |at| &text[at + 1..]);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    if bytes.get(10) != Some(&b'T')
        || text.contains(['z', ' '])
        || digits > 9
        || bytes.get(17..19) == Some(b"60")
    {
        return Err(PROBLEM);
    }
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| PROBLEM)?.to_utc();
    if !(1..=9999).contains(&time.year()) {
        return Err("the year must be 1 to 9999");
    }
    i32::try_from(time.nanosecond()).map(|nanos| (time.timestamp(), nanos)).map_err(|_| PROBLEM)
}

/// Writes a time with 0, 3, 6 or 9 fractional digits; `None` outside the years 1 to 9999.
pub(super) fn format_timestamp((seconds, nanos): Instant) -> Option<String> {
    let seconds = seconds.checked_add(i64::from(nanos.div_euclid(NANOS_PER_SECOND)))?;
    let nanos = u32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).ok()?;
    let time = DateTime::from_timestamp(seconds, nanos)?;
    if !(1..=9999).contains(&time.year()) {
        return None;
    }
    // A page of messages has hundreds of times: the formatter of the standard library takes ten times as long.
    let mut text = *b"0000-00-00T00:00:00";
    put(&mut text[..4], time.year().unsigned_abs());
    let parts = [time.month(), time.day(), time.hour(), time.minute(), time.second()];
    for (at, part) in (5..).step_by(3).zip(parts) {
        put(&mut text[at..at + 2], part);
    }
    let mut whole = String::with_capacity(text.len() + ".000000000Z".len());
    whole.push_str(std::str::from_utf8(&text).expect("digits are ASCII"));
    fraction(&mut whole, nanos);
    whole.push('Z');
    Some(whole)
}

/// Writes a number in decimal digits, as many as there is room for.
fn put(room: &mut [u8], mut number: u32) {
    for place in room.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
    }
}

/// Reads `1.5s`: seconds with at most nine fractional digits.
pub(super) fn parse_duration(text: &str) -> Result<Instant, &'static str> {
    const PROBLEM: &str = "expected seconds with the suffix s, such as 1.5s";
    let number = text.strip_suffix('s').ok_or(PROBLEM)?;
    let (sign, digits) = number.strip_prefix('-').map_or((1, number), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 {
        return Err(PROBLEM);
    }
    let seconds: i64 = whole.parse().map_err(|_| "the duration is out of range")?;
    let nanos: i32 = format!("{fraction:0<9}").parse().map_err(|_| PROBLEM)?;
    if seconds > MAX_DURATION_SECONDS {
        return Err("the duration is out of range");
    }
    Ok((sign * seconds, i32::try_from(sign).map_err(|_| PROBLEM)? * nanos))
}

/// Writes a duration with 0, 3, 6 or 9 fractional digits; `None` when it is out of range.
pub(super) fn format_duration((seconds, nanos): Instant) -> Option<String> {
    let total = i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos);
    let seconds = i64::try_from(total.abs() / i128::from(NANOS_PER_SECOND)).ok()?;
    let nanos = u32::try_from(total.abs() % i128::from(NANOS_PER_SECOND)).ok()?;
    if seconds > MAX_DURATION_SECONDS {
        return None;
    }
    let sign = if total < 0 { "-" } else { "" };
    let mut text = format!("{sign}{seconds}");
    fraction(&mut text, nanos);
    text.push('s');
    Some(text)
}

fn fraction(text: &mut String, nanos: u32) {
    let mut digits = *b".000000000";
    put(&mut digits[1..], nanos);
    let length = match nanos {
        0 => 0,
        n if n % 1_000_000 == 0 => 4,
        n if n % 1_000 == 0 => 7,
        _ => 10,
    };
    text.push_str(std::str::from_utf8(&digits[..length]).expect("digits are ASCII"));
}

/// Reads `displayName,sub.a` into proto paths. `snake` also admits proto names, as in a query.
pub(super) fn parse_mask(text: &str, snake: bool) -> Result<Vec<String>, &'static str> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|path| {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '*' || (snake && c == '_');
            if path.is_empty() || !path.chars().all(is_name) {
                return Err("expected lowerCamelCase field names separated by commas");
            }
            let mut proto = String::with_capacity(path.len() + 4);
            for c in path.chars() {
                if c.is_ascii_uppercase() {
                    proto.push('_');
                }
                proto.push(c.to_ascii_lowercase());
            }
            Ok(proto)
        })
        .collect()
}

/// Writes one proto path in lowerCamelCase.
pub(super) fn camel(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut upper = false;
    for c in path.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                text.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip() {
        for (text, out) in [
            ("2026-03-01T13:00:00+01:00", "2026-03-01T12:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500Z"),
        ] {
            assert_eq!(format_timestamp(parse_timestamp(text).unwrap()).unwrap(), out);
        }
        for text in [
            "2026-03-01t12:00:00Z",
            "2026-03-01T12:00:00z",
            "2026-03-01 12:00:00Z",
            "2026-03-01T12:00:00",
            "",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+01:00",
            "2026-03-01T12:00:00.1234567891Z",
            "2016-12-31T23:59:60Z",
        ] {
            assert!(parse_timestamp(text).is_err(), "{text}");
        }
        assert_eq!(format_timestamp((i64::MAX, 0)), None);
        assert_eq!(format_timestamp((0, -1)).unwrap(), "1969-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn durations_round_trip() {
        for (text, out) in
            [("1.5s", "1.500s"), ("-0.5s", "-0.500s"), ("0s", "0s"), ("3.000001s", "3.000001s")]
        {
            assert_eq!(format_duration(parse_duration(text).unwrap()).unwrap(), out);
        }
        for text in ["1.5", "s", "-s", "1.s", ".5s", "+1s", "315576000001s", "1.0000000001s", "1e3s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(format_duration((1, -500_000_000)).unwrap(), "0.500s", "a wrong sign is normalised");
        assert_eq!(format_duration((i64::MAX, 0)), None);
    }
}
