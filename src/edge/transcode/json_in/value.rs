//! One JSON value as the value of a field, by the field's kind.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Reader, Step, any, is_single, takes_null};
use crate::edge::transcode::plan::{Field, Form, Kind, Message, Shape};
use crate::edge::transcode::scalar::{self, Number, Origin};
use crate::edge::transcode::{known, wire};

/// Reads the value of `field`, or one `element` of it when it is a list or map. Answers whether it was set.
pub(super) struct ValueSeed<'r, 'p, 'o> {
    pub(super) reader: &'r mut Reader<'p, 'o>,
    pub(super) field: &'p Field,
    pub(super) element: bool,
}

impl<'p> ValueSeed<'_, 'p, '_> {
    fn shape(&self) -> Option<(&'p Message, Shape)> {
        match self.field.kind {
            Kind::Message(index) => {
                let message = self.reader.plan.message(index);
                Some((message, message.shape))
            }
            _ => None,
        }
    }

    fn mismatch<E: Error>(self) -> E {
        let problem = match (self.field.form, self.shape()) {
            (Form::List, _) if !self.element => "expected a list",
            (Form::Map, _) if !self.element => "expected an object",
            (_, Some((_, Shape::Timestamp))) => "expected an RFC 3339 time",
            (_, Some((_, Shape::Duration))) => "expected seconds with the suffix s, such as 1.5s",
            (_, Some((_, Shape::FieldMask))) => "expected field names separated by commas",
            (_, Some((_, Shape::ListValue))) => "expected a list",
            (_, Some((message, Shape::Wrapper))) => scalar::expected(message.fields[0].kind),
            _ => scalar::expected(self.field.kind),
        };
        self.reader.fail(problem)
    }

    fn number<E: Error>(self, value: Number) -> Result<bool, E> {
        if !is_single(self.field, self.element) {
            return Err(self.mismatch());
        }
        if let Some((message, shape)) = self.shape() {
            return match shape {
                Shape::Wrapper | Shape::Value => {
                    let inner = if shape == Shape::Value { 1 } else { 0 };
                    self.wrapped(message, inner, |seed| seed.number(value))
                }
                _ => Err(self.mismatch()),
            };
        }
        let Self { reader, field, .. } = self;
        scalar::put_number(field.kind, field.number, value, reader.out)
            .map_err(|problem| reader.fail(problem))?;
        Ok(true)
    }

