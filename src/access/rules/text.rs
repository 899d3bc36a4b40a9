//! No text holds NUL: PostgreSQL has no place for it, and what one database refuses the other must not keep.

use prost_reflect::{DynamicMessage, MapKey, Value};

use super::{MOST, check::shown};
use crate::error::Violation;

/// The way to a value, written out only when something is wrong there.
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
    Entry(&'a Path<'a>, &'a MapKey),
}

impl Path<'_> {
    fn written(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(Self::Root, name) => (*name).to_owned(),
            Self::Field(parent, name) => format!("{}.{name}", parent.written()),
            Self::Item(parent, at) => format!("{}[{at}]", parent.written()),
            Self::Entry(parent, key) => format!("{}[{}]", parent.written(), shown(key)),
        }
    }
}

/// Every text of a message, however deep, whether or not its field has rules.
pub(super) fn check(message: &DynamicMessage, found: &mut Vec<Violation>) {
    fields(message, &Path::Root, found);
}

fn fields(message: &DynamicMessage, path: &Path<'_>, found: &mut Vec<Violation>) {
    for (field, value) in message.fields() {
        one(value, &Path::Field(path, field.name()), found);
    }
}

fn one(value: &Value, path: &Path<'_>, found: &mut Vec<Violation>) {
    if found.len() >= MOST {
        return;
    }
    match value {
        Value::String(text) => plain(text, path, found),
        Value::Message(inner) => fields(inner, path, found),
        Value::List(items) => {
            for (at, item) in items.iter().enumerate() {
                one(item, &Path::Item(path, at), found);
            }
        }
        Value::Map(entries) => {
            for (key, item) in entries {
                let path = Path::Entry(path, key);
                if let MapKey::String(key) = key {
                    plain(key, &path, found);
                }
                one(item, &path, found);
            }
        }
        _ => {}
    }
}

fn plain(text: &str, path: &Path<'_>, found: &mut Vec<Violation>) {
    if text.contains('\0') {
        let problem = "must not contain the character NUL".to_owned();
        found.push(Violation { field: path.written(), problem });
    }
}
