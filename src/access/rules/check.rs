//! A value against its rules.

use std::sync::LazyLock;

use prost_reflect::{DynamicMessage, MapKey, Value};
use regex::Regex;

use super::{Bound, Field, MOST, Number, Rule, Rules};
use crate::error::Violation;

/// As HTML's `<input type=email>` has it: what people have, without comments and quotes.
static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    let label = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
    Regex::new(&format!(r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{label}(?:\.{label})*$"))
        .expect("a valid pattern")
});

impl Field {
    pub(super) fn check(
        &self,
        rules: &Rules,
        message: &DynamicMessage,
        prefix: &str,
        found: &mut Vec<Violation>,
    ) {
        let present = message.has_field(&self.descriptor);
        let path = || format!("{prefix}{}", self.descriptor.name());
        if !present && self.required {
            found.push(Violation { field: path(), problem: "is required".to_owned() });
            return;
        }
        if !present && (self.skip_zero || self.descriptor.supports_presence()) {
            return;
        }
        let value = message.get_field(&self.descriptor);
        apply(&self.whole, &value, path, found);
        match value.as_ref() {
            Value::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.one(rules, item, || format!("{}[{at}]", path()), found);
                }
            }
            Value::Map(entries) => {
                for (key, item) in entries {
                    self.one(rules, item, || format!("{}[{}]", path(), shown(key)), found);
                }
            }
            single => self.one(rules, single, path, found),
        }
    }

    /// One value: the field's own, or an item of its list or map.
    fn one(&self, rules: &Rules, value: &Value, path: impl Fn() -> String, found: &mut Vec<Violation>) {
        if found.len() >= MOST {
            return;
        }
        apply(&self.each, value, &path, found);
        match (value, &self.enumeration) {
            (Value::EnumNumber(number), Some(known)) if known.get_value(*number).is_none() => {
                found.push(Violation { field: path(), problem: format!("knows no value {number}") });
            }
            (Value::Message(inner), _) if self.nested.is_some() => {
                // The path costs an allocation: only where there is something inside to name.
                rules.walk(inner, &format!("{}.", path()), found);
            }
            _ => {}
        }
    }
}

fn apply(rules: &[Rule], value: &Value, path: impl Fn() -> String, found: &mut Vec<Violation>) {
    for rule in rules {
        if let Some(problem) = rule.problem(value) {
            found.push(Violation { field: path(), problem });
        }
    }
}

/// Short, so that an error stays small.
pub(super) fn shown(key: &MapKey) -> String {
    match key {
        MapKey::String(text) => format!("\"{}\"", text.chars().take(40).collect::<String>()),
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
    }
}

impl Rule {
    fn problem(&self, value: &Value) -> Option<String> {
        let text = || value.as_str().unwrap_or_default();
        let plural = |count: u64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let fine = match self {
            Self::MinLen(least) => characters(text()) >= *least,
            // Bytes bound characters from above, without counting.
            Self::MaxLen(most) => len(text().len()) <= *most || characters(text()) <= *most,
            Self::MinBytes(least) => value.as_bytes().is_some_and(|bytes| len(bytes.len()) >= *least),
            Self::MaxBytes(most) => value.as_bytes().is_some_and(|bytes| len(bytes.len()) <= *most),
            Self::MinItems(least) => items(value) >= *least,
            Self::MaxItems(most) => items(value) <= *most,
            Self::Pattern(pattern) => pattern.is_match(text()),
            Self::Email => text().len() <= 254 && EMAIL.is_match(text()),
            Self::Uri => reqwest::Url::parse(text()).is_ok(),
            Self::In(all) => all.iter().any(|one| one == text()),
            Self::Bound(bound, limit) => number(value).is_some_and(|number| match bound {
                Bound::Above => number > *limit,
                Bound::AtLeast => number >= *limit,
                Bound::Below => number < *limit,
                Bound::AtMost => number <= *limit,
            }),
        };
        if fine {
            return None;
        }
        Some(match self {
            Self::MinLen(least) => format!("must have at least {}", plural(*least, "character")),
            Self::MaxLen(most) => format!("must have at most {}", plural(*most, "character")),
            Self::MinBytes(least) => format!("must have at least {}", plural(*least, "byte")),
            Self::MaxBytes(most) => format!("must have at most {}", plural(*most, "byte")),
            Self::MinItems(least) => format!("must have at least {}", plural(*least, "item")),
            Self::MaxItems(most) => format!("must have at most {}", plural(*most, "item")),
            Self::Pattern(pattern) => format!("must match {}", pattern.as_str()),
            Self::Email => "must be an e-mail address".to_owned(),
            Self::Uri => "must be a URI".to_owned(),
            Self::In(all) => format!("must be one of {}", all.join(", ")),
            Self::Bound(bound, limit) => {
                let word = match bound {
                    Bound::Above => "more than",
                    Bound::AtLeast => "at least",
                    Bound::Below => "less than",
                    Bound::AtMost => "at most",
                };
                match limit {
                    Number::Whole(limit) => format!("must be {word} {limit}"),
                    Number::Float(limit) => format!("must be {word} {limit}"),
                }
            }
        })
    }
}

fn len(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn characters(text: &str) -> u64 {
    len(text.chars().count())
}

fn items(value: &Value) -> u64 {
    match value {
        Value::List(items) => len(items.len()),
        Value::Map(entries) => len(entries.len()),
        _ => 0,
    }
}

/// `None` for what is no number: nothing is above or below it.
pub(super) fn number(value: &Value) -> Option<Number> {
    Some(match value {
        Value::I32(number) => Number::Whole(i128::from(*number)),
        Value::I64(number) => Number::Whole(i128::from(*number)),
        Value::U32(number) => Number::Whole(i128::from(*number)),
        Value::U64(number) => Number::Whole(i128::from(*number)),
        Value::F32(number) => Number::Float(f64::from(*number)),
        Value::F64(number) => Number::Float(*number),
        _ => return None,
    })
}