    /// Writes this message with one of its fields set.
    fn wrapped<E: Error>(
        self,
        message: &'p Message,
        inner: usize,
        write: impl FnOnce(ValueSeed<'_, 'p, '_>) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let start = self.reader.open(self.field.number)?;
        write(ValueSeed { reader: self.reader, field: &message.fields[inner], element: true })?;
        self.reader.close(start);
        Ok(true)
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        if let Some((_, Shape::Any)) = self.shape().filter(|_| is_single(self.field, self.element)) {
            return any::read(self.reader, self.field.number, json);
        }
        json.deserialize_any(self)
    }
}

impl<'de, 'p> Visitor<'de> for ValueSeed<'_, 'p, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        if is_single(self.field, self.element) && takes_null(self.reader.plan, self.field.kind) {
            if let Some((message, _)) = self.shape() {
                // Value { null_value: 0 }
                let start = self.reader.open(self.field.number)?;
                wire::put_key(self.reader.out, message.fields[0].number, wire::VARINT);
                wire::put_varint(self.reader.out, 0);
                self.reader.close(start);
            } else {
                wire::put_key(self.reader.out, self.field.number, wire::VARINT);
                wire::put_varint(self.reader.out, 0);
            }
            return Ok(true);
        }
        if self.element { Err(self.reader.fail("null is not allowed here")) } else { Ok(false) }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        if !is_single(self.field, self.element) {
            return Err(self.mismatch());
        }
        match self.shape() {
            Some((message, Shape::Wrapper)) => self.wrapped(message, 0, |seed| seed.visit_bool(value)),
            Some((message, Shape::Value)) => self.wrapped(message, 3, |seed| seed.visit_bool(value)),
            Some(_) => Err(self.mismatch()),
            None => {
                let Self { reader, field, .. } = self;
                scalar::put_bool(field.kind, field.number, value, reader.out)
                    .map_err(|problem| reader.fail(problem))?;
                Ok(true)
            }
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        self.number(Number::Signed(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        self.number(Number::Unsigned(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
        self.number(Number::Float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        if !is_single(self.field, self.element) {
            return Err(self.mismatch());
        }
        match self.shape() {
            None => {
                let Self { reader, field, .. } = self;
                scalar::put_text(reader.plan, field.kind, field.number, text, Origin::Json, reader.out)
                    .map_err(|problem| reader.fail(problem))?;
                Ok(true)
            }
            Some((message, Shape::Wrapper)) => self.wrapped(message, 0, |seed| seed.visit_str(text)),
            Some((message, Shape::Value)) => self.wrapped(message, 2, |seed| seed.visit_str(text)),
            Some((_, shape @ (Shape::Timestamp | Shape::Duration | Shape::FieldMask))) => {
                let start = self.reader.open(self.field.number)?;
                put_known(shape, text, false, self.reader.out)
                    .map_err(|problem| self.reader.fail(problem))?;
                self.reader.close(start);
                Ok(true)
            }
            Some(_) => Err(self.mismatch()),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        if is_single(self.field, self.element) {
            return match self.shape() {
                Some((message, Shape::Value)) => self.wrapped(message, 5, |seed| seed.visit_seq(items)),
                Some((message, Shape::ListValue)) => {
                    let start = self.reader.open(self.field.number)?;
                    let values = &message.fields[0];
                    ValueSeed { reader: self.reader, field: values, element: false }.visit_seq(items)?;
                    self.reader.close(start);
                    Ok(true)
                }
                _ => Err(self.mismatch()),
            };
        }
        if self.field.form != Form::List {
            return Err(self.mismatch());
        }
        for index in 0.. {
            self.reader.path.push(Step::Index(index));
            let seed = ValueSeed { reader: &mut *self.reader, field: self.field, element: true };
            let item = items.next_element_seed(seed)?;
            self.reader.path.pop();
            if item.is_none() {
                break;
            }
        }
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        if !is_single(self.field, self.element) {
            return if self.field.form == Form::Map { self.entries(map) } else { Err(self.mismatch()) };
        }
        let Some((message, shape)) = self.shape() else { return Err(self.mismatch()) };
        match shape {
            Shape::Value => self.wrapped(message, 4, |seed| seed.visit_map(map)),
            Shape::Struct => {
                let start = self.reader.open(self.field.number)?;
                let fields = &message.fields[0];
                ValueSeed { reader: self.reader, field: fields, element: false }.entries(map)?;
                self.reader.close(start);
                Ok(true)
            }
            Shape::Fields | Shape::Empty => {
                let start = self.reader.open(self.field.number)?;
                self.reader.fields(message, map)?;
                self.reader.close(start);
                Ok(true)
            }
            _ => Err(self.mismatch()),
        }
    }
}

impl<'p> ValueSeed<'_, 'p, '_> {
    /// Reads an object as the entries of a map field.
    fn entries<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let Some((entry, _)) = self.shape() else { return Err(self.mismatch()) };
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            self.reader.path.push(Step::Key(key.clone().into_owned()));
            let start = self.reader.open(self.field.number)?;
            self.reader.map_key(&entry.fields[0], &key)?;
            if !seen.insert(key.into_owned()) {
                return Err(self.reader.fail("given twice"));
            }
            map.next_value_seed(ValueSeed {
                reader: &mut *self.reader,
                field: &entry.fields[1],
                element: true,
            })?;
            self.reader.close(start);
            self.reader.path.pop();
        }
        Ok(true)
    }
}

/// Writes the fields of a Timestamp, Duration or FieldMask. `snake` admits proto names in a mask.
pub(in crate::edge::transcode) fn put_known(
    shape: Shape,
    text: &str,
    snake: bool,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let (seconds, nanos) = match shape {
        Shape::FieldMask => {
            for path in known::parse_mask(text, snake)? {
                wire::put_bytes(out, 1, path.as_bytes());
            }
            return Ok(());
        }
        Shape::Timestamp => known::parse_timestamp(text)?,
        _ => known::parse_duration(text)?,
    };
    wire::put_key(out, 1, wire::VARINT);
    wire::put_varint(out, scalar::sign_extend(seconds));
    wire::put_key(out, 2, wire::VARINT);
    wire::put_varint(out, scalar::sign_extend(nanos.into()));
    Ok(())
}

/// The object of a request message itself.
pub(super) struct ObjectVisitor<'r, 'p, 'o> {
    pub(super) reader: &'r mut Reader<'p, 'o>,
    pub(super) message: &'p Message,
}

impl<'de> Visitor<'de> for ObjectVisitor<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.reader.fields(self.message, map)
    }
}

/// The name of a field, as its index; the name itself when it is unknown.
pub(super) struct Name<'p>(pub(super) &'p Message);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Result<usize, String>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Result<usize, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.names.get(name).copied().ok_or_else(|| name.to_owned()))
    }
}
