//! `google.protobuf.Any`: an object whose `@type` says how to read the rest.

use std::fmt;

use serde::de::value::MapDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Reader, ValueSeed};
use crate::edge::transcode::plan::Shape;
use crate::edge::transcode::wire;

/// The members of an object, kept until `@type` is known.
type Members = Vec<(String, Box<RawValue>)>;

/// Reads an Any as the value of field `number`; `false` when it was null.
pub(super) fn read<'de, D: Deserializer<'de>>(
    reader: &mut Reader<'_, '_>,
    number: u32,
    json: D,
) -> Result<bool, D::Error> {
    let Some(members) = json.deserialize_any(Collect)? else { return Ok(false) };
    let start = reader.open(number)?;
    content(reader, &members)?;
    reader.close(start);
    Ok(true)
}

fn content<E: Error>(reader: &mut Reader<'_, '_>, members: &Members) -> Result<(), E> {
    let mut types = members.iter().filter(|(name, _)| name == "@type");
    let Some((_, url)) = types.next() else {
        return if members.is_empty() { Ok(()) } else { Err(reader.fail("expected @type")) };
    };
    if types.next().is_some() {
        return Err(reader.fail("@type given twice"));
    }
    let url: String = serde_json::from_str(url.get()).map_err(|_| reader.fail("@type must be a string"))?;
    let message = url.rsplit_once('/').and_then(|(_, name)| reader.plan.named(name));
    let Some(message) = message else { return Err(reader.fail(format!("the type `{url}` is unknown here"))) };
    wire::put_bytes(reader.out, 1, url.as_bytes());
    if message.shape == Shape::Fields {
        let start = reader.open(2)?;
        let rest = members.iter().filter(|(name, _)| name != "@type");
        let rest =
            MapDeserializer::<_, serde_json::Error>::new(rest.map(|(name, raw)| (name.as_str(), &**raw)));
        reader.fields(message, rest).map_err(|error| reader.fail(error.to_string()))?;
        reader.close(start);
        return Ok(());
    }
    let mut rest = members.iter().filter(|(name, _)| name != "@type");
    let (Some((name, raw)), None) = (rest.next(), rest.next()) else {
        return Err(reader.fail("expected @type and value"));
    };
    if name != "value" {
        return Err(reader.fail("expected @type and value"));
    }
    // The value of a well-known type, written as field 2, is exactly the bytes Any holds.
    let mut json = serde_json::Deserializer::from_str(raw.get());
    let field = &message.itself;
    let start = reader.out.len();
    ValueSeed { reader: &mut *reader, field, element: true }
        .deserialize(&mut json)
        .map_err(|error| reader.fail(error.to_string()))?;
    reader.out[start] = 2 << 3 | wire::BYTES;
    Ok(())
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Option<Members>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with @type")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Some(members))
    }
}
