//! Field rules: the `buf.validate` options of the contract, compiled once at start and checked before
//! every handler. Supported are `required`, `ignore: IGNORE_IF_ZERO_VALUE`, and
//!
//! * string: `min_len max_len` (in characters) `pattern email uri in` · bytes: `min_len max_len`
//! * whole and floating numbers: `gt gte lt lte`
//! * repeated: `min_items max_items items` · map: `min_pairs max_pairs` · enum: `defined_only`
//!
//! Any other rule keeps the server from starting. Numbers that an enum does not define are refused
//! everywhere, with or without a rule; so are texts that hold the character NUL.

mod check;
mod compile;
mod text;

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, MessageDescriptor, ReflectMessage};

use super::policy::Policies;
use crate::error::{Error, Result, Violation};

/// Violations told at once: an error travels in headers of bounded size.
const MOST: usize = 50;

/// The rules of all messages that have any, by full name.
#[derive(Debug)]
pub struct Rules(HashMap<String, Vec<Field>>);

/// What one field must satisfy.
#[derive(Debug)]
struct Field {
    descriptor: FieldDescriptor,
    required: bool,
    /// Rules do not apply to an absent value.
    skip_zero: bool,
    /// On the value; on the list or map itself for these.
    whole: Vec<Rule>,
    /// On each item of a list.
    each: Vec<Rule>,
    enumeration: Option<EnumDescriptor>,
    /// The message inside, if it has rules.
    nested: Option<String>,
}

#[derive(Debug)]
enum Rule {
    MinLen(u64),
    MaxLen(u64),
    MinBytes(u64),
    MaxBytes(u64),
    MinItems(u64),
    MaxItems(u64),
    Pattern(regex::Regex),
    Email,
    Uri,
    In(Vec<String>),
    Bound(Bound, Number),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Above,
    AtLeast,
    Below,
    AtMost,
}

#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Number {
    Whole(i128),
    Float(f64),
}

impl Rules {
    /// Compiles the rules of every message that a method of ours receives. All rules that are not
    /// supported come at once.
    pub fn read(policies: &Policies) -> Result<Self, Vec<String>> {
        let (rules, mut problems) = compile::all(policies.iter().map(|policy| policy.method.input()));
        for policy in policies.iter().filter(|policy| policy.method.is_client_streaming()) {
            if rules.contains_key(policy.method.input().full_name()) {
                let name = policy.method.full_name();
                problems.push(format!("{name}: field rules are not checked in streams of the client"));
            }
        }
        problems.sort();
        if problems.is_empty() { Ok(Self(rules)) } else { Err(problems) }
    }

    /// Whether messages of this type need a look.
    pub(super) fn concern(&self, message: &MessageDescriptor) -> bool {
        self.0.contains_key(message.full_name())
    }

    /// INVALID_ARGUMENT with every violation.
    pub(super) fn check(&self, message: &DynamicMessage) -> Result<()> {
        let mut found = Vec::new();
        self.walk(message, "", &mut found);
        text::check(message, &mut found);
        if found.is_empty() { Ok(()) } else { Err(Error::Invalid(found)) }
    }

    fn walk(&self, message: &DynamicMessage, prefix: &str, found: &mut Vec<Violation>) {
        let Some(fields) = self.0.get(message.descriptor().full_name()) else { return };
        for field in fields {
            if found.len() >= MOST {
                return;
            }
            field.check(self, message, prefix, found);
        }
    }
}

#[cfg(test)]
mod tests;
