//! From options of the contract to rules.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::{Bound, Field, Rule, check::number};

const OPTION: &str = "buf.validate.field";

/// `buf.validate.Ignore`.
const IGNORE_UNSPECIFIED: i32 = 0;
const IGNORE_IF_ZERO_VALUE: i32 = 1;

/// The fields with rules of all messages that the given ones reach, and what is not supported.
pub(super) fn all(
    inputs: impl Iterator<Item = MessageDescriptor>,
) -> (HashMap<String, Vec<Field>>, Vec<String>) {
    let mut rules: HashMap<String, Vec<Field>> = HashMap::new();
    let mut problems = Vec::new();
    let mut ahead: Vec<_> = inputs.collect();
    while let Some(message) = ahead.pop() {
        if rules.contains_key(message.full_name()) {
            continue;
        }
        unsupported_of(&message, &mut problems);
        let mut fields = Vec::new();
        for descriptor in message.fields() {
            let inner = inner(&descriptor);
            match compile(&descriptor, inner.as_ref()) {
                Ok(field) => fields.push(field),
                Err(problem) => problems.push(format!("{}: {problem}", descriptor.full_name())),
            }
            ahead.extend(inner);
        }
        rules.insert(message.full_name().to_owned(), fields);
    }
    prune(&mut rules);
    (rules, problems)
}

/// Takes away fields without rules, and messages without such fields, until nothing changes.
fn prune(rules: &mut HashMap<String, Vec<Field>>) {
    loop {
        let before: usize = rules.values().map(Vec::len).sum::<usize>() + rules.len();
        rules.retain(|_, fields| {
            fields.retain(Field::matters);
            !fields.is_empty()
        });
        let known: Vec<String> = rules.keys().cloned().collect();
        for field in rules.values_mut().flatten() {
            field.nested = field.nested.take().filter(|name| known.contains(name));
        }
        rules.retain(|_, fields| {
            fields.retain(Field::matters);
            !fields.is_empty()
        });
        if rules.values().map(Vec::len).sum::<usize>() + rules.len() == before {
            return;
        }
    }
}

impl Field {
    fn matters(&self) -> bool {
        let rules = !self.whole.is_empty() || !self.each.is_empty();
        self.required || rules || self.enumeration.is_some() || self.nested.is_some()
    }
}

