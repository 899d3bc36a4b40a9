//! The protobuf wire format: the few primitives the codec reads and writes.

use super::plan::Kind;

/// A value as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Raw<'w> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'w [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// Wire bytes that are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const FIXED32: u8 = 5;

/// The wire type of a kind.
pub(super) fn wire_type(kind: Kind) -> u8 {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => FIXED64,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => FIXED32,
        Kind::String | Kind::Bytes | Kind::Message(_) => BYTES,
        _ => VARINT,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low seven bits are what is wanted")]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_key(out: &mut Vec<u8>, number: u32, wire_type: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire_type));
}

pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_key(out, number, BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Opens a length-delimited field; [`close`] with the answer writes its length.
pub(super) fn open(out: &mut Vec<u8>, number: u32) -> usize {
    put_key(out, number, BYTES);
    out.push(0);
    out.len()
}

/// Writes the length of what was appended since `start`, making room when it needs more than one byte.
#[expect(clippy::cast_possible_truncation, reason = "checked to be below 0x80")]
pub(super) fn close(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start;
    if length < 0x80 {
        out[start - 1] = length as u8;
        return;
    }
    let mut prefix = Vec::with_capacity(5);
    put_varint(&mut prefix, length as u64);
    out.splice(start - 1..start, prefix);
}

/// Reads one varint from the front of `wire`.
pub(super) fn take_varint(wire: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = wire.split_first().ok_or(Malformed)?;
        *wire = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

/// Reads one value of a wire type from the front of `wire`.
pub(super) fn take<'w>(wire: &mut &'w [u8], wire_type: u8) -> Result<Raw<'w>, Malformed> {
    match wire_type {
        VARINT => take_varint(wire).map(Raw::Varint),
        FIXED64 => {
            let (bytes, rest) = wire.split_first_chunk().ok_or(Malformed)?;
            *wire = rest;
            Ok(Raw::Fixed64(u64::from_le_bytes(*bytes)))
        }
        BYTES => {
            let length = usize::try_from(take_varint(wire)?).map_err(|_| Malformed)?;
            let (bytes, rest) = wire.split_at_checked(length).ok_or(Malformed)?;
            *wire = rest;
            Ok(Raw::Bytes(bytes))
        }
        FIXED32 => {
            let (bytes, rest) = wire.split_first_chunk().ok_or(Malformed)?;
            *wire = rest;
            Ok(Raw::Fixed32(u32::from_le_bytes(*bytes)))
        }
        _ => Err(Malformed),
    }
}

/// Reads one field, number and value, from the front of `wire`; `None` at its end.
pub(super) fn take_field<'w>(wire: &mut &'w [u8]) -> Result<Option<(u32, Raw<'w>)>, Malformed> {
    if wire.is_empty() {
        return Ok(None);
    }
    let key = take_varint(wire)?;
    let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
    let value = take(wire, u8::try_from(key & 7).map_err(|_| Malformed)?)?;
    Ok(Some((number, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_field_moves_its_content_to_make_room_for_its_length() {
        for length in [0, 1, 127, 128, 20_000] {
            let mut out = Vec::new();
            let start = open(&mut out, 3);
            out.extend(std::iter::repeat_n(7, length));
            close(&mut out, start);
            let mut wire = out.as_slice();
            assert_eq!(take_field(&mut wire), Ok(Some((3, Raw::Bytes(&vec![7; length])))));
            assert_eq!(take_field(&mut wire), Ok(None));
        }
    }

    #[test]
    fn truncated_bytes_are_malformed() {
        for wire in [&[0x0a, 5, 1][..], &[0x80], &[0x09, 1], &[0x0b], &[0xff; 11]] {
            assert_eq!(take_field(&mut &*wire), Err(Malformed));
        }
    }
}
