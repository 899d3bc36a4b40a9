//! Well-known types as JSON. What cannot be written faithfully becomes `null`, never a failed response.

use super::{Writer, bytes, scan};
use crate::edge::transcode::codec::Undecodable;
use crate::edge::transcode::known;
use crate::edge::transcode::plan::{Message, Shape};
use crate::edge::transcode::wire::{self, Raw};

impl Writer<'_, '_> {
    pub(super) fn known(&mut self, message: &Message, wire: &[u8]) -> Result<(), Undecodable> {
        match message.shape {
            Shape::Any => return self.any(wire),
            Shape::Struct | Shape::ListValue => {
                let values = scan(message, wire)?;
                return self.field(&message.fields[0], &values);
            }
            Shape::Value => return self.dynamic(message, wire),
            Shape::Wrapper => {
                let values = scan(message, wire)?;
                return self.field(&message.fields[0], &values);
            }
            Shape::FieldMask => {
                let mut paths = Vec::new();
                for (_, raw) in scan(message, wire)? {
                    let path = std::str::from_utf8(bytes(raw)?)
                        .map_err(|_| Undecodable("a path that is not UTF-8"))?;
                    paths.push(known::camel(path));
                }
                self.json(&paths.join(","));
                return Ok(());
            }
            Shape::Fields | Shape::Empty | Shape::Timestamp | Shape::Duration => {}
        }
        let instant = instant(wire)?;
        let text = match message.shape {
            Shape::Timestamp => known::format_timestamp(instant),
            _ => known::format_duration(instant),
        };
        match text {
            Some(text) => self.quoted(&text),
            None => self.out.extend_from_slice(b"null"),
        }
        Ok(())
    }

    fn dynamic(&mut self, message: &Message, wire: &[u8]) -> Result<(), Undecodable> {
        let values = scan(message, wire)?;
        match values.last() {
            Some((1, Raw::Fixed64(bits))) if !f64::from_bits(*bits).is_finite() => {
                self.out.extend_from_slice(b"null");
            }
            Some((index, _)) => self.field(&message.fields[*index], &values)?,
            None => self.out.extend_from_slice(b"null"),
        }
        Ok(())
    }

    /// An Any of an unknown type keeps its bytes: `{"@type": …, "value": base64}`.
    fn any(&mut self, mut wire: &[u8]) -> Result<(), Undecodable> {
        let (mut url, mut content) = ("", &[][..]);
        while let Some((number, raw)) = wire::take_field(&mut wire)? {
            match number {
                1 => {
                    url = std::str::from_utf8(bytes(raw)?)
                        .map_err(|_| Undecodable("a type that is not UTF-8"))?;
                }
                2 => content = bytes(raw)?,
                _ => {}
            }
        }
        if url.is_empty() {
            self.out.extend_from_slice(b"{}");
            return Ok(());
        }
        self.out.extend_from_slice(b"{\"@type\":");
        self.json(url);
        match url.rsplit_once('/').and_then(|(_, name)| self.plan.named(name)) {
            Some(message) if message.shape == Shape::Fields => self.members(message, content, false)?,
            Some(message) => {
                self.out.extend_from_slice(b",\"value\":");
                self.message(message, content)?;
            }
            None => {
                self.out.extend_from_slice(b",\"value\":");
                self.base64(content);
            }
        }
        self.out.push(b'}');
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "protobuf truncates 32-bit varints")]
fn instant(mut wire: &[u8]) -> Result<known::Instant, Undecodable> {
    let mut instant = (0, 0);
    while let Some((number, raw)) = wire::take_field(&mut wire)? {
        match (number, raw) {
            (1, Raw::Varint(bits)) => instant.0 = bits.cast_signed(),
            (2, Raw::Varint(bits)) => instant.1 = bits as i32,
            _ => {}
        }
    }
    Ok(instant)
}