/// The kind of the values themselves: of the items of a map, too.
fn value_kind(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

/// The message of ours inside a field.
fn inner(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match value_kind(field) {
        Kind::Message(inner) if !inner.package_name().starts_with("google.") => Some(inner),
        _ => None,
    }
}

fn compile(descriptor: &FieldDescriptor, inner: Option<&MessageDescriptor>) -> Result<Field, String> {
    let mut field = Field {
        required: false,
        skip_zero: false,
        whole: Vec::new(),
        each: Vec::new(),
        enumeration: match value_kind(descriptor) {
            Kind::Enum(known) if !known.package_name().starts_with("google.") => Some(known),
            _ => None,
        },
        nested: inner.map(|inner| inner.full_name().to_owned()),
        descriptor: descriptor.clone(),
    };
    let Some(option) = descriptor.parent_pool().get_extension_by_name(OPTION) else { return Ok(field) };
    let options = descriptor.options();
    if !options.has_extension(&option) {
        return Ok(field);
    }
    let value = options.get_extension(&option);
    let Some(declared) = value.as_message() else { return Ok(field) };
    for (rule, value) in declared.fields() {
        match (rule.name(), value) {
            ("required", Value::Bool(required)) => field.required = *required,
            ("ignore", Value::EnumNumber(IGNORE_UNSPECIFIED)) => {}
            ("ignore", Value::EnumNumber(IGNORE_IF_ZERO_VALUE)) => field.skip_zero = true,
            ("repeated", Value::Message(list)) if descriptor.is_list() => repeated(&mut field, list)?,
            ("map", Value::Message(map)) if descriptor.is_map() => {
                for (rule, value) in map.fields() {
                    field.whole.push(match (rule.name(), value) {
                        ("min_pairs", Value::U64(least)) => Rule::MinItems(*least),
                        ("max_pairs", Value::U64(most)) => Rule::MaxItems(*most),
                        (name, _) => return Err(unsupported("map", name)),
                    });
                }
            }
            (kind, Value::Message(rules)) if !descriptor.is_list() && !descriptor.is_map() => {
                field.whole.extend(scalar(&descriptor.kind(), kind, rules)?);
            }
            (name, _) => return Err(format!("the rule {name} is not supported here")),
        }
    }
    Ok(field)
}

fn repeated(field: &mut Field, list: &DynamicMessage) -> Result<(), String> {
    for (rule, value) in list.fields() {
        match (rule.name(), value) {
            ("min_items", Value::U64(least)) => field.whole.push(Rule::MinItems(*least)),
            ("max_items", Value::U64(most)) => field.whole.push(Rule::MaxItems(*most)),
            ("items", Value::Message(items)) => {
                for (kind, value) in items.fields() {
                    let rules = value.as_message().ok_or_else(|| unsupported("repeated.items", kind.name()))?;
                    field.each.extend(scalar(&field.descriptor.kind(), kind.name(), rules)?);
                }
            }
            (name, _) => return Err(unsupported("repeated", name)),
        }
    }
    Ok(())
}

/// The rules in `buf.validate.<Kind>Rules`.
fn scalar(kind: &Kind, named: &str, rules: &DynamicMessage) -> Result<Vec<Rule>, String> {
    let own = match kind {
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Uint32 => "uint32",
        Kind::Uint64 => "uint64",
        Kind::Float => "float",
        Kind::Double => "double",
        Kind::Enum(_) => "enum",
        _ => return Err(unsupported(named, "*")),
    };
    if own != named {
        return Err(format!("has rules for {named}, and is {own}"));
    }
    rules.fields().filter_map(|(rule, value)| one(own, rule.name(), value).transpose()).collect()
}

fn one(kind: &str, name: &str, value: &Value) -> Result<Option<Rule>, String> {
    let bound = |bound| number(value).map(|number| Some(Rule::Bound(bound, number)));
    let numeric = !matches!(kind, "string" | "bytes" | "enum");
    let rule = match (kind, name, value) {
        ("string", "min_len", Value::U64(least)) => Some(Some(Rule::MinLen(*least))),
        ("string", "max_len", Value::U64(most)) => Some(Some(Rule::MaxLen(*most))),
        ("string", "pattern", Value::String(pattern)) => {
            let pattern = regex::Regex::new(pattern).map_err(|error| format!("has a broken pattern: {error}"))?;
            Some(Some(Rule::Pattern(pattern)))
        }
        ("string", "email", Value::Bool(on)) => Some(on.then_some(Rule::Email)),
        ("string", "uri", Value::Bool(on)) => Some(on.then_some(Rule::Uri)),
        ("string", "in", Value::List(all)) => {
            Some(Some(Rule::In(all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect())))
        }
        ("bytes", "min_len", Value::U64(least)) => Some(Some(Rule::MinBytes(*least))),
        ("bytes", "max_len", Value::U64(most)) => Some(Some(Rule::MaxBytes(*most))),
        // Always so.
        ("enum", "defined_only", Value::Bool(_)) => Some(None),
        (_, "gt", _) if numeric => bound(Bound::Above),
        (_, "gte", _) if numeric => bound(Bound::AtLeast),
        (_, "lt", _) if numeric => bound(Bound::Below),
        (_, "lte", _) if numeric => bound(Bound::AtMost),
        _ => None,
    };
    rule.ok_or_else(|| unsupported(kind, name))
}

/// Rules on whole messages and oneofs.
fn unsupported_of(message: &MessageDescriptor, problems: &mut Vec<String>) {
    let pool = message.parent_pool();
    let has = |name: &str, options: &DynamicMessage| {
        pool.get_extension_by_name(name).is_some_and(|option| options.has_extension(&option))
    };
    if has("buf.validate.message", &message.options()) {
        problems.push(format!("{}: {}", message.full_name(), unsupported("message", "*")));
    }
    for oneof in message.oneofs().filter(|oneof| has("buf.validate.oneof", &oneof.options())) {
        problems.push(format!("{}: {}", oneof.full_name(), unsupported("oneof", "*")));
    }
}

fn unsupported(kind: &str, name: &str) -> String {
    format!("the rule {kind}.{name} is not supported")
}
