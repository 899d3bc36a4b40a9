//! Single values: text and numbers to wire bytes.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::plan::{Kind, Plan};
use super::wire;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// A JSON number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

/// Where a text comes from: JSON strings never hold booleans or enum numbers, paths and queries do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Json,
    Url,
}

/// What a value of `kind` looks like, for messages to people.
pub(super) fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Double | Kind::Float => "expected a number",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "expected a 32-bit integer",
        Kind::Uint32 | Kind::Fixed32 => "expected an unsigned 32-bit integer",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "expected a 64-bit integer",
        Kind::Uint64 | Kind::Fixed64 => "expected an unsigned 64-bit integer",
        Kind::Bool => "expected true or false",
        Kind::String => "expected a string",
        Kind::Bytes => "expected base64 text",
        Kind::Enum(_) => "expected the name of an enum value",
        Kind::Message(_) => "expected an object",
    }
}

/// Writes a number as the value of field `number`.
pub(super) fn put_number(
    kind: Kind,
    number: u32,
    value: Number,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let bits = match kind {
        Kind::Double => f64_of(value).to_bits(),
        Kind::Float => u64::from(f32_of(f64_of(value))?.to_bits()),
        Kind::String | Kind::Bytes | Kind::Bool | Kind::Message(_) => return Err(expected(kind)),
        _ => {
            let integer = integer_of(value).ok_or(expected(kind))?;
            integer_bits(kind, integer).ok_or(expected(kind))?
        }
    };
    put_bits(kind, number, bits, out);
    Ok(())
}

/// Writes a boolean as the value of field `number`.
pub(super) fn put_bool(kind: Kind, number: u32, value: bool, out: &mut Vec<u8>) -> Result<(), &'static str> {
    if kind != Kind::Bool {
        return Err(expected(kind));
    }
    put_bits(kind, number, u64::from(value), out);
    Ok(())
}

/// Writes text as the value of field `number`.
pub(super) fn put_text(
    plan: &Plan,
    kind: Kind,
    number: u32,
    text: &str,
    origin: Origin,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    match kind {
        Kind::String => wire::put_bytes(out, number, text.as_bytes()),
        Kind::Bytes => wire::put_bytes(out, number, &base64_of(text)?),
        Kind::Bool => {
            let value = match text {
                "true" if origin == Origin::Url => true,
                "false" if origin == Origin::Url => false,
                _ => return Err(expected(kind)),
            };
            put_bool(kind, number, value, out)?;
        }
        Kind::Enum(index) => {
            let known = plan.enumeration(index).numbers.get(text).copied();
            let value = known.or_else(|| text.parse().ok().filter(|_| origin == Origin::Url));
            put_bits(kind, number, sign_extend(value.ok_or(expected(kind))?.into()), out);
        }
        Kind::Double | Kind::Float => {
            put_number(kind, number, Number::Float(float_of(text).ok_or(expected(kind))?), out)?;
        }
        Kind::Message(_) => return Err(expected(kind)),
        _ => put_number(kind, number, number_of(text).ok_or(expected(kind))?, out)?,
    }
    Ok(())
}

fn put_bits(kind: Kind, number: u32, bits: u64, out: &mut Vec<u8>) {
    let wire_type = wire::wire_type(kind);
    wire::put_key(out, number, wire_type);
    match wire_type {
        wire::FIXED64 => out.extend_from_slice(&bits.to_le_bytes()),
        wire::FIXED32 => out.extend_from_slice(&bits.to_le_bytes()[..4]),
        _ => wire::put_varint(out, bits),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a double keeps what it can of an integer, as JSON does")]
fn f64_of(value: Number) -> f64 {
    match value {
        Number::Signed(value) => value as f64,
        Number::Unsigned(value) => value as f64,
        Number::Float(value) => value,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest float is wanted, overflow is refused"
)]
fn f32_of(value: f64) -> Result<f32, &'static str> {
    let single = value as f32;
    if single.is_infinite() && value.is_finite() { Err("out of range of a 32-bit float") } else { Ok(single) }
}

#[expect(clippy::cast_possible_truncation, reason = "the value is integral and below 2^64")]
fn integer_of(value: Number) -> Option<i128> {
    match value {
        Number::Signed(value) => Some(value.into()),
        Number::Unsigned(value) => Some(value.into()),
        Number::Float(value) => {
            (value.fract() == 0.0 && value.abs() < 18_446_744_073_709_551_616.0).then_some(value as i128)
        }
    }
}

/// The 64 bits that stand for `integer` in `kind`; `None` when it does not fit.
fn integer_bits(kind: Kind, integer: i128) -> Option<u64> {
    match kind {
        Kind::Int32 | Kind::Enum(_) => i32::try_from(integer).ok().map(|v| sign_extend(v.into())),
        Kind::Sint32 => i32::try_from(integer).ok().map(|v| zigzag(v.into())),
        Kind::Sfixed32 => i32::try_from(integer).ok().map(|v| u64::from(v.cast_unsigned())),
        Kind::Int64 | Kind::Sfixed64 => i64::try_from(integer).ok().map(sign_extend),
        Kind::Sint64 => i64::try_from(integer).ok().map(zigzag),
        Kind::Uint32 | Kind::Fixed32 => u32::try_from(integer).ok().map(u64::from),
        _ => u64::try_from(integer).ok(),
    }
}

pub(super) fn sign_extend(value: i64) -> u64 {
    value.cast_unsigned()
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// A number in the grammar of JSON, integers exact.
fn number_of(text: &str) -> Option<Number> {
    serde_json::from_str::<serde_json::Number>(text)
        .ok()
        .filter(|_| !text.starts_with(char::is_whitespace))?;
    if text.ends_with(char::is_whitespace) {
        return None;
    }
    if let Ok(value) = text.parse() {
        return Some(Number::Signed(value));
    }
    if let Ok(value) = text.parse() {
        return Some(Number::Unsigned(value));
    }
    text.parse().ok().map(Number::Float)
}

fn float_of(text: &str) -> Option<f64> {
    match text {
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ => number_of(text).map(f64_of).filter(|value| value.is_finite()),
    }
}

fn base64_of(text: &str) -> Result<Vec<u8>, &'static str> {
    let engine = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    engine.decode(text).map_err(|_| expected(Kind::Bytes))
}
