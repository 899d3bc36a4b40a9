//! ProtoJSON to wire, streaming: strict about names, duplicates, ranges and depth, exact about where it fails.

mod any;
mod value;

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::de::{DeserializeSeed, Deserializer, MapAccess};

use super::codec::Refusal;
use super::plan::{Field, Form, Kind, Message, Plan, Shape};
use super::{scalar, wire};
use value::ValueSeed;
pub(super) use value::put_known;

/// prost refuses messages nested deeper than 100; map entries count.
const MAX_DEPTH: usize = 96;

/// Reads one JSON text into wire bytes.
pub(super) struct Reader<'p, 'o> {
    plan: &'p Plan,
    out: &'o mut Vec<u8>,
    path: Vec<Step<'p>>,
    depth: usize,
    problem: Option<Cow<'static, str>>,
}

enum Step<'p> {
    Field(&'p str),
    Index(usize),
    Key(String),
}

impl<'p, 'o> Reader<'p, 'o> {
    pub(super) fn new(plan: &'p Plan, out: &'o mut Vec<u8>) -> Self {
        Self { plan, out, path: Vec::new(), depth: 0, problem: None }
    }

    /// Reads `json` as `message`, or as the value of its `field`.
    pub(super) fn read(
        mut self,
        message: &'p Message,
        field: Option<&'p Field>,
        json: &[u8],
    ) -> Result<(), Refusal> {
        let mut json = serde_json::Deserializer::from_slice(json);
        let outcome = match field {
            Some(field) => {
                self.path.push(Step::Field(&field.name));
                let outcome = self.field(field, &mut json);
                if outcome.is_ok() {
                    self.path.pop();
                }
                outcome.map(drop)
            }
            None => self.top(message, &mut json),
        };
        outcome.and_then(|()| json.end()).map_err(|error| self.refusal(&error))
    }

    fn top<'de, D: Deserializer<'de>>(&mut self, message: &'p Message, json: D) -> Result<(), D::Error> {
        if matches!(message.shape, Shape::Fields | Shape::Empty) {
            return json.deserialize_any(value::ObjectVisitor { reader: self, message });
        }
        // A well-known type is read as if it were field 1, whose key and length then go.
        let start = self.out.len();
        self.field(&message.itself, json)?;
        let written = self.out.split_off(start);
        if let Ok(Some((_, wire::Raw::Bytes(content)))) = wire::take_field(&mut written.as_slice()) {
            self.out.extend_from_slice(content);
        }
        Ok(())
    }

    /// Reads a field's value; `false` when it was null and therefore unset.
    fn field<'de, D: Deserializer<'de>>(&mut self, field: &'p Field, json: D) -> Result<bool, D::Error> {
        ValueSeed { reader: self, field, element: false }.deserialize(json)
    }

    /// Reads the fields of an object that `message` stands for.
    fn fields<'de, M: MapAccess<'de>>(&mut self, message: &'p Message, mut map: M) -> Result<(), M::Error> {
        let mut seen = vec![false; message.fields.len()];
        let mut chosen = vec![false; message.oneofs];
        while let Some(name) = map.next_key_seed(value::Name(message))? {
            let index = match name {
                Ok(index) => index,
                Err(unknown) => {
                    self.path.push(Step::Key(unknown));
                    return Err(self.fail("there is no such field"));
                }
            };
            let field = &message.fields[index];
            self.path.push(Step::Field(&field.name));
            if std::mem::replace(&mut seen[index], true) {
                return Err(self.fail("given twice"));
            }
            let present = map.next_value_seed(ValueSeed { reader: self, field, element: false })?;
            if present && field.oneof.is_some_and(|oneof| std::mem::replace(&mut chosen[oneof], true)) {
                return Err(self.fail("another field of the same choice is given too"));
            }
            self.path.pop();
        }
        Ok(())
    }

    /// Opens a nested message as the value of field `number`.
    fn open<E: serde::de::Error>(&mut self, number: u32) -> Result<usize, E> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fail("nested too deeply"));
        }
        Ok(wire::open(self.out, number))
    }

    fn close(&mut self, start: usize) {
        self.depth -= 1;
        wire::close(self.out, start);
    }

    /// Records what went wrong; the error it answers only unwinds the parser.
    fn fail<E: serde::de::Error>(&mut self, problem: impl Into<Cow<'static, str>>) -> E {
        self.problem.get_or_insert(problem.into());
        E::custom("refused")
    }

    fn refusal(self, error: &serde_json::Error) -> Refusal {
        let problem = match self.problem {
            Some(problem) => problem.into_owned(),
            None if error.is_data() => {
                let text = error.to_string();
                text.rsplit_once(" at line").map_or(text.clone(), |(text, _)| text.to_owned())
            }
            None => format!("not valid JSON: {error}"),
        };
        let field = if error.is_data() { render(&self.path) } else { String::new() };
        Refusal { field, problem }
    }

    /// Reads a text as the key of a map.
    fn map_key<E: serde::de::Error>(&mut self, key: &Field, text: &str) -> Result<(), E> {
        let origin = scalar::Origin::Url;
        scalar::put_text(self.plan, key.kind, key.number, text, origin, self.out)
            .map_err(|problem| self.fail(problem))
    }
}

fn render(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        let outcome = match step {
            Step::Field(name) if text.is_empty() => write!(text, "{name}"),
            Step::Field(name) => write!(text, ".{name}"),
            Step::Key(name) if text.is_empty() => write!(text, "{name}"),
            Step::Key(name) => write!(text, ".{name}"),
            Step::Index(index) => write!(text, "[{index}]"),
        };
        outcome.expect("writing to a String cannot fail");
    }
    text
}

/// True when `null` is a value of this kind rather than its absence.
fn takes_null(plan: &Plan, kind: Kind) -> bool {
    match kind {
        Kind::Message(index) => plan.message(index).shape == Shape::Value,
        Kind::Enum(index) => plan.enumeration(index).is_null,
        _ => false,
    }
}

/// True when the field holds one value, not a list or map of them.
fn is_single(field: &Field, element: bool) -> bool {
    element || matches!(field.form, Form::Implicit | Form::Optional)
}
