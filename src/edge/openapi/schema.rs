//! Messages and fields as JSON Schema.

use std::collections::BTreeMap;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::Comments;
use super::rules;

/// The component schemas, collected as they are referred to.
pub(super) struct Schemas<'c> {
    comments: &'c Comments,
    done: BTreeMap<String, Value>,
}

impl<'c> Schemas<'c> {
    pub(super) fn new(comments: &'c Comments) -> Self {
        Self { comments, done: BTreeMap::new() }
    }

    /// Everything referred to, with all that those refer to.
    pub(super) fn finish(self) -> Map<String, Value> {
        self.done.into_iter().collect()
    }

    /// The schema of a message where it stands: a reference, or a well-known type in place.
    pub(super) fn message(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(known) = known(message.full_name()) {
            return known;
        }
        let name = message.full_name().to_owned();
        if !self.done.contains_key(&name) {
            // Recursive messages find this and stop.
            self.done.insert(name.clone(), Value::Null);
            let object = self.object(message, &|_| true);
            self.done.insert(name.clone(), object);
        }
        reference(&name)
    }

    /// The object of those fields of a message that `keep` picks.
    pub(super) fn object(
        &mut self,
        message: &MessageDescriptor,
        keep: &dyn Fn(&FieldDescriptor) -> bool,
    ) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in message.fields().filter(|field| keep(field)) {
            if rules::of(&field).is_some_and(|rules| rules::is_required(&rules)) {
                required.push(field.json_name().to_owned());
            }
            properties.insert(field.json_name().to_owned(), self.field(&field));
        }
        let mut object = Map::from_iter([("type".to_owned(), json!("object"))]);
        describe(&mut object, &self.comments.message(message));
        object.insert("properties".into(), properties.into());
        if !required.is_empty() {
            object.insert("required".into(), required.into());
        }
        object.into()
    }

    /// The schema of a field's value, with its comment and rules.
    pub(super) fn field(&mut self, field: &FieldDescriptor) -> Value {
        let value = if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            json!({"type": "object", "additionalProperties": self.kind(&entry.map_entry_value_field().kind())})
        } else if field.is_list() {
            json!({"type": "array", "items": self.kind(&field.kind())})
        } else {
            self.kind(&field.kind())
        };
        let Value::Object(mut schema) = value else { return value };
        describe(&mut schema, &self.comments.field(field));
        if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
            schema.insert("x-oneof".into(), oneof.name().into());
        }
        if let Some(rules) = rules::of(field) {
            rules::apply(&rules, &mut schema);
        }
        schema.into()
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Double => json!({"type": "number", "format": "double"}),
            Kind::Float => json!({"type": "number", "format": "float"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
            Kind::Uint32 | Kind::Fixed32 => {
                json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": u32::MAX})
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({"type": "string", "format": "int64"}),
            Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "format": "uint64"}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Enum(descriptor) => self.enumeration(descriptor),
            Kind::Message(message) => self.message(message),
        }
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) -> Value {
        if descriptor.full_name() == "google.protobuf.NullValue" {
            return json!({"type": "null"});
        }
        let name = descriptor.full_name().to_owned();
        if !self.done.contains_key(&name) {
            let values: Vec<_> = descriptor.values().collect();
            let mut text = self.comments.enumeration(descriptor);
            for value in &values {
                let comment = self.comments.value(value);
                if !comment.is_empty() {
                    text.push_str(&format!("\n- `{}`: {}", value.name(), comment.replace('\n', " ")));
                }
            }
            let names: Vec<_> = values.iter().map(|value| value.name().to_owned()).collect();
            let mut schema =
                Map::from_iter([("type".to_owned(), json!("string")), ("enum".to_owned(), json!(names))]);
            describe(&mut schema, text.trim());
            self.done.insert(name.clone(), schema.into());
        }
        reference(&name)
    }
}

pub(super) fn describe(schema: &mut Map<String, Value>, text: &str) {
    if !text.is_empty() {
        schema.insert("description".into(), text.into());
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Types that ProtoJSON writes in a form of their own.
fn known(name: &str) -> Option<Value> {
    if name == "google.api.HttpBody" {
        return Some(json!({"type": "string", "format": "binary"}));
    }
    Some(match name.strip_prefix("google.protobuf.")? {
        "Timestamp" => json!({"type": "string", "format": "date-time"}),
        "Duration" => {
            json!({"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]{1,9})?s$", "examples": ["1.5s"]})
        }
        "FieldMask" => json!({"type": "string", "examples": ["displayName,settings.color"]}),
        "Struct" => json!({"type": "object", "additionalProperties": true}),
        "Value" => json!({}),
        "ListValue" => json!({"type": "array", "items": {}}),
        "Empty" => json!({"type": "object"}),
        "Any" => json!({
            "type": "object",
            "required": ["@type"],
            "properties": {"@type": {"type": "string"}},
            "additionalProperties": true
        }),
        "StringValue" => json!({"type": ["string", "null"]}),
        "BytesValue" => json!({"type": ["string", "null"], "contentEncoding": "base64"}),
        "BoolValue" => json!({"type": ["boolean", "null"]}),
        "DoubleValue" | "FloatValue" => json!({"type": ["number", "null"]}),
        "Int32Value" | "UInt32Value" => json!({"type": ["integer", "null"]}),
        "Int64Value" => json!({"type": ["string", "null"], "format": "int64"}),
        "UInt64Value" => json!({"type": ["string", "null"], "format": "uint64"}),
        _ => return None,
    })
}
