//! Path variables and query parameters to wire bytes, appended after the body so that the path wins.

use std::collections::HashMap;

use super::codec::Refusal;
use super::json_in::put_known;
use super::plan::{Field, Form, Kind, Message, Plan, Shape};
use super::route::{BodyRule, Route};
use super::scalar::{self, Origin};
use super::{percent, wire};

/// Query names longer than this many fields are refused.
const MAX_PATH: usize = 32;

/// What a request's URL says about its message.
pub(super) struct Binder<'p> {
    plan: &'p Plan,
    message: &'p Message,
    /// Every bound field by its path of indexes, and whether the path of the URL bound it.
    bound: HashMap<Vec<usize>, Source>,
    /// Which field of a oneof was given, by the path to the message and the oneof.
    chosen: HashMap<(Vec<usize>, usize), usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Path,
    Query,
}

impl<'p> Binder<'p> {
    pub(super) fn new(plan: &'p Plan, message: &'p Message) -> Self {
        Self { plan, message, bound: HashMap::new(), chosen: HashMap::new() }
    }

    /// Binds the variables of `route` from the raw `segments` of the path.
    pub(super) fn path(
        &mut self,
        route: &Route,
        segments: &[&str],
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        for (variable, field) in route.template.variables.iter().zip(&route.variables) {
            let name = || variable.field.join(".");
            let captured = &segments[variable.start..variable.end.unwrap_or(segments.len())];
            let text = if variable.is_multi_segment() {
                percent::decode_multi_segment(&captured.join("/"))
            } else {
                percent::decode(captured[0])
            };
            let text = text.map_err(|problem| Refusal { field: name(), problem: problem.into() })?;
            let numbers: Vec<u32> = field.iter().map(prost_reflect::FieldDescriptor::number).collect();
            let indexes = self.indexes(&numbers);
            self.write(&indexes, &text, out)
                .map_err(|problem| Refusal { field: name(), problem: problem.into() })?;
            self.bound.insert(indexes, Source::Path);
        }
        Ok(())
    }

    /// Binds the parameters of a raw `query`.
    pub(super) fn query(&mut self, route: &Route, query: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let refuse = |problem: &str| Refusal { field: key.to_owned(), problem: problem.to_owned() };
            let name = percent::decode_query(key).map_err(refuse)?;
            let text = percent::decode_query(value).map_err(refuse)?;
            let refuse = |problem: &str| Refusal { field: name.clone(), problem: problem.to_owned() };
            if route.body == BodyRule::Whole {
                return Err(refuse("this method takes its fields from the body, not from the query"));
            }
            self.parameter(route, &name, &text, out).map_err(refuse)?;
        }
        Ok(())
    }

    fn parameter(
        &mut self,
        route: &Route,
        name: &str,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let indexes = self.resolve(name)?;
        let first = &self.message.fields[indexes[0]];
        if matches!(&route.body, BodyRule::Field(body) if body.number() == first.number) {
            return Err("this field is the body");
        }
        let repeated = self.leaf(&indexes).form == Form::List;
        match self.bound.get(&indexes) {
            Some(Source::Path) => return Err("this field is in the path"),
            Some(Source::Query) if !repeated => return Err("given twice"),
            _ => {}
        }
        self.choose(&indexes)?;
        self.write(&indexes, text, out)?;
        self.bound.insert(indexes, Source::Query);
        Ok(())
    }

    /// Binds a top-level field over whatever was said before; for values that the protocol carries, not the client.
    pub(super) fn set(&mut self, name: &str, text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let refuse = |problem: &str| Refusal { field: name.to_owned(), problem: problem.to_owned() };
        let indexes = self.resolve(name).map_err(refuse)?;
        self.write(&indexes, text, out).map_err(refuse)
    }

    /// True when the URL gives the top-level field called `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.message.names.get(name).is_some_and(|index| self.bound.contains_key(&vec![*index]))
    }

    fn indexes(&self, numbers: &[u32]) -> Vec<usize> {
        let mut message = self.message;
        let mut indexes = Vec::with_capacity(numbers.len());
        for number in numbers {
            let Some(index) = message.numbered(*number) else { break };
            indexes.push(index);
            if let Kind::Message(inner) = message.fields[index].kind {
                message = self.plan.message(inner);
            }
        }
        indexes
    }

    /// Finds the field a parameter names, through singular messages.
    fn resolve(&self, name: &str) -> Result<Vec<usize>, &'static str> {
        let mut message = Some(self.message);
        let mut indexes = Vec::new();
        for part in name.split('.') {
            let index =
                message.and_then(|message| message.names.get(part)).ok_or("there is no such parameter")?;
            let field = &message.expect("found in it just now").fields[*index];
            indexes.push(*index);
            message = match field.kind {
                Kind::Message(inner) if matches!(field.form, Form::Implicit | Form::Optional) => {
                    Some(self.plan.message(inner)).filter(|inner| inner.shape == Shape::Fields)
                }
                _ => None,
            };
            if indexes.len() > MAX_PATH {
                return Err("nested too deeply");
            }
        }
        Ok(indexes)
    }

    fn leaf(&self, indexes: &[usize]) -> &'p Field {
        let mut message = self.message;
        let mut field = &message.fields[indexes[0]];
        for index in &indexes[1..] {
            if let Kind::Message(inner) = field.kind {
                message = self.plan.message(inner);
            }
            field = &message.fields[*index];
        }
        field
    }

    /// Notes the members of oneofs along the way; two of one are a contradiction.
    fn choose(&mut self, indexes: &[usize]) -> Result<(), &'static str> {
        for depth in 1..=indexes.len() {
            let field = self.leaf(&indexes[..depth]);
            let Some(oneof) = field.oneof else { continue };
            let index = indexes[depth - 1];
            let chosen = self.chosen.entry((indexes[..depth - 1].to_vec(), oneof)).or_insert(index);
            if *chosen != index {
                return Err("another field of the same choice is given too");
            }
        }
        Ok(())
    }

    fn write(&self, indexes: &[usize], text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let mut starts = Vec::new();
        for depth in 1..indexes.len() {
            starts.push(wire::open(out, self.leaf(&indexes[..depth]).number));
        }
        self.value(self.leaf(indexes), text, out)?;
        for start in starts.into_iter().rev() {
            wire::close(out, start);
        }
        Ok(())
    }

    fn value(&self, field: &Field, text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let Kind::Message(index) = field.kind else {
            return scalar::put_text(self.plan, field.kind, field.number, text, Origin::Url, out);
        };
        let message = self.plan.message(index);
        if field.form == Form::Map {
            return Err("a map cannot be a parameter");
        }
        let start = wire::open(out, field.number);
        match message.shape {
            Shape::Wrapper => {
                let inner = &message.fields[0];
                scalar::put_text(self.plan, inner.kind, inner.number, text, Origin::Url, out)?;
            }
            shape @ (Shape::Timestamp | Shape::Duration | Shape::FieldMask) => {
                put_known(shape, text, true, out)?;
            }
            _ => return Err("an object cannot be a parameter"),
        }
        wire::close(out, start);
        Ok(())
    }
}
