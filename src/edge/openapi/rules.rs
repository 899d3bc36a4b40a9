//! `buf.validate` field rules as JSON Schema keywords, read from the descriptors without knowing the rule types.

use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage, Value as Proto};
use serde_json::{Map, Value, json};

const RULES: &str = "buf.validate.field";

/// The rules of a field.
pub(super) fn of(field: &FieldDescriptor) -> Option<DynamicMessage> {
    let extension = field.parent_pool().get_extension_by_name(RULES)?;
    let options = field.options();
    if !options.has_extension(&extension) {
        return None;
    }
    options.get_extension(&extension).as_message().cloned()
}

/// True when the field must be set.
pub(super) fn is_required(rules: &DynamicMessage) -> bool {
    rules.get_field_by_name("required").is_some_and(|value| value.as_bool() == Some(true))
}

/// Adds to `schema`, the schema of the field's value, what `rules` demand.
pub(super) fn apply(rules: &DynamicMessage, schema: &mut Map<String, Value>) {
    for (field, value) in rules.fields() {
        let Some(typed) = value.as_message() else { continue };
        match field.name() {
            "repeated" => repeated(typed, schema),
            "map" => map(typed, schema),
            "enum" => {}
            "string" | "bytes" => text(typed, schema),
            kind => number(kind, typed, schema),
        }
    }
    let cel = rules.get_field_by_name("cel");
    let messages = cel.iter().filter_map(|value| value.as_list()).flatten().filter_map(Proto::as_message);
    for message in messages.filter_map(|rule| rule.get_field_by_name("message")?.as_str().map(str::to_owned))
    {
        let described = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let text = format!("{described}\n\nRule: {message}").trim().to_owned();
        schema.insert("description".into(), text.into());
    }
}

fn text(rules: &DynamicMessage, schema: &mut Map<String, Value>) {
    for (field, value) in rules.fields() {
        let keyword = match field.name() {
            "min_len" => "minLength",
            "max_len" => "maxLength",
            "pattern" => "pattern",
            "const" => "const",
            "in" => "enum",
            "len" => {
                schema.insert("minLength".into(), plain(value));
                "maxLength"
            }
            "min_bytes" => "x-min-bytes",
            "max_bytes" => "x-max-bytes",
            "email" | "hostname" | "ipv4" | "ipv6" | "uri" | "uuid" if value.as_bool() == Some(true) => {
                schema.insert("format".into(), field.name().into());
                continue;
            }
            "uri_ref" if value.as_bool() == Some(true) => {
                schema.insert("format".into(), "uri-reference".into());
                continue;
            }
            "prefix" => "x-prefix",
            "suffix" => "x-suffix",
            _ => continue,
        };
        schema.insert(keyword.into(), plain(value));
    }
}

/// Bounds. On 64-bit integers, which are strings in JSON, and on times they are `x-` members: JSON Schema has no such keyword.
fn number(kind: &str, rules: &DynamicMessage, schema: &mut Map<String, Value>) {
    let is_number =
        !kind.ends_with("64") && !matches!(kind, "duration" | "timestamp" | "any" | "field_mask" | "bool");
    for (field, value) in rules.fields() {
        let keyword = match field.name() {
            "gt" => "exclusiveMinimum",
            "gte" => "minimum",
            "lt" => "exclusiveMaximum",
            "lte" => "maximum",
            "const" => "const",
            "in" => "enum",
            _ => continue,
        };
        let value = if is_number { plain(value) } else { spelled(value) };
        if is_number || keyword == "const" || keyword == "enum" {
            schema.insert(keyword.into(), value);
        } else {
            schema.insert(format!("x-{keyword}"), value);
        }
    }
}

fn repeated(rules: &DynamicMessage, schema: &mut Map<String, Value>) {
    for (field, value) in rules.fields() {
        match (field.name(), value) {
            ("min_items", value) => schema.insert("minItems".into(), plain(value)),
            ("max_items", value) => schema.insert("maxItems".into(), plain(value)),
            ("unique", value) => schema.insert("uniqueItems".into(), plain(value)),
            ("items", Proto::Message(rules)) => {
                if let Some(items) = schema.get_mut("items").and_then(Value::as_object_mut) {
                    apply(rules, items);
                }
                None
            }
            _ => None,
        };
    }
}

fn map(rules: &DynamicMessage, schema: &mut Map<String, Value>) {
    for (field, value) in rules.fields() {
        match (field.name(), value) {
            ("min_pairs", value) => schema.insert("minProperties".into(), plain(value)),
            ("max_pairs", value) => schema.insert("maxProperties".into(), plain(value)),
            ("keys", Proto::Message(rules)) => {
                let mut keys = Map::from_iter([("type".to_owned(), json!("string"))]);
                apply(rules, &mut keys);
                schema.insert("propertyNames".into(), keys.into())
            }
            ("values", Proto::Message(rules)) => {
                if let Some(values) = schema.get_mut("additionalProperties").and_then(Value::as_object_mut) {
                    apply(rules, values);
                }
                None
            }
            _ => None,
        };
    }
}

fn plain(value: &Proto) -> Value {
    match value {
        Proto::Bool(value) => json!(value),
        Proto::I32(value) => json!(value),
        Proto::I64(value) => json!(value),
        Proto::U32(value) => json!(value),
        Proto::U64(value) => json!(value),
        Proto::F32(value) => json!(value),
        Proto::F64(value) => json!(value),
        Proto::String(value) => json!(value),
        Proto::List(values) => values.iter().map(plain).collect(),
        Proto::EnumNumber(value) => json!(value),
        Proto::Bytes(value) => json!(String::from_utf8_lossy(value)),
        Proto::Message(message) => {
            serde_json::to_value(message).unwrap_or_else(|_| json!(message.descriptor().full_name()))
        }
        Proto::Map(_) => Value::Null,
    }
}

/// The value as ProtoJSON writes it.
fn spelled(value: &Proto) -> Value {
    match value {
        Proto::I64(value) => json!(value.to_string()),
        Proto::U64(value) => json!(value.to_string()),
        Proto::List(values) => values.iter().map(spelled).collect(),
        other => plain(other),
    }
}
