//! Wire to ProtoJSON: names in lowerCamelCase, defaults of fields without presence written out, map keys sorted.

mod known;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::codec::Undecodable;
use super::plan::{Field, Form, Kind, Message, Plan, Shape};
use super::wire::{self, Malformed, Raw};

/// Our own handlers nest no deeper than prost can read.
const MAX_DEPTH: usize = 200;

impl From<Malformed> for Undecodable {
    fn from(_: Malformed) -> Self {
        Self("malformed protobuf")
    }
}

/// Writes messages as JSON.
pub(super) struct Writer<'p, 'o> {
    plan: &'p Plan,
    out: &'o mut Vec<u8>,
    depth: usize,
}

/// The values of one message, in order of field, then of appearance.
type Values<'w> = Vec<(usize, Raw<'w>)>;

impl<'p, 'o> Writer<'p, 'o> {
    pub(super) fn new(plan: &'p Plan, out: &'o mut Vec<u8>) -> Self {
        Self { plan, out, depth: 0 }
    }

    /// Writes a message.
    pub(super) fn message(&mut self, message: &Message, wire: &[u8]) -> Result<(), Undecodable> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Undecodable("nested too deeply"));
        }
        match message.shape {
            Shape::Fields | Shape::Empty => {
                self.out.push(b'{');
                self.members(message, wire, true)?;
                self.out.push(b'}');
            }
            _ => self.known(message, wire)?,
        }
        self.depth -= 1;
        Ok(())
    }

    /// Writes one field's value alone; `null` when it is unset.
    pub(super) fn only(&mut self, message: &Message, index: usize, wire: &[u8]) -> Result<(), Undecodable> {
        let values = scan(message, wire)?;
        let own: Vec<_> = values.into_iter().filter(|(found, _)| *found == index).collect();
        let field = &message.fields[index];
        if own.is_empty() && field.form == Form::Optional {
            self.out.extend_from_slice(b"null");
            return Ok(());
        }
        self.field(field, &own)
    }

    fn members(&mut self, message: &Message, wire: &[u8], mut first: bool) -> Result<(), Undecodable> {
        let values = scan(message, wire)?;
        let mut rest = values.as_slice();
        for (index, field) in message.fields.iter().enumerate() {
            let count = rest.iter().take_while(|(found, _)| *found == index).count();
            let (own, others) = rest.split_at(count);
            rest = others;
            if own.is_empty() && field.form == Form::Optional {
                continue;
            }
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(field.key.as_bytes());
            self.field(field, own)?;
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, values: &[(usize, Raw<'_>)]) -> Result<(), Undecodable> {
        match field.form {
            Form::List => self.list(field, values),
            Form::Map => self.map(field, values),
            Form::Implicit | Form::Optional => match (field.kind, values) {
                (Kind::Message(index), [_, _, ..]) => {
                    // A message sent in pieces is their concatenation.
                    let pieces: Vec<&[u8]> =
                        values.iter().map(|(_, raw)| bytes(*raw)).collect::<Result<_, _>>()?;
                    self.message(self.plan.message(index), &pieces.concat())
                }
                (kind, [.., (_, raw)]) => self.value(kind, *raw),
                (kind, []) => self.value(kind, default(kind)),
            },
        }
    }

    fn list(&mut self, field: &Field, values: &[(usize, Raw<'_>)]) -> Result<(), Undecodable> {
        self.out.push(b'[');
        let mut first = true;
        let wire_type = wire::wire_type(field.kind);
        for (_, raw) in values {
            match raw {
                Raw::Bytes(packed) if wire_type != wire::BYTES => {
                    let mut packed = *packed;
                    while !packed.is_empty() {
                        let item = wire::take(&mut packed, wire_type)?;
                        self.item(&mut first, field.kind, item)?;
                    }
                }
                raw => self.item(&mut first, field.kind, *raw)?,
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn item(&mut self, first: &mut bool, kind: Kind, raw: Raw<'_>) -> Result<(), Undecodable> {
        if !std::mem::take(first) {
            self.out.push(b',');
        }
        self.value(kind, raw)
    }

    fn map(&mut self, field: &Field, values: &[(usize, Raw<'_>)]) -> Result<(), Undecodable> {
        let Kind::Message(index) = field.kind else { return Err(Undecodable("a map without entries")) };
        let entry = self.plan.message(index);
        let mut entries = Vec::with_capacity(values.len());
        for (_, raw) in values {
            let parts = scan(entry, bytes(*raw)?)?;
            let part = |index: usize| parts.iter().rfind(|(found, _)| *found == index).map(|(_, raw)| *raw);
            let mut key = Vec::new();
            Writer::new(self.plan, &mut key).map_key(entry.fields[0].kind, part(0))?;
            entries.push((key, part(1)));
        }
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        // The last of equal keys stands; the sort kept their order.
        entries.reverse();
        entries.dedup_by(|(a, _), (b, _)| a == b);
        entries.reverse();
        self.out.push(b'{');
        for (at, (key, value)) in entries.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(key);
            self.out.push(b':');
            let kind = entry.fields[1].kind;
            self.value(kind, value.unwrap_or(default(kind)))?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn map_key(&mut self, kind: Kind, raw: Option<Raw<'_>>) -> Result<(), Undecodable> {
        let raw = raw.unwrap_or(default(kind));
        match kind {
            Kind::String | Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
                self.value(kind, raw)
            }
            _ => {
                self.out.push(b'"');
                self.value(kind, raw)?;
                self.out.push(b'"');
                Ok(())
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "protobuf truncates 32-bit varints")]
    fn value(&mut self, kind: Kind, raw: Raw<'_>) -> Result<(), Undecodable> {
        match (kind, raw) {
            (Kind::Double, Raw::Fixed64(bits)) => self.float(f64::from_bits(bits)),
            (Kind::Float, Raw::Fixed32(bits)) => match f32::from_bits(bits) {
                // Written as a double it would show digits it does not have.
                single if single.is_finite() && (single.fract() != 0.0 || single.abs() > 16_777_216.0) => {
                    self.json(&single);
                }
                single => self.float(single.into()),
            },
            (Kind::Int32, Raw::Varint(bits)) => self.json(&(bits as u32 as i32)),
            (Kind::Sint32, Raw::Varint(bits)) => self.json(&(unzigzag(bits) as i32)),
            (Kind::Sfixed32, Raw::Fixed32(bits)) => self.json(&bits.cast_signed()),
            (Kind::Uint32, Raw::Varint(bits)) => self.json(&(bits as u32)),
            (Kind::Fixed32, Raw::Fixed32(bits)) => self.json(&bits),
            (Kind::Int64, Raw::Varint(bits)) | (Kind::Sfixed64, Raw::Fixed64(bits)) => {
                self.number(bits.cast_signed());
            }
            (Kind::Sint64, Raw::Varint(bits)) => self.number(unzigzag(bits)),
            (Kind::Uint64, Raw::Varint(bits)) | (Kind::Fixed64, Raw::Fixed64(bits)) => self.number(bits),
            (Kind::Bool, Raw::Varint(bits)) => self.json(&(bits != 0)),
            (Kind::Enum(index), Raw::Varint(bits)) => self.enumeration(index, bits as u32 as i32),
            (Kind::String, Raw::Bytes(text)) => {
                let text =
                    std::str::from_utf8(text).map_err(|_| Undecodable("a string that is not UTF-8"))?;
                self.json(text);
            }
            (Kind::Bytes, Raw::Bytes(bytes)) => self.base64(bytes),
            (Kind::Message(index), Raw::Bytes(wire)) => self.message(self.plan.message(index), wire)?,
            _ => return Err(Undecodable("a field of another wire type")),
        }
        Ok(())
    }

    fn enumeration(&mut self, index: usize, number: i32) {
        let descriptor = self.plan.enumeration(index);
        match descriptor.names.get(&number) {
            _ if descriptor.is_null => self.out.extend_from_slice(b"null"),
            Some(name) => self.quoted(name),
            None => self.json(&number),
        }
    }

    /// Whole numbers lose the `.0` that serde_json would write, as other ProtoJSON writers do.
    #[expect(clippy::cast_possible_truncation, reason = "below 2^53 and whole")]
    fn float(&mut self, value: f64) {
        match value {
            v if v.is_nan() => self.quoted("NaN"),
            f64::INFINITY => self.quoted("Infinity"),
            f64::NEG_INFINITY => self.quoted("-Infinity"),
            v if is_short(v) => self.json(&(v as i64)),
            v => self.json(&v),
        }
    }

    fn base64(&mut self, bytes: &[u8]) {
        let text = BASE64_STANDARD.encode(bytes);
        self.quoted(&text);
    }

    /// Writes text that needs no escapes.
    fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    /// Writes a number that JavaScript would not hold exactly.
    fn number(&mut self, value: impl serde::Serialize) {
        self.out.push(b'"');
        self.json(&value);
        self.out.push(b'"');
    }

    fn json(&mut self, value: &(impl serde::Serialize + ?Sized)) {
        serde_json::to_writer(&mut *self.out, value)
            .expect("a string, a truth or a finite number serialises into a Vec");
    }
}

/// True for a number best written as an integer; a negative zero would lose its sign.
fn is_short(value: f64) -> bool {
    value.fract() == 0.0 && value.abs() < 9e15 && (value != 0.0 || value.is_sign_positive())
}

/// Collects the known fields of a message in order; of a oneof only the last one sent.
fn scan<'w>(message: &Message, mut wire: &'w [u8]) -> Result<Values<'w>, Malformed> {
    let mut values = Vec::with_capacity(message.fields.len());
    let mut chosen = vec![usize::MAX; message.oneofs];
    while let Some((number, raw)) = wire::take_field(&mut wire)? {
        let Some(index) = message.numbered(number) else { continue };
        if let Some(oneof) = message.fields[index].oneof {
            chosen[oneof] = index;
        }
        values.push((index, raw));
    }
    values.retain(|(index, _)| message.fields[*index].oneof.is_none_or(|oneof| chosen[oneof] == *index));
    if !values.is_sorted_by_key(|(index, _)| *index) {
        values.sort_by_key(|(index, _)| *index);
    }
    Ok(values)
}

fn bytes(raw: Raw<'_>) -> Result<&[u8], Undecodable> {
    match raw {
        Raw::Bytes(bytes) => Ok(bytes),
        _ => Err(Undecodable("a field of another wire type")),
    }
}

fn default(kind: Kind) -> Raw<'static> {
    match wire::wire_type(kind) {
        wire::VARINT => Raw::Varint(0),
        wire::FIXED64 => Raw::Fixed64(0),
        wire::FIXED32 => Raw::Fixed32(0),
        _ => Raw::Bytes(&[]),
    }
}

fn unzigzag(bits: u64) -> i64 {
    (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed()
}
